"""Handwritten digits that ship inside scikit-learn, grey and coloured."""

from typing import Literal

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate

from disentangle_bench.datamodules.base import ImageDataModule, Split, SplitName
from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.datamodules.splits import colouring, probe, shifts
from disentangle_bench.datamodules.splits.stratified import three_way
from disentangle_bench.datamodules.targets import TargetSpec


class Digits(ImageDataModule):
    """1,797 real 8x8 handwritten digits, upscaled, with 3 equal channels; a fifth is the test split.

    Args:
        image_size: edge of the images; 8 are the pixels as they were scanned.
    """

    name = "digits"
    source = "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits (UCI, 1998), test part; in scikit-learn"
    licence = "CC BY 4.0"
    mirror_symmetric = False

    def __init__(self, *, image_size: Literal[8, 16, 32] = 32, **kwargs):
        super().__init__(**kwargs)
        if image_size not in (8, 16, 32):
            raise DataMismatch(f"image_size is 8, 16 or 32, got {image_size}")
        self.image_size = image_size

    def load(self) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits of grey images with the target `class`."""
        grey, labels, positions = self._grey()
        splits = {
            name: Split(np.repeat(grey[rows][:, None], 3, axis=1), {"class": labels[rows]})
            for name, rows in positions.items()
        }
        return splits, (TargetSpec("class", "class", 10, "content"),)

    def _grey(self) -> tuple[np.ndarray, np.ndarray, dict[SplitName, np.ndarray]]:
        """Images uint8 [1797, size, size], labels int64 [1797], and the positions of each split."""
        bunch = load_digits()
        images = torch.from_numpy(bunch.images)[:, None] / 16  # intensities 0 .. 16
        large = interpolate(images, size=(self.image_size, self.image_size), mode="bilinear", align_corners=False)[:, 0]
        grey = (large * 255).round().to(torch.uint8).numpy()
        labels = bunch.target.astype(np.int64)
        return grey, labels, three_way(labels, val=self.val_fraction, test=0.2, seed=self.split_seed)


class ColoredDigits(Digits):
    """The digits in ten hues, which are correlated with the class in training but not in test.

    Args:
        correlation: how often an image of the training and validation splits has its class's own hue; the others
            draw theirs uniformly. In the test split class and hue are independent, unless `shift` says otherwise.
    """

    name = "colored_digits"
    correlated = True

    def __init__(self, *, correlation: float = 0.8, **kwargs):
        super().__init__(**kwargs)
        colouring.check_correlation(correlation)
        self.correlation = correlation

    def load(self) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits of coloured images with the targets `class` and `color`."""
        self._value_names = {"color": colouring.hue_names(10)}
        grey, labels, positions = self._grey()
        in_test = shifts.test_correlation(self.shift)
        hues = colouring.draw_by_split(labels, positions, 10, self.correlation, in_test, self.split_seed)
        splits = {
            name: Split(colouring.paint(grey[rows], hues[rows], 10), {"class": labels[rows], "color": hues[rows]})
            for name, rows in positions.items()
        }
        return splits, (
            TargetSpec("class", "class", 10, "content"),
            TargetSpec("color", "class", 10, "domain"),
        )

    def redrawn(self, name: probe.ProbeName, split: Split) -> Split:
        """The digits of a split, each in several hues drawn anew."""
        return colouring.repainted(split, 10, "color", probe.LEAST[name], self.probe_generator(name))
