"""Alignment of positive pairs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_bench.evaluation.metrics.arrays import ROWS, check_array


def alignment(z1: Any, z2: Any, alpha: float = 2.0) -> float:
    """Mean of ||z1 - z2||^alpha over positive pairs (Wang & Isola 2020, eq. 1): 0 is perfect, 4 the most at alpha 2.

    Args:
        z1: [N, D], rows of length 1 (not normalised here).
        z2: [N, D], the other half of each pair.
        alpha: the exponent.

    Raises:
        ValueError: shapes that differ (both are named).
        MetricUndefined: empty or non-finite rows.
    """
    return float((distances(z1, z2) ** alpha).mean())


def distances(z1: Any, z2: Any) -> NDArray[np.float64]:
    """||z1 - z2|| of each pair [N]; arguments and errors as of `alignment`."""
    z1, z2 = check_array(z1, "z1"), check_array(z2, "z2")
    if z1.shape != z2.shape:
        raise ValueError(f"z1 has shape {z1.shape} but z2 {z2.shape}")
    parts = [
        np.linalg.norm(z1[start : start + ROWS].astype(np.float64) - z2[start : start + ROWS], axis=1)
        for start in range(0, len(z1), ROWS)
    ]
    return np.concatenate(parts)
