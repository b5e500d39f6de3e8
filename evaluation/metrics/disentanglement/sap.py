"""Separated attribute predictability."""

from typing import Any

import numpy as np
from sklearn.svm import LinearSVC

from disentangle_bench.evaluation.metrics.disentanglement.checks import Floats, at_least_two, both_splits


def sap(
    train_z: Any, train_factors: Any, test_z: Any, test_factors: Any, *, continuous: bool = False
) -> dict[str, float]:
    """Separated attribute predictability (Kumar et al. 2018): mean over factors of best - second best code's score.

    The score of a code for a factor (`sap_matrix`) is, for `continuous` factors, their squared correlation on the
    training points; else the test accuracy of a linear SVM on that code alone (C 0.01, balanced classes).

    Returns:
        sap: in [0, 1].
    """
    scores = np.sort(sap_matrix(train_z, train_factors, test_z, test_factors, continuous=continuous), axis=0)
    return {"sap": float((scores[-1] - scores[-2]).mean())}


def sap_matrix(train_z: Any, train_factors: Any, test_z: Any, test_factors: Any, *, continuous: bool = False) -> Floats:
    """Score [D, F] of each code for each factor, as in `sap`; one of variance up to 1e-12 correlates with none."""
    train_z, train_factors, test_z, test_factors = both_splits(train_z, train_factors, test_z, test_factors)
    at_least_two(train_z, "codes")
    if continuous:
        variances = train_z.var(axis=0)
        z = train_z - train_z.mean(axis=0)
        y = train_factors - train_factors.mean(axis=0)
        covariance = z.T @ y / len(z)
        r2 = covariance**2 / np.outer(np.where(variances > 1e-12, variances, 1.0), y.var(axis=0))
        return np.where(variances[:, None] > 1e-12, r2, 0.0)
    scores = np.zeros((train_z.shape[1], train_factors.shape[1]))
    for j, (train_y, test_y) in enumerate(zip(train_factors.T, test_factors.T, strict=True)):
        for i in range(len(scores)):
            svm = LinearSVC(C=0.01, class_weight="balanced", dual=False)
            scores[i, j] = svm.fit(train_z[:, [i]], train_y).score(test_z[:, [i]], test_y)
    return scores
