"""Nearest rows, the same ones in the same order whatever the number of threads."""

import torch
from torch import Tensor

from disentangle_bench.evaluation.metrics.arrays import one_thread

QUERIES = 64
"""Queries of one product: a larger one may be cut between threads within its sums."""


def products(queries: Tensor, rows: Tensor) -> Tensor:
    """Inner products [Q, N] of queries [Q, D] and rows [N, D]; each is summed in one order on any number of threads."""
    if queries.device.type != "cpu":
        return queries @ rows.T
    count, width = queries.shape
    whole = count // QUERIES * QUERIES
    found = torch.empty((count, len(rows)), dtype=queries.dtype)
    if whole:
        blocks = queries[:whole].reshape(-1, QUERIES, width)
        torch.bmm(blocks, rows.T.expand(len(blocks), -1, -1), out=found[:whole].view(-1, QUERIES, len(rows)))
    with one_thread():
        found[whole:] = queries[whole:] @ rows.T
    return found


def nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of each line of [Q, N] and their columns, largest first; equal ones by column."""
    values, columns = similarity.topk(k, dim=1)
    columns = columns.sort(dim=1).values
    values, order = similarity.gather(1, columns).sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, order)
    crowded = (similarity >= values[:, -1:]).sum(dim=1) > k  # more are as near as the last: which of them is left to us
    if crowded.any():
        tied = similarity[crowded].sort(dim=1, descending=True, stable=True)
        values[crowded], columns[crowded] = tied.values[:, :k], tied.indices[:, :k]
    return values, columns
