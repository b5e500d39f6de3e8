"""MNIST and Fashion-MNIST, grey, coloured and rotated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
import torchvision
from torchvision.transforms.functional import InterpolationMode, rotate

from disentangle_bench.datamodules.batches.split import Images, Split, SplitName, splits_at
from disentangle_bench.datamodules.errors import DataCorrupt
from disentangle_bench.datamodules.families.stored import StoredDataModule
from disentangle_bench.datamodules.splits import colouring, probe, shifts
from disentangle_bench.datamodules.splits.colouring import EqualChannels
from disentangle_bench.datamodules.splits.stratified import three_way
from disentangle_bench.datamodules.storage import idx
from disentangle_bench.datamodules.storage.image_cache import Stored
from disentangle_bench.datamodules.storage.on_demand import OnDemand
from disentangle_bench.datamodules.targets import TargetSpec

PREFIXES = ("train", "t10k")
ANGLES = (0, 15, 30, 45, 60, 75)


class MNIST(StoredDataModule):
    """60,000 training and 10,000 test images of handwritten digits, 28x28 grey.

    Given as 32x32 (2 black pixels around) with three equal channels. The validation split is a stratified part of the
    training images; the test split is the published one.
    """

    name = "mnist"
    source = "Y. LeCun, C. Cortes, C. Burges: The MNIST database, http://yann.lecun.com/exdb/mnist"
    layout = "{train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, each with .gz or without"
    licence = "CC BY-SA 3.0"
    mirror_symmetric = False
    CLASSES: ClassVar[tuple[str, ...]] = tuple("0123456789")
    TORCHVISION: ClassVar[type[torchvision.datasets.MNIST]] = torchvision.datasets.MNIST

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits of grey images with the target `class`."""
        self._value_names = {"class": self.CLASSES}
        stored, labels, rows = self._grey(home)
        splits = splits_at(rows, EqualChannels(stored.images), {"class": labels}, stored.checksum)
        return splits, (TargetSpec("class", "class", 10, "content"),)

    def _grey(self, home: Path) -> tuple[Stored, np.ndarray, dict[SplitName, np.ndarray]]:
        """Images uint8 [70000, 1, 32, 32], labels int64 [70000], and the rows of each split."""
        files = self._files(home)
        parts = [idx.read(file, 1) for file in files[2:]]
        labels = np.concatenate(parts).astype(np.int64)
        if labels.max(initial=0) >= len(self.CLASSES):
            raise DataCorrupt(f"{files[2].parent}: labels go up to {labels.max()}, {self.name} has {len(self.CLASSES)}")

        def fill(out: np.ndarray) -> None:
            done = 0
            for file, part in zip(files[:2], parts, strict=True):
                images = idx.read(file, 3)
                if images.shape != (len(part), 28, 28):
                    raise DataCorrupt(f"{file}: holds {images.shape}, its {len(part)} labels ask for 28x28 images")
                out[done : done + len(part), 0, 2:30, 2:30] = images
                done += len(part)

        stored = self._store(files[0].parent, files, (len(labels), 1, 32, 32), fill)
        test = np.arange(len(parts[0]), len(labels))
        return stored, labels, three_way(labels, val=self.val_fraction, test=test, seed=self.split_seed)

    def _files(self, home: Path) -> list[Path]:
        """The four files: images of both parts, labels of both parts."""
        kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
        return [idx.find(home, f"{p}-{kind}") or home / f"{p}-{kind}" for kind in kinds for p in PREFIXES]

    def download(self) -> tuple[str, Callable[[Path], object]]:
        """By torchvision."""
        tv = self.TORCHVISION
        return f"{tv.mirrors[0]}{tv.resources[0][0]}", lambda folder: tv(str(folder), download=True)

    def home(self, folder: Path) -> Path | None:
        """The folder of the files: the given one, or the one below it that torchvision downloads to."""
        for home in (folder, folder / "raw", folder / self.TORCHVISION.__name__ / "raw"):
            if all(idx.find(home, f"{p}-{k}") for p in PREFIXES for k in ("images-idx3-ubyte", "labels-idx1-ubyte")):
                return home
        return None


class FashionMNIST(MNIST):
    """Fashion-MNIST: 60,000 training and 10,000 test images of clothes in 10 classes, in MNIST's format."""

    name = "fashion_mnist"
    source = (
        "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST (2017), https://github.com/zalandoresearch/fashion-mnist, "
        "or Debian's package dataset-fashion-mnist"
    )
    licence = "MIT"
    mirror_symmetric = True
    CLASSES = tuple(torchvision.datasets.FashionMNIST.classes)
    TORCHVISION = torchvision.datasets.FashionMNIST
    SYSTEM = (Path("/usr/share/datasets/fashion-mnist"),)


class RotatedImages(OnDemand):
    """Grey images that are turned when a batch is taken; only the upright ones are stored.

    Args:
        upright: uint8 [M, 1, H, W].
        values: int [N], the number of each image's angle among `ANGLES`.
        of: int [N], which upright image is turned.
    """

    def __init__(self, upright: Images, values: np.ndarray, of: np.ndarray):
        self.upright, self.values, self.of = upright, values, of
        self.shape = (len(values), *upright.shape[1:])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        images, values = torch.from_numpy(self.upright[self.of[rows]]), torch.from_numpy(self.values[rows])
        for number, angle in enumerate(ANGLES):
            which = values == number
            images[which] = rotate(images[which], angle, InterpolationMode.BILINEAR)
        return images.numpy()


class _Coloured(MNIST):
    """Base of the coloured variants.

    Args:
        correlation: how often an image of the training and validation splits has its class's own domain value; the
            others draw theirs uniformly. In the test split the two are independent (unless `shift` says otherwise).
        domain_kind: `color` paints images in ten hues (target `color`); `rotation` turns them by 0, 15, .. 75 degrees
            (target `rotation`) and leaves them grey.
    """

    correlated = True

    def __init__(self, *, correlation: float = 0.8, domain_kind: Literal["color", "rotation"] = "color", **kwargs):
        super().__init__(**kwargs)
        colouring.check_correlation(correlation)
        self.correlation, self.domain_kind = correlation, domain_kind
        self.num_values = 10 if domain_kind == "color" else len(ANGLES)

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with the targets `class` and `color` or `rotation`."""
        names = colouring.hue_names(10) if self.domain_kind == "color" else tuple(map(str, ANGLES))
        self._value_names = {"class": self.CLASSES, self.domain_kind: names}
        stored, labels, rows = self._grey(home)
        in_test, seed = shifts.test_correlation(self.shift), self.split_seed
        values = colouring.draw_by_split(labels, rows, self.num_values, self.correlation, in_test, seed)
        images: Images
        if self.domain_kind == "color":
            painted = colouring.Painted(stored.images, values, 10)
            images, digest = painted, painted.digest(stored.checksum)
        else:
            turned = self._rotated(home, stored, values)
            images, digest = EqualChannels(turned.images), turned.checksum
        return splits_at(rows, images, {"class": labels, self.domain_kind: values}, digest), (
            TargetSpec("class", "class", 10, "content"),
            TargetSpec(self.domain_kind, "class", self.num_values, "domain"),
        )

    def redrawn(self, name: probe.ProbeName, split: Split) -> Split:
        """The images of a split with hues or angles drawn anew."""
        generator = self.probe_generator(name)
        if self.domain_kind == "color":
            return colouring.repainted(split, 10, "color", probe.LEAST[name], generator)
        assert split.rows is not None
        of, values = probe.draw_values(len(split), len(ANGLES), probe.LEAST[name], generator)
        targets = {"class": split.targets["class"][of], "rotation": values}
        return Split(EqualChannels(RotatedImages(self._upright, values, split.rows[of])), targets)

    def _rotated(self, home: Path, grey: Stored, values: np.ndarray) -> Stored:
        self._upright = grey.images

        turned = RotatedImages(grey.images, values, np.arange(len(values)))
        files = self._files(home)
        drawn = (self.correlation, str(self.shift), self.split_seed, self.val_fraction)
        return self._store(files[0].parent, files, grey.images.shape, turned.fill, rotations=drawn)


class ColoredMNIST(_Coloured):
    """MNIST with hues, or rotations, that are correlated with the class in training but not in test."""

    name = "colored_mnist"


class ColoredFashionMNIST(_Coloured, FashionMNIST):
    """Fashion-MNIST with hues, or rotations, that are correlated with the class in training but not in test."""

    name = "colored_fashion_mnist"
