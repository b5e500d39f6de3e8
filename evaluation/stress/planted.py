"""Codes whose truth is known: how much each one mixes factors, and how much of it is noise.

```
factors [N, 4] -> standardised -> rotated by `mixing` -> `noise` put in -> + more codes that say nothing, or copies
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import Space

TARGETS = (
    TargetSpec("first", "ordinal", 4, "content"),
    TargetSpec("second", "ordinal", 5, "domain"),
    TargetSpec("third", "ordinal", 6, "style"),
    TargetSpec("fourth", "ordinal", 8, "style"),
)
SIZES = tuple(target.size for target in TARGETS)
"""Numbers of values of the planted factors."""
SPLITS = {"train": 1.0, "val": 0.5, "test": 1.0, "probe": 1.0, "probe_val": 0.5}
"""Size of each split, as a share of what is asked for."""
NARROW = 128
"""Widest codes that are tried before everything else."""
SKEW = np.array([[0, 1, 1, 1], [-1, 0, -1, 1], [-1, 1, 0, -1], [-1, -1, 1, 0]])
"""cos t + sin t SKEW / sqrt(3) is a rotation for every t; at 60 degrees all its entries are as large."""
COPIED = 0.05
"""Deviation of the noise in which copies of a code differ."""


@dataclass(frozen=True)
class Condition:
    """A kind of planted codes, the same while the truth moves.

    Attributes:
        title: for tables and pictures.
        width: number of codes, the four of the factors among them.
        filler: what the others are: `noise`, or `copies` of the four with a little noise.
        scale: of the first code alone.
        follows: share of the images whose second factor follows the first.
    """

    title: str
    width: int = len(TARGETS)
    filler: Literal["noise", "copies"] = "noise"
    scale: float = 1.0
    follows: float = 0.0


def conditions(widths: Sequence[int]) -> tuple[Condition, ...]:
    """Conditions that measures are tried under, in this order; the first is the base that others are compared with."""
    wider = [Condition(f"{width} codes, rest noise", width) for width in sorted(widths)]
    return (
        Condition("4 codes"),
        *(one for one in wider if one.width <= NARROW),
        Condition("32 codes, copies", 32, "copies"),
        Condition("8 codes, one x 100", 8, scale=100.0),
        Condition("a factor follows 1/4", follows=0.25),
        Condition("a factor follows 1/2", follows=0.5),
        *(one for one in wider if one.width > NARROW),
    )


def plant(condition: Condition, mixing: float, noise: float, seed: int, images: int) -> Space:
    """A space of planted codes with all splits, under the name `features`.

    Args:
        condition: what is held.
        mixing: 0: a code for each factor; 1: every one of the four holds all factors alike.
        noise: share of each code's variance that is noise; 1: nothing is told.
        seed: of the factors and of the noise. Equal seeds give equal factors, whatever the rest.
        images: of the splits train, probe and test; the validation splits have half as many.
    """
    x, y = {}, {}
    for number, (split, share) in enumerate(SPLITS.items()):
        count = int(share * images)
        drawn = factors(count, condition.follows, np.random.default_rng([seed, number]))
        rng = np.random.default_rng([seed, number, 1])
        own = (drawn - drawn.mean(0)) / drawn.std(0)
        angle = mixing * np.pi / 3
        block = own @ (np.cos(angle) * np.eye(len(SKEW)) + np.sin(angle) * SKEW / np.sqrt(3))
        block = np.sqrt(1 - noise) * block + np.sqrt(noise) * rng.normal(size=block.shape)
        codes = rng.normal(size=(count, condition.width))
        if condition.filler == "copies":
            codes = block[:, np.resize(np.arange(len(SIZES)), condition.width)] + COPIED * codes
        codes[:, : len(SIZES)] = block
        codes[:, 0] *= condition.scale
        x[split] = codes.astype(np.float32)
        y[split] = {target.name: drawn[:, k] for k, target in enumerate(TARGETS)}
    return Space("features", x, y)


def factors(count: int, follows: float, rng: np.random.Generator) -> np.ndarray:
    """Values int64 [count, 4]; in a share `follows` of the rows the second factor has the first one's value."""
    drawn = np.stack([rng.integers(size, size=count) for size in SIZES], axis=1)
    linked = rng.random(count) < follows
    drawn[linked, 1] = drawn[linked, 0]
    return drawn
