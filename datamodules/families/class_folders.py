"""Base of data sets that lie in class folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.families.stored import ImageFileDataModule
from disentangle_bench.datamodules.splits.stratified import three_way
from disentangle_bench.datamodules.storage.image_files import Listing, scan, subfolders
from disentangle_bench.datamodules.targets import TargetSpec

VAL_FOLDERS = ("val", "valid", "validation")
SPLIT_FOLDERS = frozenset((*VAL_FOLDERS, "train", "training", "test", "testing"))
"""Names of folders that hold splits, in lower case."""


class ClassFolders(ImageFileDataModule):
    """Base of data sets whose files lie in class folders."""

    def _load_official(self, root: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        val = next((name for name in VAL_FOLDERS if (root / name).is_dir()), None)
        test = "test" if (root / "test").is_dir() else None
        if val is None and test is None:
            raise DataMismatch(f"{root}: has train but neither val nor test; add one, or put the classes in it")
        if test is None:
            val, test = None, val
        folders = [name for name in ("train", val, test) if name]
        classes = subfolders(root / "train")
        listing = in_classes(scan(root, folders))
        tops, splits = listing.tops(2), listing.tops(1)
        for folder in folders:
            inside = splits == folder
            if not inside.any():
                raise DataMismatch(
                    f"{root / folder}: no image in a class folder; they should lie in {folder}/CLASS/, as in train"
                )
            strangers = sorted(set(tops[inside]) - set(classes))
            if strangers:
                raise DataMismatch(f"{root / folder / strangers[0]}: class without training images in {root / 'train'}")
            for name in subfolders(root / folder):
                if not (inside & (tops == name)).any():
                    raise DataCorrupt(f"{root / folder / name}: class folder without images; fill or delete it")
        labels = class_numbers(tops, classes, root / "train")
        held = np.flatnonzero(splits == test)
        rows: dict[SplitName, np.ndarray]
        if val is None:
            rows = three_way(labels, val=self.val_fraction, test=held, seed=self.split_seed)
        else:
            rows = {"train": np.flatnonzero(splits == "train"), "val": np.flatnonzero(splits == val), "test": held}
        return self._finish(listing, {"class": (labels, classes)}, rows)

    def _train_and_test(
        self, listing: Listing, values: np.ndarray, classes: list[str], is_test: np.ndarray, folder: Path
    ) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits of files of which class (`values`) and test split are known; `folder` holds the `classes`."""
        train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
        if strangers := sorted(set(values[test]) - set(classes)):
            raise DataMismatch(f"test images of class {strangers[0]!r}, which has no training images in {folder}")
        class_numbers(values[train], classes, folder)  # refuses classes without a training image
        labels = class_numbers(values, classes, folder)
        rows = three_way(labels, val=self.val_fraction, test=test, seed=self.split_seed)
        return self._finish(listing, {"class": (labels, classes)}, rows)

    def _finish(
        self, listing: Listing, targets: dict[str, tuple[np.ndarray, list[str]]], rows: dict[SplitName, np.ndarray]
    ) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        self._value_names = {name: names for name, (_, names) in targets.items()}
        specs = tuple(
            TargetSpec(name, "class", len(names), "content" if name == "class" else "domain")
            for name, names in self._value_names.items()
        )
        return self._splits(listing, {name: values for name, (values, _) in targets.items()}, rows), specs


def refuse_split_folders(root: Path, names: Iterable[str], what: str) -> None:
    """Raise DataMismatch if a folder that should be of a class or a domain is called as a split is."""
    for name in names:
        if name.casefold() in SPLIT_FOLDERS:
            raise DataMismatch(
                f"{root / name}: the folder of a split, by its name, where {what} should be; splits are folders "
                "`train` with `test` or `val`, in lower case, with class folders in them (and without domains)"
            )


def in_classes(listing: Listing) -> Listing:
    """Without the files that lie beside class folders; they are counted as ignored."""
    inside = listing.tops(2) != ""
    chosen = listing.select(inside)
    return Listing(chosen.root, chosen.names, chosen.stamps, listing.ignored + int((~inside).sum()))


def class_numbers(values: np.ndarray, names: list[str], root: Path) -> np.ndarray:
    """int64 class numbers; refuses fewer than two classes and classes without an image."""
    if len(names) < 2:
        what = f"only the folder {names[0]!r}" if names else "no folder"
        raise DataMismatch(f"{root}: {what} where class folders should be, and at least two of them")
    numbers = {name: number for number, name in enumerate(names)}
    labels = np.array([numbers[value] for value in values], np.int64)
    counts = np.bincount(labels, minlength=len(names))
    if not counts.all():
        raise DataCorrupt(f"{root / names[int(counts.argmin())]}: class folder without images; fill or delete it")
    return labels
