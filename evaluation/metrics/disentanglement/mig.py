"""The mutual information gap, and the estimate of information behind it."""

from typing import Any

import numpy as np
from scipy.stats import entropy

from disentangle_bench.evaluation.metrics.arrays import check_array
from disentangle_bench.evaluation.metrics.disentanglement.checks import Floats, Ints, at_least_two, codes_and_factors


def mig(z: Any, factors: Any, *, bins: int = 20) -> dict[str, float]:
    """Mutual information gap (Chen et al. 2018, eq. 6): how far the best code leads the second, a factor at a time.

    Mean over factors of (largest - second largest mutual information over codes) / entropy of the factor; each code is
    cut in `bins` of equal width over its own range. Plug-in estimates: on small samples noise scores above 0.

    Returns:
        mig: in [0, 1].
    """
    z, factors = codes_and_factors(z, factors, "z", "factors", learn=True)
    at_least_two(z, "codes")
    information = np.sort(mutual_information(z, factors, bins=bins), axis=0)
    entropies = [entropy(np.unique(column, return_counts=True)[1]) for column in factors.T]
    return {"mig": float(np.mean((information[-1] - information[-2]) / entropies))}


def mutual_information(z: Any, factors: Any, *, bins: int = 20) -> Floats:
    """Mutual information [D, F] in nats between each code, binned as by `discretize`, and each factor."""
    z, factors = codes_and_factors(z, factors, "z", "factors", learn=False)
    binned = discretize(z, bins=bins)
    result = np.zeros((z.shape[1], factors.shape[1]))
    for j, column in enumerate(factors.T):
        values, y = np.unique(column, return_inverse=True)
        for i, code in enumerate(binned.T):
            cells = np.bincount(code * len(values) + y, minlength=(bins + 1) * len(values))
            joint = cells.reshape(bins + 1, len(values)) / len(y)
            apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
            filled = joint > 0
            result[i, j] = (joint[filled] * np.log(joint[filled] / apart[filled])).sum()
    return result


def discretize(z: Any, *, bins: int = 20) -> Ints:
    """Cut each column of [N, D] in bins 1 to `bins` of equal width between its minimum and maximum.

    A value on a left edge belongs to that bin, the maximum to the last one; a constant column gets one bin.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    z = check_array(z, "z").astype(np.float64)
    edges = [np.histogram_bin_edges(column, bins)[:-1] for column in z.T]
    return np.stack([np.digitize(column, edge) for column, edge in zip(z.T, edges, strict=True)], axis=1)
