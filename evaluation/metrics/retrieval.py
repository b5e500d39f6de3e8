"""Nearest neighbours across domains: does the same thing lie close when it is drawn in another way?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from disentangle_bench.evaluation.metrics.arrays import device, full_precision, matrix, row_labels, varying
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

SIMILARITIES = 2**23
"""Similarities that are sorted at a time."""


def cross_domain(features: Any, labels: Any, domains: Any, ks: Sequence[int] = (1, 5)) -> dict[str, float]:
    """Retrieval by cosine from the domains other than the query's own (as in Kahana & Hoshen 2022, section 5).

    Every row is a query once. Those whose label no other domain has are left out of the means. Equal similarities
    rank by row number. Time grows with N^2 log N, memory with N.

    Args:
        features: [N, D].
        labels: int [N], what should match.
        domains: int [N].
        ks: how many of the nearest to look at; more than there are means all.

    Returns:
        recall@k for each of ks: share of queries with their label among the k nearest, in [0, 1].
        map: mean over queries of the average precision of their whole ranking, in [0, 1].
        queries: how many the means are over.

    Raises:
        ValueError: wrong shapes (both named), or a k below 1.
        MetricUndefined: empty, non-finite or constant features, a single domain, or no query with a match elsewhere.
    """
    if min(ks, default=1) < 1:
        raise ValueError(f"ks must be at least 1, got {tuple(ks)}")
    features = matrix(features, "features")
    label = row_labels(labels, "labels", features, "features")
    domain = row_labels(domains, "domains", features, "features")
    if len(np.unique(domain)) < 2:
        raise MetricUndefined(f"cross-domain retrieval needs two domains, all samples are of {domain[0]}")
    varying(features, "features")
    hits: dict[int, list[torch.Tensor]] = {k: [] for k in ks}
    precisions = []
    with full_precision(), torch.no_grad():
        where = device()
        unit = F.normalize(torch.tensor(features, device=where), dim=1)
        y, d = torch.from_numpy(label).to(where), torch.from_numpy(domain).to(where)
        ranks = torch.arange(1, len(unit) + 1, dtype=torch.float64, device=where)
        block = max(1, SIMILARITIES // len(unit))
        for start in range(0, len(unit), block):
            part = slice(start, start + block)
            elsewhere = d[part, None] != d
            similarity = (unit[part] @ unit.T).masked_fill_(~elsewhere, -torch.inf)
            order = similarity.argsort(dim=1, descending=True, stable=True)
            relevant = ((y[part, None] == y) & elsewhere).gather(1, order)
            relevant = relevant[relevant.any(dim=1)]
            for k in ks:
                hits[k].append(relevant[:, :k].any(dim=1).cpu())
            precision = relevant.cumsum(dim=1) / ranks * relevant
            precisions.append((precision.sum(dim=1) / relevant.sum(dim=1)).cpu())
    precision = torch.cat(precisions)
    if len(precision) == 0:
        raise MetricUndefined("no sample's label occurs in another domain")
    recalls = {f"recall@{k}": torch.cat(hits[k]).double().mean().item() for k in ks}
    return recalls | {"map": precision.mean().item(), "queries": float(len(precision))}
