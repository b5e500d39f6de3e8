"""Measures of features that need no labels."""

from __future__ import annotations

import math

import numpy as np

from disentangle_bench.evaluation.measures.base import NO_TARGET, Measure, Score, Space


def intrinsic(space: Space) -> dict[str, float]:
    """Effective rank (RankMe), variance by dimension and whether the test features have collapsed."""
    from disentangle_bench.evaluation.metrics.intrinsic import intrinsic_quality

    return intrinsic_quality(space.x["test"])


def uniformity(space: Space, *, points: int = 10_000, seed: int = 0) -> dict[str, float]:
    """How evenly test features, as rows of length 1, spread over the sphere."""
    from disentangle_bench.evaluation.metrics import invariance
    from disentangle_bench.evaluation.metrics.arrays import unit_rows

    rows = np.sort(np.random.default_rng(seed).permutation(len(space.x["test"]))[:points])
    return {"uniformity": invariance.uniformity(unit_rows(space.x["test"][rows], "test features"))}


MEASURES = (
    Measure(
        name="intrinsic",
        version=1,
        targets=NO_TARGET,
        splits="test",
        source="Garrido et al.: RankMe (ICML 2023); collapse as in Chen & He: SimSiam (CVPR 2021)",
        aspect="descriptive",
        scores={"rankme": Score(None, 0, math.inf, "none")},
        run=intrinsic,
    ),
    Measure(
        name="uniformity",
        version=1,
        targets=NO_TARGET,
        splits="10,000 images of test",
        source="Wang & Isola: Understanding Contrastive Representation Learning (ICML 2020), eq. 2",
        aspect="descriptive",
        scores={"uniformity": Score(None, -8, 0, "0 where all rows are equal")},
        run=uniformity,
    ),
)
