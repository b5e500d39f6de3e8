"""Base of data sets whose images are made from known factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse.typing import PositiveInt
from PIL import Image

from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.datamodules.batches.split import Images, Split, SplitName, splits_at
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.families.stored import StoredDataModule
from disentangle_bench.datamodules.splits.stratified import three_way
from disentangle_bench.datamodules.targets import TargetSpec


class Grid(ImageDataModule):
    """Base of data sets that hold every combination of their factors once.

    Any random part of them has independent factors, in expectation: the training images are the probe split. A shift
    that holds out combinations of several factors makes the held-out ones depend on each other, in all splits but
    the test split, where each has one value.
    """

    order_tells = True

    def independent(self, split: SplitName) -> bool:
        """As for any data set where the domain is drawn by class; else unless a combination of values is held out.

        The test split is independent in either case, unless a shift changes how its domain is drawn.
        """
        return super().independent(split) if self.correlated else split == "test" or not self.entangled

    @property
    def entangled(self) -> tuple[str, ...]:
        """Targets of which a combination is held out."""
        held = self.shift.values if self.shift and self.shift.kind == "hold_out" else ()
        return tuple(name for name, _ in held if name) if len(held) > 1 else ()


class FactorDataModule(Grid, StoredDataModule):
    """Base of data sets with several factors, each of them a target.

    Args:
        domain: name of the target with classes that is the domain, what a representation should not know; the
            data set's own choice, if it has one, when not given.
        test_fraction: share of the images for the test split, where the publishers made none.
    """

    def __init__(self, *, domain: str | None = None, test_fraction: float = 0.2, **kwargs):
        super().__init__(**kwargs)
        if not 0 < test_fraction < 1:
            raise DataMismatch(f"test_fraction must lie between 0 and 1, got {test_fraction}")
        self.domain, self.test_fraction = domain, test_fraction

    def _seeded(self, labels: np.ndarray) -> dict[SplitName, np.ndarray]:
        """Rows of three splits, drawn with the proportions of `labels`."""
        return three_way(labels, val=self.val_fraction, test=self.test_fraction, seed=self.split_seed)

    def _finish(
        self,
        images: Images,
        digest: str,
        factors: dict[str, np.ndarray],
        specs: tuple[TargetSpec, ...],
        rows: dict[SplitName, np.ndarray],
    ) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits that share all images, and the targets with the domain that was asked for."""
        return splits_at(rows, images, factors, digest), with_domain(specs, self.domain, self.name)


def with_domain(specs: tuple[TargetSpec, ...], domain: str | None, name: str) -> tuple[TargetSpec, ...]:
    """The targets with `domain` in the role of the domain (the one that had the role becomes a style).

    If it was the only content, all other targets with classes become content: what DCoDR's authors read off 3D Shapes
    when the shape is the domain.

    Raises:
        DataMismatch: there is no such target with classes, or no content would be left.
    """
    if domain is None:
        return specs
    fit = [spec.name for spec in specs if spec.discrete]
    if domain not in fit:
        raise DataMismatch(f"domain {domain!r}: {name} has no such target with classes ({', '.join(fit)})")
    changed = []
    for spec in specs:
        if spec.name == domain:
            changed.append(replace(spec, role="domain"))
        else:
            changed.append(replace(spec, role="style") if spec.role == "domain" else spec)
    if not any(spec.role == "content" for spec in changed):
        changed = [replace(spec, role="content") if spec.discrete and spec.name != domain else spec for spec in changed]
    if not any(spec.role == "content" for spec in changed):
        raise DataMismatch(f"domain {domain!r} is the only content of {name}")
    return tuple(changed)


def check_factors(
    file: Path, values: np.ndarray, ranges: Mapping[str, tuple[float, float]], *, whole: Sequence[str] = ()
) -> None:
    """Refuse a published table of factors whose values can't be the published ones.

    Args:
        file: for the message.
        values: [N, F].
        ranges: name of each column, in order -> least and greatest value.
        whole: names of the columns that hold whole numbers.

    Raises:
        DataCorrupt: the shape or a value is wrong; the message names the file and the factor.
    """
    if values.ndim != 2 or values.shape[1] != len(ranges) or not np.issubdtype(values.dtype, np.number):
        raise DataCorrupt(f"{file}: factors are {values.dtype} {values.shape}, not numbers (N, {len(ranges)})")
    for column, (name, (least, greatest)) in zip(values.T, ranges.items(), strict=True):
        wrong = ~((column >= least - 1e-3) & (column <= greatest + 1e-3))  # true for NaN
        if name in whole:
            wrong |= column != np.floor(column)
        if wrong.any():
            raise DataCorrupt(
                f"{file}: {name} of image {int(wrong.argmax())} is {column[wrong.argmax()]}, not "
                f"{'a whole number ' if name in whole else ''}from {least:g} to {greatest:g}; get it again"
            )


def class_numbers(values: np.ndarray) -> np.ndarray:
    """int64 [N]: the rank of each value among those that occur."""
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)


def resized(images: np.ndarray, size: PositiveInt) -> Any:
    """Resize images one by one (bicubic, anti-aliased).

    Args:
        images: uint8 [N, H, W] or [N, H, W, 3].
        size: edge of the result.

    Returns:
        uint8 [N, 1 or 3, size, size].
    """
    out = np.empty((len(images), size, size, 1 if images.ndim == 3 else 3), np.uint8)
    for i, image in enumerate(images):
        pixels = Image.fromarray(np.ascontiguousarray(image)).resize((size, size), Image.Resampling.BICUBIC)
        out[i] = np.asarray(pixels).reshape(out.shape[1:])
    return out.transpose(0, 3, 1, 2)
