"""The run record: one JSON file a run, the last thing a run writes; the leaderboard is a function of records alone."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
FILE = "result.json"
_KEYS = {
    "schema": int,
    "cell": dict,
    "config": dict,
    "labels": list,
    "provenance": dict,
    "cost": dict,
    "metrics": list,
}


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
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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
        BadRecord: cut off, of another schema, or with parts missing.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_reject)
    except (OSError, ValueError) as error:
        raise BadRecord(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(record, dict):
        raise BadRecord(f"{path}: not a record (a JSON object was expected)")
    if record.get("schema") != SCHEMA:
        raise BadRecord(f"{path}: schema version {record.get('schema')!r}, this version reads {SCHEMA}")
    for key, kind in _KEYS.items():
        if not isinstance(record.get(key), kind):
            raise BadRecord(f"{path}: `{key}` is missing or not a {kind.__name__}")
    for key in ("dataset", "method", "seed", "hash"):
        if key not in record["cell"]:
            raise BadRecord(f"{path}: `cell.{key}` is missing")
    for row in record["metrics"]:
        if not isinstance(row, dict) or not {"space", "measure", "target", "scores"} <= row.keys():
            raise BadRecord(f"{path}: a row of `metrics` lacks space, measure, target or scores")
        if any(not isinstance(v, int | float) or not math.isfinite(v) for v in (row["scores"] or {}).values()):
            raise BadRecord(f"{path}: {row['measure']} of {row['space']} has a score that is not a finite number")
    return record


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def read_records(folder: Path) -> tuple[list[dict[str, Any]], list[Problem]]:
    """All valid records under a folder, sorted by data set, method and seed, and what was skipped.

    Of two records of the same cell the first in path order counts; the other one is reported.
    """
    records: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for path in sorted(folder.rglob(FILE)):
        try:
            record = read_record(path)
        except BadRecord as bad:
            problems.append(Problem(path, str(bad)))
            continue
        cell = record["cell"]["hash"]
        if cell in records:
            problems.append(Problem(path, f"{path}: a second record of cell {cell}"))
        else:
            records[cell] = record
    order = [(r["cell"]["dataset"], r["cell"]["method"], r["cell"]["seed"], h) for h, r in records.items()]
    return [records[h] for *_, h in sorted(order)], problems
