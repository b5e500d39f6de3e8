"""DCI-ES: besides which code tells which factor, how little a probe needs to be able to do to read it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from disentangle_bench.evaluation.metrics.arrays import Array
from disentangle_bench.evaluation.metrics.disentanglement.checks import Floats, at_least_two, both_splits
from disentangle_bench.evaluation.metrics.disentanglement.dci import dci_from_importance
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

DEPTHS = (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32)
"""The authors' grid for forests; explicitness depends on it."""


def dci_es(
    train_z: Any,
    train_factors: Any,
    test_z: Any,
    test_factors: Any,
    *,
    depths: Sequence[int] = DEPTHS,
    trees: int = 100,
    seed: int = 0,
) -> dict[str, float]:
    """Disentanglement, completeness, informativeness, explicitness and size by random forests (Eastwood et al. 2023).

    A factor's probes are forests of growing depth. Explicitness is 1 where the shallowest does as well as any, 0 where
    the error falls from a constant guess's to none along a straight line; it may be below 0. The first three are those
    of the depth with the highest informativeness.

    Args:
        train_z: [N, D].
        train_factors: int [N, F].
        test_z: [M, D].
        test_factors: int [M, F], by which accuracies and with them the curves are found.
        depths: largest depth of a tree, of each probe, rising.
        trees: of a forest.
        seed: of the forests.

    Returns:
        disentanglement, completeness, informativeness (accuracy), explicitness, size: factors / codes.
    """
    train_z, train_factors, test_z, test_factors = both_splits(train_z, train_factors, test_z, test_factors)
    at_least_two(train_z, "codes")
    at_least_two(train_factors, "factors")
    if len(depths) < 2 or list(depths) != sorted(set(depths)):
        raise ValueError(f"depths must be at least two rising numbers, got {list(depths)}")
    count = train_factors.shape[1]
    accuracy, importance = np.zeros((len(depths), count)), np.zeros((len(depths), train_z.shape[1], count))
    for j, (train_y, test_y) in enumerate(zip(train_factors.T, test_factors.T, strict=True)):
        for k, depth in enumerate(depths):
            forest = RandomForestClassifier(trees, max_depth=depth, random_state=seed).fit(train_z, train_y)
            accuracy[k, j], importance[k, :, j] = forest.score(test_z, test_y), forest.feature_importances_
    guess = [
        float((test == _most_frequent(train)).mean())
        for train, test in zip(train_factors.T, test_factors.T, strict=True)
    ]
    if max(guess) == 1:
        raise MetricUndefined(f"the test points have no value of factor {guess.index(1)} but the most frequent one")
    curves = explicitness([np.asarray(depths, float)] * count, list(1 - accuracy.T), 1 - np.asarray(guess))
    best = int(accuracy.mean(axis=1).argmax())
    scores = dci_from_importance(importance[best])
    return {
        "disentanglement": float(scores["disentanglement"]),
        "completeness": float(scores["completeness"]),
        "informativeness": float(accuracy[best].mean()),
        "explicitness": float(curves.mean()),
        "size": count / train_z.shape[1],
    }


def explicitness(capacities: Sequence[Array], losses: Sequence[Array], baselines: Array) -> Floats:
    """E of each factor's curve of loss over capacity (Eastwood et al. 2023, section 3.2).

    1 - 2 * area between the curve and its lowest point / (range of capacity * baseline); a loss that rises is replaced
    by the lowest before it, and a curve that ends before the longest one goes on flat.

    Args:
        capacities: of each factor: [K_j], rising; of a size, or its logarithm.
        losses: of each factor: [K_j].
        baselines: [F], losses of a constant guess, above 0.

    Raises:
        ValueError: a curve and its capacities differ in length, or a baseline isn't above 0.
    """
    if not (np.asarray(baselines) > 0).all():
        raise ValueError(f"baselines must be above 0, got {np.asarray(baselines).tolist()}")
    low, high = min(x.min() for x in capacities), max(x.max() for x in capacities)
    found = []
    for x, loss, baseline in zip(capacities, losses, baselines, strict=True):
        if x.shape != loss.shape:
            raise ValueError(f"a curve has {x.shape} capacities but {loss.shape} losses")
        lowest = np.minimum.accumulate(loss)
        x, lowest = np.append(x, high), np.append(lowest, lowest[-1])
        found.append(1 - 2 * np.trapezoid(lowest - lowest.min(), x) / ((high - low) * baseline))
    return np.asarray(found)


def _most_frequent(values: Array) -> int:
    names, counts = np.unique(values, return_counts=True)
    return int(names[counts.argmax()])
