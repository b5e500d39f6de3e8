"""Shared by the class probes: checks of inputs, the validation split, scores of predictions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from disentangle_bench.evaluation.metrics.arrays import ROWS, Array, check_array, check_labels, check_same_width
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

FLOOR = float(np.log(np.finfo(np.float64).eps))
"""The least log-probability that counts in a negative log-likelihood (-36.04), as in scikit-learn's log_loss."""


def checked(
    train_x: Any, train_y: Any, test_x: Any, test_y: Any, num_classes: int
) -> tuple[Array, Array, Array, Array]:
    """Features and labels of both parts as arrays; the errors are those of every class probe."""
    train_x, test_x = check_array(train_x, "train_x"), check_array(test_x, "test_x")
    check_same_width(train_x, "train_x", test_x, "test_x")
    train_y = check_labels(train_y, "train_y", train_x, "train_x", num_classes)
    return train_x, train_y, test_x, check_labels(test_y, "test_y", test_x, "test_x", num_classes)


def held_out(y: Array, fraction: float, seed: int) -> Array:
    """Mark a share of the samples, the same of each class but for rounding; a class never loses its last one."""
    if not 0 < fraction < 1:
        raise ValueError(f"val must be a fraction in (0, 1) or (val_x, val_y), got {fraction}")
    order = np.random.default_rng(seed).permutation(len(y))
    _, group, counts = np.unique(y, return_inverse=True, return_counts=True)
    quota = np.minimum(counts * fraction, counts - 1)
    taken = np.floor(quota).astype(int)
    missing = max(1, round(len(y) * fraction)) - taken.sum()
    spare = np.argsort(-(quota - taken), kind="stable")[: max(0, missing)]
    taken[spare] += taken[spare] < counts[spare] - 1
    if taken.sum() == 0:
        raise MetricUndefined(f"{len(y)} training samples of {len(counts)} classes leave none for validation")
    held = np.zeros(len(y), dtype=bool)
    for which, number in enumerate(taken):
        held[order[group[order] == which][:number]] = True
    return held


def rank_of(scores: Tensor, y: Tensor) -> Tensor:
    """How many classes [N, C] come before the true one: those that score more, and equal ones of lower number."""
    true = scores.gather(1, y[:, None])
    earlier = torch.arange(scores.shape[1]) < y[:, None]
    return ((scores > true) | ((scores == true) & earlier)).sum(dim=1)


def by_blocks(scores: Callable[[Array], Tensor], x: Array) -> Tensor:
    """Scores [N, C] of all rows, from what maps a block of rows to them."""
    return torch.cat([scores(x[start : start + ROWS]) for start in range(0, len(x), ROWS)])


def scores_of(log_probability: Tensor, y: Array) -> dict[str, float]:
    """Scores of log-probabilities [N, C], float64, against classes [N]: top1, top5, balanced, nll and ece."""
    target = torch.from_numpy(y)
    rank = rank_of(log_probability, target).numpy()
    nll = -log_probability.gather(1, target[:, None])[:, 0].clamp(min=FLOOR).numpy()
    right = rank < 1
    counts = np.bincount(y)
    recall = np.bincount(y, weights=right)[counts > 0] / counts[counts > 0]
    return {
        "top1": float(right.mean()),
        "top5": float((rank < 5).mean()),
        "balanced": float(recall.mean()),
        "nll": float(nll.mean()),
        "ece": calibration_error(log_probability.amax(dim=1).exp().numpy(), right),
    }


def calibration_error(confidence: Array, right: Array, bins: int = 15) -> float:
    """Mean |accuracy - confidence| over bins of equal width, weighted by their samples (Guo et al. 2017, eq. 3)."""
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(which, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def chance(truth: Array, weights: Array | None = None) -> float:
    """Weighted share of the most frequent value: what the best constant guess gets."""
    return weighted_accuracy(np.full_like(truth, _constant(truth, weights)), truth, weights)


def better_than_constant(guess: Array, truth: Array, weights: Array | None = None) -> Array:
    """The guesses [M], or the best constant guess [M] where they are right less often than that."""
    constant = np.full_like(truth, _constant(truth, weights))
    return guess if weighted_accuracy(guess, truth, weights) > weighted_accuracy(constant, truth, weights) else constant


def _constant(truth: Array, weights: Array | None) -> int:
    return int(np.bincount(truth, weights=weights).argmax())


def weighted_accuracy(guess: Array, truth: Array, weights: Array | None = None) -> float:
    """Weighted share of guesses [M] that are right."""
    return float(np.average((guess == truth).astype(np.float64), weights=weights))


def joint_weights(first: Array | None, second: Array | None, rows: int, more: int) -> Array | None:
    """Weights of two parts as those of both together, each part with as much weight as it has rows; None: all equal."""
    if first is None and second is None:
        return None
    parts = [np.ones(n) if w is None else w * (n / w.sum()) for w, n in ((first, rows), (second, more))]
    return np.concatenate(parts)
