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
    splits, specs = loaded if isinstance(loaded, tuple) and len(loaded) == 2 else (None, None)
    if not (
        isinstance(splits, dict)
        and set(splits) == set(SPLITS)
        and all(isinstance(split, Split) for split in splits.values())
        and isinstance(specs, tuple)
        and specs
        and all(isinstance(spec, TargetSpec) for spec in specs)
        and all(spec.name in split.targets for spec in specs for split in splits.values())
    ):
        raise DataMismatch(
            f"load() returns {type(loaded).__name__} {str(loaded)[:80]!r}; it should return a dict with "
            f"a Split for each of {', '.join(map(repr, SPLITS))}, and a tuple with a TargetSpec for each target in them"
        )
    for split_name in SPLITS:
        split = splits[split_name]
        if not len(split):
            raise DataMismatch(f"no image in the {split_name} split; each of {', '.join(SPLITS)} needs some")
        kind = getattr(split.images, "dtype", np.uint8)  # images made on demand don't say it
        if kind != np.uint8 or len(split.images.shape) != 4:
            raise DataMismatch(
                f"{split_name} split: images are {kind} {tuple(split.images.shape)}; they should be uint8 [N, C, H, W]"
            )
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


def _check_targets(split: Split, specs: tuple[TargetSpec, ...], whose: str) -> None:
    """Raise DataCorrupt where a target's values can't be what its specification says."""
    for spec in specs:
        values = np.asarray(split.targets[spec.name])
        if values.shape != (len(split),):
            raise DataCorrupt(f"{whose}: {len(split)} images, but values of target {spec.name!r} are {values.shape}")
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
