"""A cell: one method on one data set with one seed, known by the hash of everything that decides its result."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from disentangle_bench.evaluation.records import LOCATION_OPTIONS, Record
from disentangle_bench.files import file_name
from disentangle_bench.json_files import BadJson, from_dict


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
        options: every option of the method, defaults included.
        budget: one of epochs, steps, minutes.
        precision: as Lightning names it.
        measures: what to measure; not part of the hash, since it doesn't change what is trained.
        fingerprint: of the data themselves; it stands in the hash for where they lie and how they are fed.
        source: hash of the code of a method or data set from outside this package, and of the file of weights that the
            encoder starts from; empty if there are none.
        suite: where it comes from; not part of the hash.
        experiments: of the suite that it is a run of, `Experiment.entry` of each: labels, and what was published. Not
            part of the hash: a row that is called otherwise is the same run.
        threads: of the processor; None: all.
        tuned: draws that the method's options were chosen from, None: nobody chose; not part of the hash.
        tuned_at: budget that they were chosen with, where that isn't the run's; not part of the hash.
        by_hand: options of the method that the command line set, `lr` or `augmentation.grey_p` -> value; not part of
            the hash.
        imports: paths of measures from outside this package, such as `my_file.depth`; not part of the hash.
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
    source: str = ""
    suite: str = ""
    experiments: list[dict[str, Any]] = field(default_factory=list)
    threads: int | None = None
    tuned: int | None = None
    tuned_at: dict[str, float] = field(default_factory=dict)
    by_hand: dict[str, Any] = field(default_factory=dict)
    imports: list[str] = field(default_factory=list)

    @cached_property
    def settings(self) -> str:
        """Hash of what seeds have in common."""
        data = {key: value for key, value in self.data.items() if key not in LOCATION_OPTIONS}
        parts = (self.dataset, self.method, data, self.fingerprint, self.source, self.options, self.budget)
        return content_hash([*parts, self.precision, self.threads])

    @cached_property
    def hash(self) -> str:
        """Hash of everything that decides the result."""
        return content_hash([self.settings, self.seed])

    @property
    def title(self) -> str:
        """For people: `colored_digits/simclr seed 0`; labels of experiments stand for the method."""
        return f"{self.dataset}/{' = '.join(self.labels) or self.method} seed {self.seed}"

    @property
    def labels(self) -> list[str]:
        """Labels of the experiments."""
        return [entry["label"] for entry in self.experiments]

    def folder(self, out: Path) -> Path:
        """The run's folder; its name is the cell's hash."""
        return out / file_name(self.dataset) / file_name(self.method) / self.hash


def contradiction(record: Record) -> str | None:
    """A line on where a record's cell contradicts its configuration; None if nowhere, or if that isn't whole."""
    try:
        cell = from_dict(Cell, record["config"], "config")
    except BadJson:
        return None
    for name in ("dataset", "method", "seed", "settings", "hash"):
        if (gives := getattr(cell, name)) != (told := record["cell"][name]):
            return f"{name} of its cell is recorded as {told!r}, its configuration gives {gives!r}"
    return None
