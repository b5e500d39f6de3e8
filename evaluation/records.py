"""The run record: one JSON file a run, a run writes it last, and tables are made of nothing else but outcomes.

What is read is checked, part by part: a record of another schema, with parts missing, of a wrong kind or with a figure
that can't be is refused with a line that names it, and costs no other record its place in the table.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from disentangle_bench.files import digest, find_files, read_text, write_file

if TYPE_CHECKING:
    from disentangle_bench.evaluation.measures.base import Measure

SCHEMA = 2
FILE = "result.json"
CODE = "own_code.py"
"""Beside a record: what the user had written themselves of what was run, to read."""
SPACE = "features"
"""The space that every method offers, and that speaks for one that names no other."""
ROUNDING = 1e-6
"""By which a figure may leave its range."""


LOCATION_OPTIONS = frozenset({"root", "cache_dir", "feed", "num_workers"})
"""Options of a data set that say where it lies and how it is fed, not what it is: no figure follows them."""


class CellEntry(TypedDict):
    """Which cell of the matrix; `hash` is of all that decides the result, `settings` of that without the seed."""

    dataset: str
    method: str
    seed: int
    hash: str
    settings: str


class Row(TypedDict):
    """One measurement: figures, or None and the reason why there are none."""

    space: str
    measure: str
    target: str
    parameters: dict[str, Any]
    scores: dict[str, float] | None
    reason: str | None
    seconds: float


class Record(TypedDict):
    """All that is known of a run.

    `labels` are roles of the targets that the method saw. `primary_space` speaks for the method,
    `invariant_space` where the question is what should not be there. `outcomes` is the SHA-256 of the file of outcomes
    beside the record, None where there is none; `digest` that of the record itself (`digest_of`).
    """

    schema: int
    cell: CellEntry
    config: dict[str, Any]
    labels: list[str]
    primary_space: str
    invariant_space: str
    provenance: dict[str, Any]
    cost: dict[str, Any]
    metrics: list[Row]
    outcomes: str | None
    digest: str


_TEXT, _MAYBE = (str,), (str, type(None))
_PARTS: dict[str, tuple[type, ...]] = {
    "cell": (dict,),
    "config": (dict,),
    "labels": (list,),
    "primary_space": _TEXT,
    "invariant_space": _TEXT,
    "provenance": (dict,),
    "cost": (dict,),
    "metrics": (list,),
    "outcomes": _MAYBE,
    "digest": _TEXT,
}
_CELL: dict[str, tuple[type, ...]] = {
    "dataset": _TEXT,
    "method": _TEXT,
    "seed": (int,),
    "hash": _TEXT,
    "settings": _TEXT,
}
_ROW: dict[str, tuple[type, ...]] = {"space": _TEXT, "measure": _TEXT, "target": _TEXT, "scores": (dict, type(None))}
_OPTIONAL: dict[str, dict[str, tuple[type, ...]]] = {
    "config": {
        "budget": (dict,),
        "data": (dict,),
        "options": (dict,),
        "measures": (list,),
        "tuned": (int, type(None)),
        "names": (dict,),
        "own_measures": (dict,),
    },
    "provenance": {
        "command": _TEXT,
        "finished": _TEXT,
        "git": (dict,),
        "versions": (dict,),
        "hardware": (dict,),
        "device": _TEXT,
        "own_code": _TEXT,
        "data": (dict,),
        "card": (dict,),
        "epoch": (int, float, type(None)),
    },
}
"""Parts that need not be there, but are of these kinds where they are."""


class BadRecord(ValueError):
    """A file is not a valid record; the message names the file and says what is wrong with it."""


@dataclass(frozen=True)
class Problem:
    """A record that was skipped, and why."""

    path: Path
    reason: str


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that at every moment the file is either absent, the old one or the new one, never a part.

    Raises:
        ValueError: a number is NaN or infinite (JSON has neither).
    """
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_file(path, text)


def seal(record: Mapping[str, Any], outcomes: Path) -> Record:
    """A record with its schema, the digest of its outcomes and its own: what a run writes last.

    Args:
        record: all parts but `schema`, `outcomes` and `digest`; without `primary_space` and `invariant_space` both are
            `features`.
        outcomes: file of the outcomes, written before; it may be absent.
    """
    sealed = {"primary_space": SPACE, "invariant_space": SPACE, **record, "schema": SCHEMA}
    sealed["outcomes"] = digest_of_file(outcomes)
    return cast(Record, sealed | {"digest": digest_of(sealed)})


def digest_of(record: Mapping[str, Any]) -> str:
    """SHA-256 of a record's canonical JSON (sorted keys, no blanks) without `digest`, as hexadecimal digits."""
    content = {key: value for key, value in record.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: Path) -> str | None:
    """SHA-256 of a file as hexadecimal digits; None where there is none, or no regular one."""
    try:
        return digest(path)
    except OSError:
        return None


def read_record(path: Path) -> Record:
    """Read and check one record. Its digests are not checked: that is `evaluation.verify`.

    Raises:
        BadRecord: cut off, of another schema, with parts missing or of a wrong kind, or with a figure that is no
            finite number or outside its range.
    """
    try:
        record = json.loads(read_text(path), parse_constant=_reject)
    except (OSError, ValueError, RecursionError) as error:
        raise BadRecord(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(record, dict):
        raise BadRecord(f"{path}: not a record (a JSON object was expected)")
    if record.get("schema") != SCHEMA or isinstance(record["schema"], bool):
        raise BadRecord(f"{path}: schema version {record.get('schema')!r}, this version reads {SCHEMA}")
    if wrong := next(_wrong(record), None):
        raise BadRecord(f"{path}: {wrong}")
    _know(record["config"].get("own_measures", {}))
    return cast(Record, record)


def find_records(folder: Path, deep: bool = True) -> tuple[dict[Path, Record], list[Problem]]:
    """All valid records under a folder by their path, sorted by data set, method and seed, and what was skipped.

    Of two records of one cell, or of one seed of the same settings, the first in path order counts; the other one is
    reported.

    Args:
        folder: of runs, or of several such folders.
        deep: False: only the folder's own runs.

    Raises:
        TooManyFolders: it holds far more than runs.
    """
    found: dict[Path, Record] = {}
    problems: list[Problem] = []
    first: dict[tuple, Path] = {}
    for path in find_files(folder, FILE) if deep else sorted(folder.glob(f"*/*/*/{FILE}")):
        try:
            record = read_record(path)
        except BadRecord as bad:
            problems.append(Problem(path, str(bad)))
            continue
        cell = record["cell"]
        same_run = (cell["dataset"], cell["method"], cell["settings"], cell["seed"])
        earlier = first.get((cell["hash"],)) or first.get(same_run)
        if earlier is None:
            first[(cell["hash"],)] = first[same_run] = path
            found[path] = record
        else:
            what = f"{cell['method']} on {cell['dataset']}, seed {cell['seed']}"
            problems.append(Problem(path, f"{path}: a second record of {what}; {earlier} counts"))

    def place(path: Path) -> tuple:
        cell = found[path]["cell"]
        return cell["dataset"], cell["method"], cell["seed"], cell["hash"], path

    return {path: found[path] for path in sorted(found, key=place)}, problems


def _wrong(record: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a record of this schema; whoever asks stops at the first."""
    yield from _misses(record, _PARTS)
    yield from _misses(record["cell"], _CELL, "cell.")
    for part, kinds in _OPTIONAL.items():
        yield from _misses(record[part], {key: kinds[key] for key in kinds.keys() & record[part].keys()}, f"{part}.")
    if not _are_experiments(record["config"].get("experiments", [])):
        yield "`config.experiments` is not a list of labels with published figures"
    if not all(isinstance(name, str) and name.strip() for name in record["config"].get("names", {}).values()):
        yield "`config.names` is not a text for each"
    try:
        known = _known(record["config"].get("own_measures", {}))
    except ValueError as error:
        yield f"`config.own_measures`: {error}"
    if not all(isinstance(role, str) for role in record["labels"]):
        yield "`labels` is not a list of roles"
    ranks = record["cost"].get("ranks", [])
    if not isinstance(ranks, list) or not all(isinstance(used, dict) for used in ranks):
        yield "`cost.ranks` is not a list of what each process has used"
    costs = {f"cost.{name}": value for name, value in record["cost"].items() if name != "ranks"}
    costs |= {f"cost.ranks[{rank}].{name}": v for rank, used in enumerate(ranks) for name, v in used.items()}
    for name, value in costs.items():
        if value is not None and not _finite(value):
            yield f"`{name}` is not a finite number"
        if value is not None and value < 0:
            yield f"`{name}` is negative ({value})"
    seen = set()
    for row in record["metrics"]:
        if not isinstance(row, dict) or "scores" not in row or next(_misses(row, _ROW), None):
            yield "a row of `metrics` lacks space, measure, target or scores"
        place = (row["space"], row["measure"], row["target"])
        if place in seen:
            yield f"{row['measure']} of {row['target']} in {row['space']} stands twice"
        seen.add(place)
        width = row.get("width", 1)
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            yield f"{row['measure']} of {row['space']}: `width` is not a number of codes"
        ranges = known[row["measure"]].scores if row["measure"] in known else {}
        for score, value in (row["scores"] or {}).items():
            if not _finite(value):
                yield f"{row['measure']} of {row['space']} has a score that is not a finite number"
            low, high = (ranges[score].low, ranges[score].high) if score in ranges else (-math.inf, math.inf)
            if not low - ROUNDING <= value <= high + ROUNDING:
                yield f"{row['measure']} of {row['space']}: {score} is {value}, outside {low:g} to {high:g}"


def _known(descriptions: Mapping[str, Any]) -> dict[str, Measure]:
    """The protocol's measures and those from outside that a record describes.

    Raises:
        ValueError: what describes no measure, or one otherwise than it is known.
    """
    from disentangle_bench.evaluation.measures.own import describe, described
    from disentangle_bench.evaluation.protocol import MEASURES

    if not descriptions:
        return MEASURES
    own = {title: described(title, about) for title, about in descriptions.items()}
    for title, measure in own.items():
        known, told = (describe(one) for one in (MEASURES.get(title, measure), measure))
        if any(known[part] != told[part] for part in ("aspect", "matrix", "spaces", "scores")):
            raise ValueError(f"{title} is known with other scores or spaces: what changes a measure raises its version")
    return MEASURES | own


def _know(descriptions: Mapping[str, Any]) -> None:
    """Have measures from outside, which a record describes, shown as all others are."""
    from disentangle_bench.evaluation.protocol import MEASURES

    known = _known(descriptions)
    for title in descriptions:
        MEASURES.setdefault(title, known[title])


def display_name(record: Record, what: Literal["dataset", "method"]) -> str:
    """What people call the data set or method of a record: the `name` of a class from outside, for its path."""
    return str(record["config"].get("names", {}).get(what) or record["cell"][what])


def _are_experiments(given: Any) -> bool:
    """Whether each is a suite, a label and figures with a source (see `benchmarks.planning.experiment`)."""
    text = {"measure": _TEXT, "score": _TEXT, "source": _TEXT, "protocol": _TEXT, "target": _MAYBE}
    return isinstance(given, list) and all(
        isinstance(one, dict)
        and not any(_misses(one, {"suite": _TEXT, "label": _TEXT, "published": (list,)}))
        and all(isinstance(f, dict) and not any(_misses(f, text)) and _finite(f.get("value")) for f in one["published"])
        for one in given
    )


def _misses(part: dict[str, Any], kinds: Mapping[str, tuple[type, ...]], prefix: str = "") -> Iterator[str]:
    for key, kind in kinds.items():
        if not isinstance(part.get(key), kind) or isinstance(part.get(key), bool):
            names = " or ".join("null" if k is type(None) else k.__name__ for k in kind)
            yield f"`{prefix}{key}` is missing or not a {names}"


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def different_figures(before: Record, after: Record) -> list[tuple[str, float, float | None]]:
    """(What, value before, value after) of the figures that two records of one cell both should have and that differ.

    A measure that the second was never asked for tells nothing.
    """
    again = {(row["measure"], row["space"], row["target"]): row["scores"] for row in after["metrics"]}
    found = []
    for row in before["metrics"]:
        place = (row["measure"], row["space"], row["target"])
        if row["measure"] in after["config"]["measures"]:
            new = again.get(place) or {}
            found += [
                (" ".join(filter(None, (*place, score))), value, new.get(score))
                for score, value in (row["scores"] or {}).items()
                if new.get(score) != value
            ]
    return found
