"""What a data set's `load` returned, looked through before anything is made of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from disentangle_bench.datamodules.batches.split import SPLITS, Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.targets import TargetSpec


def check_loaded(loaded: Any) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
    """What `load` of a data set returned, which may be anybody's class.

    Raises:
        DataMismatch: it is something else than three splits and their targets, or a split has no image.
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
        if not len(splits[split_name]):
            raise DataMismatch(f"no image in the {split_name} split; each of {', '.join(SPLITS)} needs some")
        _check_targets(splits[split_name], specs, f"{split_name} split")
    return splits, specs


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
