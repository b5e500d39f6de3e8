"""Nearest neighbours across domains: does the same thing lie close when it is drawn in another way?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from disentangle_bench.evaluation.metrics.arrays import (
    Array,
    check_array,
    check_labels,
    check_varying,
    device,
    full_precision,
    within_range,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.neighbours import products

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
    found = query_scores(features, labels, domains, ks)
    means = {name: float(values[found.matched].mean()) for name, values in found.scores.items()}
    return means | {"queries": float(found.matched.sum())}


@dataclass(frozen=True)
class Queries:
    """Results of each row as a query.

    Attributes:
        matched: bool [N], whether another domain has its label; the rest is 0 where none has.
        scores: recall@k and map -> float64 [N], hit or miss and the average precision of each query.
    """

    matched: Array
    scores: dict[str, Array]


def query_scores(features: Any, labels: Any, domains: Any, ks: Sequence[int] = (1, 5)) -> Queries:
    """The terms of the means of `cross_domain`, with its arguments and errors."""
    if min(ks, default=1) < 1:
        raise ValueError(f"ks must be at least 1, got {tuple(ks)}")
    features = check_array(features, "features")
    label = check_labels(labels, "labels", features, "features")
    domain = check_labels(domains, "domains", features, "features")
    if len(np.unique(domain)) < 2:
        raise MetricUndefined(f"cross-domain retrieval needs two domains, all samples are of {domain[0]}")
    check_varying(features, "features")
    matched = np.zeros(len(features), dtype=bool)
    scores = {name: np.zeros(len(features)) for name in (*(f"recall@{k}" for k in ks), "map")}
    with full_precision(), torch.no_grad():
        where = device()
        unit = F.normalize(torch.tensor(within_range(features), device=where), dim=1)
        y, d = torch.from_numpy(label).to(where), torch.from_numpy(domain).to(where)
        ranks = torch.arange(1, len(unit) + 1, dtype=torch.float64, device=where)
        block = max(1, SIMILARITIES // len(unit))
        for start in range(0, len(unit), block):
            part = slice(start, start + block)
            elsewhere = d[part, None] != d
            similarity = products(unit[part], unit).masked_fill_(~elsewhere, -torch.inf)
            order = similarity.argsort(dim=1, descending=True, stable=True)
            relevant = ((y[part, None] == y) & elsewhere).gather(1, order)
            matched[part] = relevant.any(dim=1).cpu().numpy()
            for k in ks:
                scores[f"recall@{k}"][part] = relevant[:, :k].any(dim=1).cpu().numpy()
            precision = (relevant.cumsum(dim=1) / ranks * relevant).sum(dim=1)
            scores["map"][part] = (precision / relevant.sum(dim=1).clamp(min=1)).cpu().numpy()
    if not matched.any():
        raise MetricUndefined("no sample's label occurs in another domain")
    return Queries(matched, scores)
