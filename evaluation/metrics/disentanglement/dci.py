"""Disentanglement, completeness and informativeness."""

from typing import Any

import numpy as np
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingClassifier

from disentangle_bench.evaluation.metrics.arrays import check_array
from disentangle_bench.evaluation.metrics.disentanglement.checks import at_least_two, both_splits


def dci(
    train_z: Any, train_factors: Any, test_z: Any, test_factors: Any, *, regressor: str = "gbt", seed: int = 0
) -> dict[str, float]:
    """Disentanglement, completeness, informativeness (Eastwood & Williams 2018), with gradient-boosted trees.

    Column j of the importance matrix is the feature importance of scikit-learn's GradientBoostingClassifier (100 trees,
    depth 3, rate 0.1) for factor j; the two scores are those of `dci_from_importance`.

    Returns:
        disentanglement, completeness: in [0, 1].
        informativeness_train, informativeness_test: mean accuracy over factors, in [0, 1].

    Raises:
        ValueError: also for a regressor other than "gbt".
    """
    if regressor != "gbt":
        raise ValueError(f'regressor must be "gbt", got {regressor!r}')
    train_z, train_factors, test_z, test_factors = both_splits(train_z, train_factors, test_z, test_factors)
    at_least_two(train_z, "codes")
    at_least_two(train_factors, "factors")
    importance = np.zeros((train_z.shape[1], train_factors.shape[1]))
    accuracy = np.zeros((2, train_factors.shape[1]))
    for j, (train_y, test_y) in enumerate(zip(train_factors.T, test_factors.T, strict=True)):
        trees = GradientBoostingClassifier(random_state=seed).fit(train_z, train_y)
        importance[:, j] = np.abs(trees.feature_importances_)
        accuracy[:, j] = trees.score(train_z, train_y), trees.score(test_z, test_y)
    scores = dci_from_importance(importance)
    return {
        "disentanglement": float(scores["disentanglement"]),
        "completeness": float(scores["completeness"]),
        "informativeness_train": float(accuracy[0].mean()),
        "informativeness_test": float(accuracy[1].mean()),
    }


def dci_from_importance(importance: Any) -> dict[str, Any]:
    """DCI's first two scores of an importance matrix R [D, F], not negative (Eastwood & Williams 2018, section 2).

    D_i = 1 - entropy (base F) of row i, C_j = 1 - entropy (base D) of column j, after adding 1e-11; each averaged
    with the weights of R's row (column) sums, or equally where all of R is zero.

    Returns:
        disentanglement, completeness: floats in [0, 1]; per_code [D] and per_factor [F]: their parts D_i and C_j.
    """
    r = check_array(importance, "importance").astype(np.float64)
    if (r < 0).any():
        raise ValueError("importance must not be negative")
    at_least_two(r.T, "codes")
    at_least_two(r, "factors")
    per_code = 1 - entropy(r + 1e-11, axis=1, base=r.shape[1])
    per_factor = 1 - entropy(r + 1e-11, axis=0, base=r.shape[0])
    weights = r if r.sum() > 0 else np.ones_like(r)
    return {
        "disentanglement": float(np.average(per_code, weights=weights.sum(axis=1))),
        "completeness": float(np.average(per_factor, weights=weights.sum(axis=0))),
        "per_code": per_code,
        "per_factor": per_factor,
    }
