"""The run record: one JSON file a run, a run writes it last, and tables are made of nothing else but outcomes.

What is read is checked, part by part: a record of another schema, with parts missing, of a wrong kind or with a figure
that can't be is refused with a line that names it, and costs no other record its place in the table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from disentangle_bench.evaluation.record_checks import know, wrong
from disentangle_bench.files import digest, find_files
from disentangle_bench.json_files import read_json

SCHEMA = 2
FILE = "result.json"
CODE = "own_code.py"
"""Beside a record: what the user had written themselves of what was run, to read."""
SPACE = "features"
"""The space that every method offers, and that speaks for one that names no other."""
UNKNOWN, USER = "unknown", "its user"
"""For an encoder from elsewhere: its label if nobody knows which labels it saw, and who says it where its user does."""
LOCATION_OPTIONS = frozenset({"root", "cache_dir", "feed", "num_workers"})
"""Options of a data set that say where it lies and how it is fed, not what it is: no figure follows them."""


class CellEntry(TypedDict):
    """The cell of a record; `hash` covers all that decides the result, `settings` the same without the seed."""

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

    `labels` are roles of the targets that the method saw, or `unknown`; of an encoder from elsewhere
    `provenance.labels_from` says who says so. `primary_space` speaks for the method,
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


class BadRecord(ValueError):
    """A file is not a valid record; the message names the file and says what is wrong with it."""


@dataclass(frozen=True)
class Problem:
    """A record that was skipped, and why; `second`: it is valid, and another one of the same run counts."""

    path: Path
    reason: str
    second: bool = False


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
        record = read_json(path)
    except (OSError, ValueError) as error:
        raise BadRecord(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(record, dict):
        raise BadRecord(f"{path}: not a record (a JSON object was expected)")
    if record.get("schema") != SCHEMA or isinstance(record["schema"], bool):
        raise BadRecord(f"{path}: schema version {record.get('schema')!r}, this version reads {SCHEMA}")
    if problem := next(wrong(record), None):
        raise BadRecord(f"{path}: {problem}")
    know(record["config"].get("own_measures", {}))
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
            problems.append(Problem(path, f"{path}: a second record of {what}; {earlier} counts", second=True))

    def place(path: Path) -> tuple:
        cell = found[path]["cell"]
        return cell["dataset"], cell["method"], cell["seed"], cell["hash"], path

    return {path: found[path] for path in sorted(found, key=place)}, problems


def display_name(record: Record, what: Literal["dataset", "method"]) -> str:
    """Name of a record's data set or method for people: of a class from outside its `name` instead of its path."""
    return str(record["config"].get("names", {}).get(what) or record["cell"][what])


def seconds_taken(record: Record) -> float:
    """Seconds that a run took to train and to judge; 0 where its record doesn't tell."""
    return sum(float(record["cost"].get(part) or 0.0) for part in ("train_seconds", "eval_seconds"))


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
