"""A cell of the matrix: one method on one data set with one seed, known by the hash of everything that decides it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from disentangle_bench.evaluation.records import FILE as RECORD
from disentangle_bench.evaluation.records import BadRecord, read_record

CONFIG = "config.json"
FAILURE = "failure.json"
STATUS = "status.json"
LOCK = ".lock"
JOB = "job.json"
FEATURES = "features"
PLACE = {"root", "cache_dir", "feed", "num_workers"}
"""Options of a data set that say where it lies and how it is fed, not what it is."""
DONE, FAILED, LOCKED, INTERRUPTED = 0, 1, 75, 130
"""Exit statuses of a cell's process; LOCKED: another one is at it; INTERRUPTED: it was asked to stop, and can go on."""


def content_hash(content: Any) -> str:
    """16 hex digits that two equal JSON contents share."""
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Cell:
    """The resolved configuration of one run.

    Attributes:
        dataset: name or dotted path of the data set.
        method: name or dotted path of the method.
        seed: of the run.
        data: every option of the data set, defaults included.
        fingerprint: of the data themselves; it stands in the hash for where they lie and how they are fed.
        options: every option of the method, defaults included.
        budget: one of epochs, steps, minutes.
        precision: as Lightning names it.
        measures: what to measure; not part of the hash, since it doesn't change what is trained.
        suite: where it comes from; not part of the hash.
        threads: of the processor; None: all.
    """

    dataset: str
    method: str
    seed: int
    data: dict[str, Any]
    options: dict[str, Any]
    budget: dict[str, float]
    precision: str
    measures: list[str]
    fingerprint: str = ""
    suite: str = ""
    threads: int | None = None

    @cached_property
    def settings(self) -> str:
        """Hash of what seeds have in common."""
        data = {key: value for key, value in self.data.items() if key not in PLACE}
        return content_hash(
            [self.dataset, self.method, data, self.fingerprint, self.options, self.budget, self.precision, self.threads]
        )

    @cached_property
    def hash(self) -> str:
        """Hash of everything that decides the result."""
        return content_hash([self.settings, self.seed])

    @property
    def title(self) -> str:
        """For people: `colored_digits/simclr seed 0`."""
        return f"{self.dataset}/{self.method} seed {self.seed}"

    def folder(self, out: Path) -> Path:
        """Where everything about the cell lies."""
        return out / self.dataset / self.method / self.hash

    def complete(self, out: Path) -> bool:
        """Whether a valid record with every requested measure is there."""
        try:
            record = read_record(self.folder(out) / RECORD)
        except BadRecord:
            return False
        return record["cell"]["hash"] == self.hash and set(self.measures) <= set(record["config"]["measures"])

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
