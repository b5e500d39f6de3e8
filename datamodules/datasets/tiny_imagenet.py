"""Tiny ImageNet in its official layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt
from disentangle_bench.datamodules.families.class_folders import ClassFolders
from disentangle_bench.datamodules.storage.archives import read_lines
from disentangle_bench.datamodules.storage.image_files import scan, subfolders
from disentangle_bench.datamodules.targets import TargetSpec


class TinyImageNet(ClassFolders):
    """Tiny ImageNet: 100,000 training images, 64x64, 200 classes.

    Its 10,000 labelled validation images are the test split here (labels of its own test images are not public); the
    validation split is a stratified part of the training images.
    """

    name = "tiny_imagenet"
    source = "Stanford CS231n (2015), http://cs231n.stanford.edu/tiny-imagenet-200.zip"
    holds, usual_places = ("train/", "val/"), ("tiny-imagenet-200",)
    layout = "train/WNID/images/*.JPEG, val/images/*.JPEG, val/val_annotations.txt (the unpacked tiny-imagenet-200.zip)"
    licence = "that of ImageNet: non-commercial research and education"

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with the target `class`."""
        listing = scan(home, ["train", "val"])
        labels = listing.tops(2)
        test = listing.tops(1) == "val"
        of_file = _annotations(home / "val" / "val_annotations.txt")
        for row in np.flatnonzero(test):
            file = listing.names[row].rsplit("/", 1)[-1]
            if file not in of_file:
                raise DataCorrupt(f"{home / 'val' / 'val_annotations.txt'}: has no line for {file}")
            labels[row] = of_file[file]
        if missing := set(of_file) - {listing.names[row].rsplit("/", 1)[-1] for row in np.flatnonzero(test)}:
            raise DataCorrupt(f"{home / 'val' / 'images' / min(missing)}: missing, though val_annotations.txt names it")
        return self._train_and_test(listing, labels, subfolders(home / "train"), test, home / "train")


def _annotations(path: Path) -> dict[str, str]:
    """File name -> wnid, from lines `file<TAB>wnid<TAB>box`."""
    if not path.is_file():
        raise DataCorrupt(f"{path}: missing; it holds the labels of val/images, unpack the archive again")
    of_file = {}
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split("\t")
        if len(fields) < 2:
            raise DataCorrupt(f"{path}, line {number}: should be a file, a tab, and its class; is {line!r}")
        of_file[fields[0]] = fields[1]
    return of_file
