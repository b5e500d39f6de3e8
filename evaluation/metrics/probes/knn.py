"""The weighted nearest-neighbour classifier."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from disentangle_bench.evaluation.metrics.arrays import (
    ROWS,
    Array,
    check_array,
    check_labels,
    check_same_width,
    check_varying,
    device,
    full_precision,
    within_range,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.neighbours import nearest, products
from disentangle_bench.evaluation.metrics.probes.scoring import checked, rank_of

SIMILARITIES = 2**25
"""Similarities that the nearest-neighbour probe holds at a time."""


def knn(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    num_classes: int,
    k: int = 200,
    temperature: float = 0.5,
) -> dict[str, float]:
    """Accuracy of the weighted nearest-neighbour classifier (Wu et al. 2018), scores as in `knn_scores`.

    Equal scores rank by class number, equally near rows by their position. All of the bank is compared, in blocks of
    queries that bound memory.

    Args:
        train_x: [N, D], the bank.
        train_y: int [N] in [0, num_classes).
        test_x: [M, D].
        test_y: int [M].
        num_classes: C.
        k: neighbours a query, at most N.
        temperature: of the weights.

    Returns:
        top1, top5 (top C where C < 5).

    Raises:
        ValueError: wrong shapes (both named), labels out of range, k < 1, temperature < 0.002.
        MetricUndefined: empty or non-finite features, training features that are all equal, or fewer than k of them.
    """
    train_x, train_y, test_x, test_y = checked(train_x, train_y, test_x, test_y, num_classes)
    scores = _neighbour_scores(train_x, train_y, test_x, num_classes, k, temperature)
    rank = rank_of(scores, torch.from_numpy(test_y)).numpy()
    return {"top1": float((rank < 1).mean()), "top5": float((rank < 5).mean())}


def knn_scores(
    train_x: Any, train_y: Any, query_x: Any, *, num_classes: int, k: int = 200, temperature: float = 0.5
) -> np.ndarray:
    """Class scores [Q, C], float64: sum of exp(cosine / temperature) over the k nearest rows that have the class.

    Rows are L2-normalised inside; a row of zeros stays one, at cosine 0 from everything. The arguments are those of
    `knn`, and so are the errors.
    """
    train_x, query_x = check_array(train_x, "train_x"), check_array(query_x, "query_x")
    check_same_width(train_x, "train_x", query_x, "query_x")
    train_y = check_labels(train_y, "train_y", train_x, "train_x", num_classes)
    return _neighbour_scores(train_x, train_y, query_x, num_classes, k, temperature).numpy()


def _neighbour_scores(
    bank_x: Array, bank_y: Array, query_x: Array, num_classes: int, k: int, temperature: float
) -> Tensor:
    if k < 1 or temperature < 0.002:
        raise ValueError(f"k must be at least 1 and temperature 0.002, got {k} and {temperature}")
    if k > len(bank_x):
        raise MetricUndefined(f"knn with k = {k} has only {len(bank_x)} training samples")
    check_varying(bank_x, "train_x")
    bank_x, query_x = within_range(bank_x), within_range(query_x)
    scores = torch.empty((len(query_x), num_classes), dtype=torch.float64)
    with full_precision(), torch.no_grad():
        where = device()
        dtype = torch.from_numpy(np.empty(0, np.promote_types(bank_x.dtype, query_x.dtype))).dtype
        bank = F.normalize(torch.tensor(bank_x, dtype=dtype, device=where), dim=1)
        labels = torch.from_numpy(bank_y).to(where)
        block = min(ROWS, max(1, SIMILARITIES // len(bank)))
        for start in range(0, len(query_x), block):
            query = torch.tensor(query_x[start : start + block], dtype=dtype, device=where)
            near, index = nearest(products(F.normalize(query, dim=1), bank), k)
            weight = (near.double() / temperature).exp()
            empty = torch.zeros((len(query), num_classes), dtype=torch.float64, device=where)
            scores[start : start + block] = empty.scatter_add_(1, labels[index], weight).cpu()
    return scores
