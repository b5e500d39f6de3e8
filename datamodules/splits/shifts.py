"""Changes between training and test data, by name.

- `leave_out:sketch` (or `leave_out:domain=sketch`): the test split is all images of one domain, from whichever split;
  training and validation see the others. Images of the other domains in the old test split stay unused, so that
  runs with different domains left out train on the same images where they can.
- `hold_out:color=red,shape=square`: the test split is all images with this combination of values, from whichever
  split; training and validation never see it (but see each value in other combinations).
- `correlation:0.2`: the test split of a coloured data set has this correlation of colour and class instead of none.

Values go by name or by number. The first two only re-arrange splits, so they work for any data set with such targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.datamodules.splits.colouring import check_correlation
from disentangle_bench.datamodules.targets import TargetSpec

ValueNames = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Shift:
    """A parsed shift: its kind, with pairs of a target's name (None: the domain) and value, or a correlation."""

    kind: Literal["leave_out", "hold_out", "correlation"]
    values: tuple[tuple[str | None, str], ...] = ()
    correlation: float = 0.0


def parse(text: str) -> Shift:
    """Read a shift's name.

    Raises:
        DataMismatch: it is not one of the three forms.
    """
    kind, _, rest = text.partition(":")
    pairs = [(left.strip(), right.strip()) for left, sep, right in (p.partition("=") for p in rest.split(",")) if sep]
    if kind == "leave_out" and rest.strip() and not pairs:
        return Shift("leave_out", ((None, rest.strip()),))
    if kind in ("leave_out", "hold_out") and pairs and len(pairs) == rest.count(",") + 1:
        return Shift(kind, tuple(pairs))  # type: ignore[arg-type]
    if kind == "correlation":
        try:
            correlation = float(rest)
            check_correlation(correlation)
        except ValueError:
            raise DataMismatch(f"shift {text!r}: correlation is a number in [0, 1]") from None
        return Shift("correlation", correlation=correlation)
    raise DataMismatch(
        f"shift {text!r} is none of leave_out:DOMAIN, hold_out:TARGET=VALUE[,TARGET=VALUE...], correlation:NUMBER"
    )


def test_correlation(shift: Shift | None) -> float:
    """Correlation of colour and class in the test split: none, unless the shift says otherwise."""
    return shift.correlation if shift and shift.kind == "correlation" else 0.0


def test_is_drawn_independently(shift: Shift | None) -> bool:
    """True if domain and class are independent in the test split, as they are where it is drawn for itself.

    `leave_out` and `hold_out` move training and validation images, in which they are correlated, to the test split.
    """
    return shift is None or (shift.kind == "correlation" and shift.correlation == 0)


def apply(
    shift: Shift,
    splits: dict[SplitName, Split],
    specs: tuple[TargetSpec, ...],
    names: ValueNames,
) -> dict[SplitName, Split]:
    """Re-arrange splits for `leave_out` and `hold_out`; `correlation` has been seen to where colours are drawn.

    Args:
        shift: what to do.
        splits: the three splits.
        specs: their targets.
        names: of the values of targets, where they have names.

    Raises:
        DataMismatch: no such target or value, or a split would be empty.
    """
    if shift.kind == "correlation":
        return splits
    out = {name: held_out(shift, split, specs, names) for name, split in splits.items()}
    shifted: dict[SplitName, Split] = {
        "train": splits["train"].select(np.flatnonzero(~out["train"])),
        "val": splits["val"].select(np.flatnonzero(~out["val"])),
        "test": stack([split.select(np.flatnonzero(out[name])) for name, split in splits.items()]),
    }
    for name, split in shifted.items():
        if not len(split):
            raise DataMismatch(f"shift {shift.kind} of {shift.values} leaves no image in the {name} split")
    return shifted


def held_out(shift: Shift, split: Split, specs: tuple[TargetSpec, ...], names: ValueNames) -> np.ndarray:
    """Mask, bool [N], of a split's images that `leave_out` or `hold_out` moves to the test split (none: `correlation`).

    Raises:
        DataMismatch: no such target or value.
    """
    if shift.kind == "correlation":
        return np.zeros(len(split), bool)
    conditions = []
    for target, value in shift.values:
        spec = _spec(target, shift.kind, specs)
        conditions.append((spec.name, _number(value, spec, names)))
    return np.logical_and.reduce([np.asarray(split.targets[t]) == number for t, number in conditions])


def _spec(target: str | None, kind: str, specs: tuple[TargetSpec, ...]) -> TargetSpec:
    """The target meant; for `leave_out` it must be a domain, and may go unnamed."""
    fit = [spec for spec in specs if spec.discrete and (kind == "hold_out" or spec.role == "domain")]
    for spec in fit:
        if target in (None, spec.name):
            return spec
    what = "domain" if kind == "leave_out" else "target with classes"
    known = ", ".join(spec.name for spec in fit) or "none"
    raise DataMismatch(f"shift {kind}: no {what} {target or ''!r} in these data (there is: {known})")


def _number(value: str, spec: TargetSpec, names: ValueNames) -> int:
    """The class number behind a value's name."""
    known = list(names.get(spec.name, ()))
    if value in known:
        return known.index(value)
    if value.isdecimal() and int(value) < spec.size:
        return int(value)
    choice = ", ".join(known) if known else f"0 .. {spec.size - 1}"
    raise DataMismatch(f"shift: target {spec.name!r} has no value {value!r} (there is: {choice})")


def stack(splits: list[Split]) -> Split:
    """All images of several splits as one, without a copy where they share their images."""
    first = splits[0]
    targets = {name: np.concatenate([split.targets[name] for split in splits]) for name in first.targets}
    if all(split.images is first.images for split in splits):
        rows = np.concatenate([np.arange(len(split.images)) if split.rows is None else split.rows for split in splits])
        return Split(first.images, targets, rows, first.digest, first.names)
    return Split(np.concatenate([split.take(np.arange(len(split))) for split in splits]), targets)
