"""STL-10: few labelled images, many unlabelled ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torchvision

from disentangle_bench.datamodules.base import PretrainOn
from disentangle_bench.datamodules.batches.split import Split, SplitName, splits_at
from disentangle_bench.datamodules.errors import DataCorrupt
from disentangle_bench.datamodules.families.stored import StoredDataModule
from disentangle_bench.datamodules.splits.stratified import three_way
from disentangle_bench.datamodules.targets import TargetSpec

NO_LABEL = -100
"""Class of an unlabelled image: what PyTorch's losses leave out by default (`ignore_index`)."""
EDGE = 96
BYTES = 3 * EDGE * EDGE


class STL10(StoredDataModule):
    """STL-10: 5,000 labelled training, 8,000 test and 100,000 unlabelled images, 96x96, 10 classes.

    Training batches are drawn from the labelled training split and, unless `pretrain_on` says otherwise, from the
    unlabelled images behind it (their class is -100, which PyTorch's losses ignore); `eval_dataloader` gives labelled
    images only.
    """

    name = "stl10"
    source = (
        "A. Coates, H. Lee, A. Ng: An Analysis of Single-Layer Networks in Unsupervised Feature Learning (2011), "
        "https://cs.stanford.edu/~acoates/stl10"
    )
    holds, usual_places = ("train_X.bin",), (torchvision.datasets.STL10.base_folder,)
    layout = "stl10_binary/ with train_X.bin, train_y.bin, test_X.bin, test_y.bin, unlabeled_X.bin, class_names.txt"
    licence = "none stated; images are from ImageNet, for research"
    CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")

    def __init__(self, *, pretrain_on: PretrainOn = "train+unlabeled", **kwargs):
        super().__init__(pretrain_on=pretrain_on, **kwargs)

    def download(self) -> tuple[str, Callable[[Path], object]]:
        """By torchvision."""
        tv = torchvision.datasets.STL10
        return tv.url, lambda folder: tv(str(folder), download=True)

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits of labelled images with the target `class`."""
        self._value_names = {"class": self.CLASSES}
        parts = ["train", "test", *(["unlabeled"] if self.pretrain_on in ("train+unlabeled", "all") else [])]
        files = [home / f"{part}_X.bin" for part in parts]
        for file in files:
            if not file.is_file() or not file.stat().st_size or file.stat().st_size % BYTES:
                size = file.stat().st_size if file.is_file() else "no file"
                raise DataCorrupt(f"{file}: {size}, not a whole number of 96x96 colour images; get it again")
        counts = [file.stat().st_size // BYTES for file in files]
        starts = np.cumsum([0, *counts])
        labels = np.full(starts[-1], NO_LABEL, np.int64)
        for part, start, count in zip(parts[:2], starts, counts, strict=False):
            labels[start : start + count] = self._labels(home / f"{part}_y.bin", count)

        def fill(out: np.ndarray) -> None:
            for file, start, count in zip(files, starts, counts, strict=False):
                images = np.memmap(file, np.uint8, "r", shape=(count, 3, EDGE, EDGE))  # column after column
                out[start : start + count] = images.transpose(0, 1, 3, 2)

        stored = self._store(home, files, (int(starts[-1]), 3, EDGE, EDGE), fill, parts=parts)
        test = np.arange(starts[1], starts[2])
        rows = three_way(labels[: starts[2]], val=self.val_fraction, test=test, seed=self.split_seed)
        splits = splits_at(rows, stored.images, {"class": labels}, stored.checksum)
        extra = np.arange(starts[2], starts[-1])
        self.unlabeled = Split(stored.images, {"class": labels[extra]}, extra, stored.checksum)
        return splits, (TargetSpec("class", "class", 10, "content"),)

    def _labels(self, file: Path, count: int) -> np.ndarray:
        labels = np.fromfile(file, np.uint8).astype(np.int64) - 1 if file.is_file() else np.empty(0)
        if len(labels) != count or labels.min() < 0 or labels.max() >= len(self.CLASSES):
            raise DataCorrupt(f"{file}: should hold {count} labels from 1 to {len(self.CLASSES)}; get it again")
        return labels
