"""Waterbirds in its published layout."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt
from disentangle_bench.datamodules.families.stored import ImageFileDataModule
from disentangle_bench.datamodules.storage.archives import read_lines
from disentangle_bench.datamodules.storage.image_files import listing_of
from disentangle_bench.datamodules.targets import TargetSpec

TABLE, FOLDER = "metadata.csv", "waterbird_complete95_forest2water2"
NUMBERS = {"y": 2, "place": 2, "split": 3}
"""Columns that are read beside the file's name, and how many values each has."""


class Waterbirds(ImageFileDataModule):
    """Waterbirds: 11,788 birds, cut out and put before land or water.

    Of the training images 95 % show a bird before its own background; in validation and test each kind of bird is
    half and half. Targets: `bird` (landbird or waterbird, content) and `place` (land or water, domain). The published
    splits.
    """

    name = "waterbirds"
    source = (
        "S. Sagawa, P. W. Koh, T. Hashimoto, P. Liang: Distributionally Robust Neural Networks for Group Shifts "
        "(2020), https://github.com/kohpangwei/group_DRO"
    )
    holds, usual_places = (TABLE,), (FOLDER,)
    layout = f"{TABLE} and the folders of images that it names (from {FOLDER}.tar.gz)"
    licence = "none stated; made from Caltech-UCSD Birds-200-2011 and Places, for research"

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """The published splits with the targets `bird` and `place`."""
        self._value_names = {"bird": ("landbird", "waterbird"), "place": ("land", "water")}
        names, table = _table(home / TABLE)
        splits: dict[SplitName, np.ndarray] = {
            "train": np.flatnonzero(table["split"] == 0),
            "val": np.flatnonzero(table["split"] == 1),
            "test": np.flatnonzero(table["split"] == 2),
        }
        if empty := [name for name, rows in splits.items() if not len(rows)]:
            raise DataCorrupt(f"{home / TABLE}: no image of the {empty[0]} split; get it again")
        specs = (TargetSpec("bird", "class", 2, "content"), TargetSpec("place", "class", 2, "domain"))
        targets = {"bird": table["y"], "place": table["place"]}
        return self._splits(listing_of(home, names), targets, splits), specs


def _table(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Files, and int64 [N] of each of `NUMBERS`."""
    lines = list(csv.DictReader(read_lines(path)))
    try:
        names = [line["img_filename"] for line in lines]
        found = {key: np.array([int(line[key]) for line in lines], np.int64) for key in NUMBERS}
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        columns = ", ".join(("img_filename", *NUMBERS))
        raise DataCorrupt(f"{path}: each line should have {columns} ({error!r}); get it again") from error
    for key, count in NUMBERS.items():
        wrong = (found[key] < 0) | (found[key] >= count)
        if wrong.any():
            raise DataCorrupt(f"{path}: {key} of {names[int(wrong.argmax())]} is {found[key][wrong.argmax()]}")
    return names, found
