"""The interventional robustness score."""

from typing import Any

import numpy as np

from disentangle_bench.evaluation.metrics.disentanglement.checks import Floats, codes_and_factors
from disentangle_bench.evaluation.metrics.disentanglement.mig import discretize


def irs(z: Any, factors: Any, *, quantile: float = 0.99, bins: int = 20) -> dict[str, float]:
    """Interventional robustness score (Suter et al. 2019): how little a code moves while its own factor stays.

    M_l: code l's largest deviation from its mean. d_li: mean over the values of factor i (binned first) of the
    `quantile` of code l's deviation from its mean at that value. The score is the mean over codes of
    max_i (1 - d_li / M_l), weighted by M_l; constant codes are left out.

    Returns:
        irs: in [0, 1]; active: the number of codes that vary.
    """
    z, factors = codes_and_factors(z, factors, "z", "factors", learn=True)
    z = z[:, np.ptp(z, axis=0) > 0]
    largest = np.abs(z - z.mean(axis=0)).max(axis=0)
    robust = irs_matrix(z, factors, quantile=quantile, bins=bins).max(axis=1)
    return {"irs": float(np.average(robust, weights=largest)), "active": float(z.shape[1])}


def irs_matrix(z: Any, factors: Any, *, quantile: float = 0.99, bins: int = 20) -> Floats:
    """1 - d_li / M_l of each code that varies and each factor, as in `irs`."""
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile must be in [0, 1], got {quantile}")
    z, factors = codes_and_factors(z, factors, "z", "factors", learn=True)
    z = z[:, np.ptp(z, axis=0) > 0]
    largest = np.abs(z - z.mean(axis=0)).max(axis=0)
    result = np.zeros((z.shape[1], factors.shape[1]))
    for j, column in enumerate(discretize(factors, bins=bins).T):
        groups = [z[column == value] for value in np.unique(column)]
        moved = [np.quantile(np.abs(group - group.mean(axis=0)), quantile, axis=0) for group in groups]
        result[:, j] = 1 - np.mean(moved, axis=0) / largest
    return result
