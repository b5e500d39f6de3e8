"""Uniformity on the sphere."""

from typing import Any

import numpy as np
import torch

from disentangle_bench.evaluation.metrics.arrays import check_array, device, full_precision
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

PAIRS = 2**24
"""Pairs of rows whose distance is held at a time."""


def uniformity(z: Any, t: float = 2.0) -> float:
    """Log of the mean over pairs i < j of exp(-t ||z_i - z_j||^2) (Wang & Isola 2020, eq. 2): 0 if all rows are equal.

    Computed in float64, in blocks of pairs.

    Args:
        z: [N, D], rows of length 1 (not normalised here).
        t: the kernel's width.

    Raises:
        ValueError: not [N, D].
        MetricUndefined: empty or non-finite rows, or a single one.
    """
    rows = torch.from_numpy(check_array(z, "z").astype(np.float64))
    if len(rows) < 2:
        raise MetricUndefined("uniformity is over pairs, and there is one row")
    with full_precision(), torch.no_grad():
        rows = rows.to(device())
        square = (rows * rows).sum(dim=1)
        total, block = -np.inf, max(1, PAIRS // len(rows))
        for start in range(0, len(rows) - 1, block):
            part, rest = slice(start, start + block), slice(start + 1, None)
            distance = (square[part, None] + square[rest] - 2 * rows[part] @ rows[rest].T).clamp_(min=0)
            later = torch.ones_like(distance, dtype=torch.bool).triu_()  # row i of the block begins at pair (i, i + 1)
            kernel = torch.where(later, -t * distance, -torch.inf)
            total = np.logaddexp(total, kernel.flatten().logsumexp(0).item())
    return float(total - np.log(len(rows) * (len(rows) - 1) / 2))
