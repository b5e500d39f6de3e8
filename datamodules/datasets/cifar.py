"""CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torchvision
from torchvision.datasets.utils import check_integrity

from disentangle_bench.datamodules.batches.split import Split, SplitName, splits_at
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.families.class_folders import ClassFolders
from disentangle_bench.datamodules.splits.stratified import three_way
from disentangle_bench.datamodules.targets import TargetSpec

EDGE = 32


class CIFAR10(ClassFolders):
    """CIFAR-10: 50,000 training and 10,000 test images, 32x32, 10 classes.

    `root` holds the published folder `cifar-10-batches-py`, or the same images as files in class folders,
    `train/CLASS/*` and `test/CLASS/*` (then read as `image_folder` does). The published files are pickles, which can
    run code when read: they are read only after their MD5 is what the publishers say; `image_size`, `feed` and
    `unreadable` are for class folders. The validation split is a stratified part of the training images.
    """

    name = "cifar10"
    source = (
        "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009), "
        "https://www.cs.toronto.edu/~kriz/cifar.html"
    )
    layout = "cifar-10-batches-py/ (the unpacked cifar-10-python.tar.gz), or train/CLASS/* and test/CLASS/*"
    licence = "none stated; made for research from images found on the web"
    TORCHVISION: ClassVar[type[torchvision.datasets.CIFAR10]] = torchvision.datasets.CIFAR10
    LABELS: ClassVar[dict[str, tuple[str, str]]] = {"class": ("labels", "label_names")}
    """Target name -> keys of its values in the batch files and of their names in the meta file."""

    def download(self) -> tuple[str, Callable[[Path], object]]:
        """By torchvision."""
        return self.TORCHVISION.url, lambda folder: self.TORCHVISION(str(folder), download=True)

    def home(self, folder: Path) -> Path | None:
        """The published folder in it, or the folder itself if it holds class folders."""
        published = folder / self.TORCHVISION.base_folder
        if published.is_dir():
            return published
        return folder if (folder / "train").is_dir() and (folder / "test").is_dir() else None

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with the target `class` (and `superclass` for CIFAR-100)."""
        return self._load_batches(home) if home.name == self.TORCHVISION.base_folder else self._load_official(home)

    def _load_batches(self, folder: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        self._refuse_options()
        tv = self.TORCHVISION
        files = [(folder / name, md5) for name, md5 in (*tv.train_list, *tv.test_list)]
        meta = _unpickle(folder / tv.meta["filename"], tv.meta["md5"])
        batches = [_unpickle(file, md5) for file, md5 in files]
        self._value_names = {target: list(meta[names]) for target, (_, names) in self.LABELS.items()}
        targets = {
            target: np.concatenate([np.asarray(batch[key], np.int64) for batch in batches])
            for target, (key, _) in self.LABELS.items()
        }

        def fill(out: np.ndarray) -> None:
            np.concatenate([batch["data"] for batch in batches], out=out.reshape(len(out), -1))

        total = len(targets["class"])
        stored = self._store(folder, [file for file, _ in files], (total, 3, EDGE, EDGE), fill)
        num_train = sum(len(batch["data"]) for batch in batches[: len(tv.train_list)])
        held = np.arange(num_train, total)
        rows = three_way(targets["class"], val=self.val_fraction, test=held, seed=self.split_seed)
        specs = tuple(TargetSpec(name, "class", len(names), "content") for name, names in self._value_names.items())
        return splits_at(rows, stored.images, targets, stored.checksum), specs

    def _refuse_options(self) -> None:
        """Raise DataMismatch if an option for image files is set: the published ones hold arrays."""
        fixed = {"image_size": (None, EDGE), "feed": ("auto", "memory"), "unreadable": ("error",)}
        for option, values in fixed.items():
            if (given := getattr(self, option)) not in values:
                raise DataMismatch(
                    f"{option} {given!r}: the published files of {self.name} hold {EDGE}x{EDGE} pixels, read as they "
                    f"are into memory; leave {option} out, or give the images as files in class folders"
                )


class CIFAR100(CIFAR10):
    """CIFAR-100: 50,000 training and 10,000 test images, 32x32, 100 classes in 20 superclasses.

    Targets `class` and `superclass`. Read from the published `cifar-100-python` only, which alone knows superclasses.
    """

    name = "cifar100"
    layout = "cifar-100-python/ (the unpacked cifar-100-python.tar.gz)"
    TORCHVISION = torchvision.datasets.CIFAR100
    LABELS: ClassVar[dict[str, tuple[str, str]]] = {
        "class": ("fine_labels", "fine_label_names"),
        "superclass": ("coarse_labels", "coarse_label_names"),
    }

    def home(self, folder: Path) -> Path | None:
        """The published folder in it."""
        published = folder / self.TORCHVISION.base_folder
        return published if published.is_dir() else None


def _unpickle(path: Path, md5: str) -> dict[str, Any]:
    """Read one of the published files, after making sure that it is that file."""
    if not check_integrity(str(path), md5):
        what = (
            "is not the published file (its MD5 differs); get it again"
            if path.is_file()
            else "is missing; get the whole folder again"
        )
        raise DataCorrupt(f"{path} {what}")
    with path.open("rb") as file:
        return pickle.load(file, encoding="latin1")
