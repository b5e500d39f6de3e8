"""The run record: one JSON file a run, the last thing a run writes; the leaderboard is a function of records alone."""

from __future__ import annotations

import json
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
FILE = "result.json"
_PARTS: dict[str, type] = {
    "cell": dict,
    "config": dict,
    "labels": list,
    "provenance": dict,
    "cost": dict,
    "metrics": list,
}
_CELL: dict[str, type] = {"dataset": str, "method": str, "seed": int, "hash": str, "settings": str}
_ROW: dict[str, type] = {"space": str, "measure": str, "target": str}


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
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_record(path: Path) -> dict[str, Any]:
    """Read and check one record.

    Raises:
        BadRecord: cut off, of another schema, with parts missing or of a wrong kind, or with a figure that is no
            finite number.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_reject)
    except (OSError, ValueError, RecursionError) as error:
        raise BadRecord(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(record, dict):
        raise BadRecord(f"{path}: not a record (a JSON object was expected)")
    if record.get("schema") != SCHEMA or isinstance(record["schema"], bool):
        raise BadRecord(f"{path}: schema version {record.get('schema')!r}, this version reads {SCHEMA}")
    if wrong := _wrong(record):
        raise BadRecord(f"{path}: {wrong}")
    return record


def find_records(folder: Path) -> tuple[dict[Path, dict[str, Any]], list[Problem]]:
    """All valid records under a folder by their path, in the order of `read_records`, and what was skipped.

    Of two records of one cell, or of one seed of the same settings, the first in path order counts; the other one is
    reported.
    """
    found: dict[Path, dict[str, Any]] = {}
    problems: list[Problem] = []
    first: dict[tuple, Path] = {}
    for path in sorted(folder.rglob(FILE)):
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
    order = sorted(found, key=lambda p: (*(found[p]["cell"][k] for k in ("dataset", "method", "seed", "hash")), p))
    return {path: found[path] for path in order}, problems


def read_records(folder: Path) -> tuple[list[dict[str, Any]], list[Problem]]:
    """All valid records under a folder, sorted by data set, method and seed, and what was skipped (`find_records`)."""
    found, problems = find_records(folder)
    return list(found.values()), problems


def _wrong(record: dict[str, Any]) -> str | None:
    """What is wrong with a record of this schema."""
    if wrong := _misses(record, _PARTS) or _misses(record["cell"], _CELL, "cell."):
        return wrong
    if not all(isinstance(role, str) for role in record["labels"]):
        return "`labels` is not a list of roles"
    ranks = record["cost"].get("ranks", [])
    if not isinstance(ranks, list) or not all(isinstance(used, dict) for used in ranks):
        return "`cost.ranks` is not a list of what each process has used"
    figures = {f"cost.{name}": value for name, value in record["cost"].items() if name != "ranks"}
    figures |= {f"cost.ranks[{rank}].{name}": v for rank, used in enumerate(ranks) for name, v in used.items()}
    for name, value in figures.items():
        if value is not None and not _finite(value):
            return f"`{name}` is not a finite number"
    seen = set()
    for row in record["metrics"]:
        if not isinstance(row, dict) or _misses(row, _ROW) or not isinstance(row.get("scores", 0), dict | None):
            return "a row of `metrics` lacks space, measure, target or scores"
        place = tuple(row[key] for key in _ROW)
        if place in seen:
            return f"{row['measure']} of {row['target']} in {row['space']} stands twice"
        seen.add(place)
        if not all(map(_finite, (row["scores"] or {}).values())):
            return f"{row['measure']} of {row['space']} has a score that is not a finite number"
    return None


def _misses(part: dict[str, Any], kinds: dict[str, type], prefix: str = "") -> str | None:
    for key, kind in kinds.items():
        if not isinstance(part.get(key), kind) or isinstance(part[key], bool):
            return f"`{prefix}{key}` is missing or not a {kind.__name__}"
    return None


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
