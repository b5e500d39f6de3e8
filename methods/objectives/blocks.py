"""Similarities of many rows, a block of rows at a time: the whole matrix of a large batch would not fit."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

AT_ONCE = 8192**2
"""Entries of a matrix that are held at once: 0.27 GB in float32, of which the backward pass needs three or four."""


def by_rows(terms: Callable[[slice], Tensor], rows: int, columns: int) -> Tensor:
    """A term of each row [rows] of a matrix of similarities [rows, columns].

    Up to `AT_ONCE` entries it is one call; beyond, one a block of rows, which the backward pass computes once more
    instead of keeping it. Values differ by the rounding of smaller products then.

    Args:
        terms: of the given rows, which it multiplies with all columns.
        rows: of the matrix.
        columns: of the matrix.
    """
    if rows * columns <= AT_ONCE:
        return terms(slice(0, rows))
    size = max(1, AT_ONCE // columns)
    blocks = (slice(start, min(start + size, rows)) for start in range(0, rows, size))
    return torch.cat([checkpoint(terms, block, use_reentrant=False) for block in blocks])
