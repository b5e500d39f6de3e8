"""Probe splits, in which content and domain are independent: probes of a space's information are fitted on them.

A probe of the domain that is fitted on images in which domain and class are correlated partly predicts the class, and
one fitted on a few hundred images finds too little. So every data set has `probe` and `probe_val` beside its
training and validation split: the same images drawn again with a domain of their own where they can be rendered
(`draw_values`), the same images weighted where they can't (`independence_weights`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.splits.stratified import joint_labels
from disentangle_bench.datamodules.targets import TargetSpec

ProbeName = Literal["probe", "probe_val"]
VERSION = 2
"""Part of every fingerprint: raise it when the same data and options would give other probe splits."""
MADE_FROM: dict[ProbeName, SplitName] = {"probe": "train", "probe_val": "val"}
LEAST: dict[ProbeName, int] = {"probe": 8_000, "probe_val": 1_500}
"""Images wanted in a probe split; fewer images are drawn several times, each in a new value of the domain."""


@dataclass(frozen=True)
class IndependentTargets:
    """Targets that should be independent in a probe split.

    Attributes:
        content: the first content target with classes.
        domains: what it should be independent of; several count as one, by their combinations.
    """

    content: str
    domains: tuple[str, ...]


def independent_targets(specs: Sequence[TargetSpec], entangled: Sequence[str] = ()) -> IndependentTargets | None:
    """The first content target with classes, and all domains with classes.

    Args:
        specs: the targets of a data set.
        entangled: names of further targets that depend on the content in this data set.

    Returns:
        None where there is no such content or nothing that it could depend on.
    """
    content = next((spec.name for spec in specs if spec.role == "content" and spec.discrete), None)
    domains = tuple(
        spec.name
        for spec in specs
        if spec.discrete and spec.name != content and (spec.role == "domain" or spec.name in entangled)
    )
    return IndependentTargets(content, domains) if content and domains else None


def draw_values(
    images: int, values: int, at_least: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw new values (hues, angles) for images, uniformly and independently of all that is known about them.

    Every image is drawn equally often: as often as `at_least` draws need, and never twice in the same value. Where
    twice as many draws are all that there can be, all are made: then image and value are independent exactly, not only
    in expectation, and what a probe finds doesn't depend on the draw.

    Args:
        images: how many there are.
        values: how many values there are.
        at_least: draws wanted.
        generator: source of the draw.

    Returns:
        int64 [N] which image is drawn, all of them before one is drawn again; int64 [N] in which value.
    """
    all_of_them = images * values <= 2 * at_least
    draws = values if all_of_them else max(1, math.ceil(at_least / images))
    orders = generator.permuted(np.tile(np.arange(values), (images, 1)), axis=1)
    return np.tile(np.arange(images), draws), orders[:, :draws].T.reshape(-1)


def independence_weights(content: np.ndarray, domain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights under which content and domain are independent, each with the proportions that it has.

    w(y, d) = p(y) p(d) / p(y, d). A class that doesn't occur in every domain would make this impossible: its images
    get weight 0, and the proportions are those of the images that are left. The weights of n images left sum to n.

    Args:
        content: int [N] classes y.
        domain: int [N] domains d.

    Returns:
        float32 [N] weights; int64, the classes that were left out.
    """
    _, y = np.unique(content, return_inverse=True)
    _, d = np.unique(domain, return_inverse=True)
    y, d = y.reshape(-1), d.reshape(-1)
    domains = int(d.max(initial=-1)) + 1
    cells, cell, counts = np.unique(y * domains + d, return_inverse=True, return_counts=True)
    occurs_in = np.bincount(cells // max(1, domains), minlength=int(y.max(initial=-1)) + 1)
    kept = (occurs_in == domains)[y]
    per_class, per_domain = np.bincount(y), np.bincount(d[kept], minlength=domains)
    expected = per_class[y] * (per_domain[d] / max(1, int(kept.sum())))
    weights = np.where(kept, expected / counts[cell.reshape(-1)], 0)
    return weights.astype(np.float32), np.unique(np.asarray(content)[~kept]).astype(np.int64)


@dataclass(frozen=True)
class ProbeProvenance:
    """Provenance of the probe splits of a data set.

    Attributes:
        how: one sentence.
        left_out: split -> classes of the first content target whose images have weight 0 there.
        held_out: how many images that were drawn anew are not there, since a shift keeps their like for the test split.
    """

    how: str
    left_out: dict[str, list[int]]
    held_out: int = 0


def add(
    splits: dict[SplitName, Split],
    specs: Sequence[TargetSpec],
    *,
    redrawn: Callable[[ProbeName, Split], Split | None],
    independent: Callable[[SplitName], bool],
    entangled: Sequence[str] = (),
    held_out: Callable[[Split], np.ndarray] | None = None,
) -> tuple[dict[SplitName, Split], ProbeProvenance]:
    """The splits with `probe` and `probe_val` beside them, and weights on `test` where it needs them.

    What a shift keeps for the test split is in neither, as it is in neither of the splits that they are made from: the
    condition that the test asks about must not be what options are chosen on.

    Args:
        splits: train, val and test.
        specs: their targets.
        redrawn: draws the images of a split anew for a probe split; None where they can't be rendered.
        independent: whether content and domain are independent in a split by the way it was made.
        entangled: further targets that depend on the content, see `independent_targets`.
        held_out: bool [N] for a split: the images that a shift keeps for the test split.

    Returns:
        five splits; the first three are the ones given, but for the weights of `test`.
    """
    asked = independent_targets(specs, entangled)
    left_out: dict[str, list[int]] = {}

    def weighted(name: SplitName, split: Split, by_construction: bool) -> Split:
        if asked is None or by_construction:
            return split
        domain = joint_labels(*(np.asarray(split.targets[target]) for target in asked.domains))
        weights, lost = independence_weights(np.asarray(split.targets[asked.content]), domain)
        if len(lost):
            left_out[name] = lost.tolist()
        return split if (weights == 1).all() else replace(split, weights=weights)

    made: dict[SplitName, Split] = {}
    drawn, dropped = False, 0
    for name, origin in MADE_FROM.items():
        anew = redrawn(name, splits[origin])
        drawn = anew is not None
        if anew is None:
            made[name] = weighted(name, splits[origin], independent(origin))
            continue
        kept = np.ones(len(anew), bool) if held_out is None else ~held_out(anew)
        dropped += int((~kept).sum())
        made[name] = anew if kept.all() else weighted(name, anew.select(np.flatnonzero(kept)), by_construction=False)
    test = weighted("test", splits["test"], independent("test"))
    if drawn:
        domains = ", ".join(asked.domains) if asked else "domain"
        how = f"training and validation images with {domains} drawn anew, independently of all else"
        how += ", without what the shift holds out" if dropped else ""
    elif independent("train"):
        how = "the training and validation images: a random part of all combinations of factors"
    elif asked is None:
        how = "the training and validation images: there is no domain to be independent of"
    else:
        joint = ", ".join(asked.domains)
        how = (
            f"the training and validation images, weighted by p({asked.content}) p({joint}) / "
            f"p({asked.content}, {joint})"
        )
    return splits | made | {"test": test}, ProbeProvenance(how, left_out, dropped)
