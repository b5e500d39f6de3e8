"""Quality of features without labels: effective rank, variance, collapse."""

from typing import Any

import numpy as np

from disentangle_bench.evaluation.metrics.arrays import ROWS, check_array

COLLAPSE = 1e-4
"""Total variance of the unit rows below which features count as collapsed: a mean cosine above 0.9999."""


def effective_rank(features: Any) -> float:
    """RankMe (Garrido et al. 2023, eq. 1): exp of the entropy of the singular values of [N, D], from 1 to min(N, D).

    p_k = sigma_k / sum(sigma) + 1e-7; the features are not centred. The singular values come from the D x D second
    moments in float64, so memory doesn't grow with N. All-zero features have rank 0.

    Raises:
        ValueError: not [N, D].
        MetricUndefined: empty or non-finite features.
    """
    features = check_array(features, "features")
    moments = np.zeros((features.shape[1],) * 2)
    for start in range(0, len(features), ROWS):
        block = features[start : start + ROWS].astype(np.float64)
        moments += block.T @ block
    squares = np.linalg.eigvalsh(moments)[::-1][: min(features.shape)]
    sigma = np.sqrt(np.where(squares > squares[0] * len(moments) * np.finfo(np.float64).eps, squares, 0.0))
    if sigma[0] == 0:
        return 0.0
    p = sigma / sigma.sum() + 1e-7
    return float(np.exp(-(p * np.log(p)).sum()))


def intrinsic_quality(features: Any) -> dict[str, float]:
    """Effective rank, variance by dimension, and whether the features have collapsed to one direction.

    Args:
        features: [N, D].

    Returns:
        rankme: `effective_rank`.
        mean_variance, min_variance: of the D biased variances, in squared units of the features.
        collapsed: 1 if the total variance of the L2-normalised rows is below 1e-4, else 0 (the quantity that Chen &
            He 2021 look at in figure 2).

    Raises:
        ValueError: not [N, D].
        MetricUndefined: empty or non-finite features.
    """
    features = check_array(features, "features")
    variances = _variances(features, unit=False)
    return {
        "rankme": effective_rank(features),
        "mean_variance": float(variances.mean()),
        "min_variance": float(variances.min()),
        "collapsed": float(_variances(features, unit=True).sum() < COLLAPSE),
    }


def _variances(features: np.ndarray, *, unit: bool) -> np.ndarray:
    """Biased variance of each column, in two passes over blocks; of the rows divided by their length with `unit`."""

    def blocks():
        for start in range(0, len(features), ROWS):
            block = features[start : start + ROWS].astype(np.float64)
            length = np.linalg.norm(block, axis=1, keepdims=True)
            yield block / np.where(length > 0, length, 1.0) if unit else block

    mean = sum(block.sum(axis=0) for block in blocks()) / len(features)
    return sum(((block - mean) ** 2).sum(axis=0) for block in blocks()) / len(features)
