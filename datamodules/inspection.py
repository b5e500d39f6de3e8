"""Inspect a data set before training: a picture of some images, and a report of unreadable and duplicate files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from tabulate import tabulate

from disentangle_bench.datamodules.base import PROBES, SPLITS, ImageDataModule, SplitName
from disentangle_bench.datamodules.batches.split import Split
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.targets import TargetSpec

EXAMPLES = 10
"""Files or pairs that a report names, at most; all are counted."""


@dataclass
class Report:
    """Findings of `check`, as plain values.

    Attributes:
        name: of the data set.
        images: split -> number of images.
        image_shape: (channels, height, width).
        targets: of the data set, as plain dicts.
        table: for each class target of at most 200 values: name -> value -> split -> number of images.
        cross: value of the first domain -> value of the first content -> number of images; empty without a domain.
        crossed: names of these two, in words.
        unreadable: (file, reason) of images that cannot be decoded; they are in no split.
        ignored: files that are not images by their extension.
        duplicates: pair of splits -> number of images of the second whose pixels occur in the first.
        examples: (split and image, split and image) of some duplicates.
        fingerprint: of the data.
        probe: how the probe splits were made.
        left_out: split -> classes that don't occur in every domain there, so that their images have weight 0.
    """

    name: str
    images: dict[str, int]
    image_shape: tuple[int, int, int]
    targets: list[dict[str, Any]]
    table: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    cross: dict[str, dict[str, int]] = field(default_factory=dict)
    crossed: str = ""
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0
    duplicates: dict[str, int] = field(default_factory=dict)
    examples: list[tuple[str, str]] = field(default_factory=list)
    fingerprint: str = ""
    probe: str = ""
    left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """True if all images can be read and none is in two splits."""
        return not self.unreadable and not any(
            n for pair, n in self.duplicates.items() if len(set(pair.split("/"))) > 1
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def text(self) -> str:
        """The report for a terminal."""
        lines = [
            f"{self.name}: " + ", ".join(f"{count} {split}" for split, count in self.images.items()),
            f"images {' x '.join(map(str, self.image_shape))}, "
            f"{f'fingerprint {self.fingerprint}' if self.fingerprint else 'no fingerprint while files are unreadable'}",
            f"probe: {self.probe}",
            *(f"  {split}: weight 0 for {', '.join(values)}" for split, values in self.left_out.items()),
            f"unreadable files: {len(self.unreadable)}"
            + "".join(f"\n  {f}: {r}" for f, r in self.unreadable[:EXAMPLES])
            + ("\n  next: repair them, or leave them out with --set data.unreadable=skip" if self.unreadable else ""),
            f"other files, ignored: {self.ignored}",
            "duplicates: " + ", ".join(f"{pair} {count}" for pair, count in self.duplicates.items()),
            *(f"  {first} = {second}" for first, second in self.examples),
        ]
        for name, values in self.table.items():
            rows = [[value, *(str(counts[split]) for split in SPLITS)] for value, counts in values.items()]
            lines += ["", _aligned([[name, *SPLITS], *rows])]
        if self.cross:
            columns = list(next(iter(self.cross.values())))
            rows = [[domain, *(str(n) for n in counts.values())] for domain, counts in self.cross.items()]
            lines += ["", f"images by {self.crossed}", _aligned([["", *columns], *rows])]
        return "\n".join(lines)


def check(datamodule: ImageDataModule) -> Report:
    """Count images by split, class and domain, find files that cannot be read and images that are in two splits.

    Args:
        datamodule: built and not yet set up: one that would stop at unreadable files is told to skip them.

    Raises:
        DataNotFound: the data are not there.
        DataMismatch: the data cannot be split at all; the message says why.
    """
    if hasattr(datamodule, "unreadable") and "_loaded" not in datamodule.__dict__:
        try:
            datamodule.unreadable = "skip"
            datamodule.setup()
        except DataMismatch:
            datamodule.unreadable = "error"  # a stream cannot skip
    splits, unreadable = datamodule.splits, list(getattr(datamodule, "unreadable_files", []))
    report = Report(
        datamodule.name,
        {name: len(split) for name, split in splits.items()},
        datamodule.image_shape,
        [spec.as_dict() for spec in datamodule.targets],
        unreadable=unreadable,
        ignored=getattr(datamodule, "ignored_files", 0),
        probe=datamodule.probe_provenance.how,
    )
    content = next((spec for spec in datamodule.targets if spec.role == "content" and spec.discrete), None)
    if content:
        names = _names(datamodule, content)
        report.left_out = {s: [names[y] for y in lost] for s, lost in datamodule.probe_provenance.left_out.items()}
    for spec in datamodule.targets:
        if spec.discrete and spec.size <= 200:
            names = _names(datamodule, spec)
            counts = {name: np.bincount(splits[name].targets[spec.name], minlength=spec.size) for name in SPLITS}
            report.table[spec.name] = {
                value: {name: int(counts[name][number]) for name in SPLITS} for number, value in enumerate(names)
            }
    report.crossed, report.cross = _cross(datamodule)
    _find_duplicates(splits, report)
    if not report.unreadable:
        report.fingerprint = datamodule.fingerprint
    return report


def contact_sheet(datamodule: ImageDataModule, *, split: SplitName = "train", rows: int = 8) -> bytes:
    """Draw images of each class of the first content target with their other targets, as a PNG.

    Args:
        datamodule: the data set.
        split: which split to show.
        rows: images a class; at most 12 classes are shown.

    Returns:
        The picture, a PNG file.
    """
    shown, specs = datamodule.splits[split], datamodule.targets
    content = next((spec for spec in specs if spec.role == "content" and spec.discrete), specs[0])
    classes = np.asarray(shown.targets[content.name])
    columns = np.unique(classes)[:12]
    from matplotlib.figure import Figure

    generator = np.random.Generator(np.random.PCG64(0))  # the same picture each time
    figure = Figure(figsize=(1.5 * len(columns), 1.9 * rows + 0.6), dpi=100)
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for column, value in enumerate(columns):
        members = np.flatnonzero(classes == value)
        chosen = np.sort(generator.choice(members, min(rows, len(members)), replace=False))
        images = shown.take(chosen).transpose(0, 2, 3, 1)
        for row in range(rows):
            axis = axes[row, column]
            axis.set_axis_off()
            if row < len(chosen):
                axis.imshow(images[row].repeat(3, 2) if images.shape[3] == 1 else images[row])
                others = [spec for spec in specs if spec is not content][:6]
                axis.set_title("\n".join(_value(datamodule, s, shown, chosen[row]) for s in others), fontsize=6, pad=2)
        axes[0, column].text(
            0.5, 1.45, _value(datamodule, content, shown, members[0]), transform=axes[0, column].transAxes, ha="center"
        )
    probes = " and ".join(f"{name} {len(datamodule.splits[name])}" for name in PROBES)
    title = f"{datamodule.name}, {split}: {len(shown)} images\n{probes}: {datamodule.probe_provenance.how}"
    figure.suptitle(title, fontsize=7, wrap=True)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _find_duplicates(splits: dict[SplitName, Split], report: Report) -> None:
    """Count images whose pixels occurred before, by the pair of splits, and name a few."""
    seen: dict[bytes, tuple[SplitName, int]] = {}
    for name in SPLITS:
        for position, image_hash in enumerate(_hashes(splits[name], report)):
            if image_hash is None:
                continue
            first = seen.setdefault(image_hash, (name, position))
            if first != (name, position):
                pair = f"{first[0]}/{name}"
                report.duplicates[pair] = report.duplicates.get(pair, 0) + 1
                if len(report.examples) < EXAMPLES:
                    before = f"{first[0]} {splits[first[0]].name_of(first[1])}"
                    report.examples.append((before, f"{name} {splits[name].name_of(position)}"))
    for pair in ("train/val", "train/test", "val/test"):
        report.duplicates.setdefault(pair, 0)


def _hashes(split: Split, report: Report) -> Sequence[bytes | None]:
    """Hash of each image's pixels; None, and a line in the report, for those that cannot be read."""
    hashes: list[bytes | None] = []
    for start in range(0, len(split), 1024):
        positions = np.arange(start, min(start + 1024, len(split)))
        try:
            hashes += [_hash(image) for image in split.take(positions)]
        except DataCorrupt:  # a stream: find out which
            for position in positions:
                try:
                    hashes.append(_hash(split.take(np.array([position]))))
                except DataCorrupt as error:
                    report.unreadable.append((split.name_of(int(position)), str(error)))
                    hashes.append(None)
    return hashes


def _hash(image: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def _cross(datamodule: ImageDataModule) -> tuple[str, dict[str, dict[str, int]]]:
    domain, content = (
        next((s for s in datamodule.targets if s.role == role and s.discrete and s.size <= 200), None)
        for role in ("domain", "content")
    )
    if domain is None or content is None:
        return "", {}
    counts = np.zeros((domain.size, content.size), np.int64)
    for name in SPLITS:
        split = datamodule.splits[name]
        np.add.at(counts, (split.targets[domain.name], split.targets[content.name]), 1)
    columns = _names(datamodule, content)
    return f"{domain.name} (a row each) and {content.name}", {
        value: {column: int(counts[i, j]) for j, column in enumerate(columns)}
        for i, value in enumerate(_names(datamodule, domain))
    }


def _names(datamodule: ImageDataModule, spec: TargetSpec) -> list[str]:
    return list(datamodule.value_names.get(spec.name, [str(number) for number in range(spec.size)]))


def _value(datamodule: ImageDataModule, spec: TargetSpec, split: Split, position: int) -> str:
    value = split.targets[spec.name][position]
    return f"{spec.name} {_names(datamodule, spec)[value] if spec.discrete else format(float(value), '.2f')}"


def _aligned(rows: list[list[str]]) -> str:
    return tabulate(rows, tablefmt="plain", stralign="right", disable_numparse=True)
