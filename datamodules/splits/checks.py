"""Checks of what a data set's `load` returns, before anything is made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from disentangle_bench.datamodules.batches.split import SPLITS, Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.targets import TargetSpec


def check_loaded(loaded: Any) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
    """The splits and targets that `load` of a data set, possibly a user's own class, returned.

    Returns:
        As returned, the values of targets with classes as int64.

    Raises:
        DataMismatch: not three splits of uint8 images [N, C, H, W] with their targets, a split without an image, or no
            target in the role of the content.
        DataCorrupt: values of a target can't be what its specification says.
    """
    if problem := _wrong_form(loaded):
        raise DataMismatch(
            f"load() returns {problem}; it should return a dict with a Split for each of "
            f"{', '.join(map(repr, SPLITS))}, and a tuple with a TargetSpec for each target in them"
        )
    splits, specs = loaded
    for split_name in SPLITS:
        split = splits[split_name]
        if not len(split):
            raise DataMismatch(f"no image in the {split_name} split; each of {', '.join(SPLITS)} needs some")
        _check_images(split.images, f"{split_name} split")
        _check_targets(split, specs, f"{split_name} split")
    if not any(spec.role == "content" for spec in specs):
        raise DataMismatch(
            f"none of the targets {', '.join(spec.name for spec in specs)} has the role `content`: give it to what a "
            "representation should know"
        )
    return {name: _with_class_numbers(splits[name], specs) for name in splits}, specs


def _with_class_numbers(split: Split, specs: tuple[TargetSpec, ...]) -> Split:
    """The split with int64 values of targets with classes; itself if it has them."""
    values = {spec.name: np.asarray(split.targets[spec.name]) for spec in specs if spec.discrete}
    cast = {name: array.astype(np.int64) for name, array in values.items() if array.dtype != np.int64}
    return replace(split, targets=split.targets | cast) if cast else split


def _wrong_form(loaded: Any) -> str:
    """What stands where something else should; "" where all is as it should be."""
    if not (isinstance(loaded, tuple) and len(loaded) == 2):
        return f"a {type(loaded).__name__}"
    splits, specs = loaded
    if not isinstance(splits, dict) or set(splits) != set(SPLITS):
        return f"splits {', '.join(map(repr, splits))}" if isinstance(splits, dict) else f"a {type(splits).__name__}"
    for name, split in splits.items():
        if not isinstance(split, Split):
            return f"a {type(split).__name__} for {name!r}"
    if not isinstance(specs, tuple) or not all(isinstance(spec, TargetSpec) for spec in specs):
        return f"a {type(specs).__name__} for the targets"
    if not specs:
        return "no target"
    absent = [(spec.name, name) for spec in specs for name, split in splits.items() if spec.name not in split.targets]
    return "no values of target {!r} in its {} split".format(*absent[0]) if absent else ""


def _check_images(images: Any, whose: str) -> None:
    """Raise DataMismatch for images that batches can't hold; those that are made on demand have no dtype."""
    shape, kind = getattr(images, "shape", None), getattr(images, "dtype", np.dtype(np.uint8))
    last = shape is not None and len(shape) == 4 and shape[1] > 4 >= shape[3]
    if shape is None or len(shape) != 4 or kind != np.uint8 or last:
        found = f"a {type(images).__name__}" if shape is None else f"{kind} {tuple(shape)}"
        hint = ": images.transpose(0, 3, 1, 2)" if last else ""
        raise DataMismatch(f"{whose}: its images are {found}, uint8 [N, C, H, W] is needed{hint}")


def _check_targets(split: Split, specs: tuple[TargetSpec, ...], whose: str) -> None:
    """Raise DataCorrupt where a target's values can't be what its specification says."""
    for spec in specs:
        values = np.asarray(split.targets[spec.name])
        if values.shape != (len(split),):
            raise DataCorrupt(f"{whose}: {len(split)} images, but values of target {spec.name!r} are {values.shape}")
        if values.dtype.kind not in "buif":
            raise DataCorrupt(f"{whose}: values of target {spec.name!r} are {values.dtype}, numbers are needed")
        if spec.discrete:
            wrong = (values < 0) | (values >= spec.size) | (values != np.floor(values))
        else:
            wrong = ~np.isfinite(values)
        if wrong.any():
            first = int(wrong.argmax())
            should = f"a whole number from 0 to {spec.size - 1}" if spec.discrete else "a finite number"
            raise DataCorrupt(
                f"{whose}: target {spec.name!r} of {split.name_of(first)} is {values[first]}, not {should}"
                f" ({int(wrong.sum())} such values)"
            )
