"""Images that share the value of one factor, for the scores that hold one."""

import numpy as np

from disentangle_bench.evaluation.metrics.disentanglement.checks import Ints

CODES = 2**25
"""Drawn codes that a sampler holds at a time."""


def sharing(factors: Ints, factor: Ints, rows: Ints, rng: np.random.Generator) -> Ints:
    """For each of rows [P, L] another row (perhaps itself) with the same value of its line's factor [P]."""
    result = np.zeros_like(rows)
    for j in range(factors.shape[1]):
        _, group, counts = np.unique(factors[:, j], return_inverse=True, return_counts=True)
        order = np.argsort(group, kind="stable")
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        chosen = group[rows[factor == j]]
        result[factor == j] = order[first[chosen] + rng.integers(counts[chosen])]
    return result
