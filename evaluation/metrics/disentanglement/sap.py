"""Separated attribute predictability."""

from typing import Any

import numpy as np
from sklearn.svm import LinearSVC

from disentangle_bench.evaluation.metrics.disentanglement.checks import Floats, at_least_two, both_splits

SPREAD = 0.8
"""Standard deviation that the widest code is given, about that of the reference case of disentanglement_lib."""


def sap(
    train_z: Any,
    train_factors: Any,
    test_z: Any,
    test_factors: Any,
    *,
    continuous: bool = False,
    standardize: bool = False,
) -> dict[str, float]:
    """Separated attribute predictability (Kumar et al. 2018): mean over factors of best - second best code's score.

    The score of a code for a factor (`sap_matrix`) is, for `continuous` factors, their squared correlation on the
    training points; else the test accuracy of a linear SVM on that code alone (C 0.01, balanced classes).

    Deviation from disentanglement_lib: its SVM's penalty, on the intercept too, makes the score one of the code's scale
    (the same code times 1/64 scores 0). Here all codes are first multiplied by one number, so that the widest has the
    standard deviation 0.8; with `standardize` each code is centred and has 1, so that a narrow one counts as much.

    Returns:
        sap: in [0, 1].
    """
    options = {"continuous": continuous, "standardize": standardize}
    scores = np.sort(sap_matrix(train_z, train_factors, test_z, test_factors, **options), axis=0)
    return {"sap": float((scores[-1] - scores[-2]).mean())}


def sap_matrix(
    train_z: Any,
    train_factors: Any,
    test_z: Any,
    test_factors: Any,
    *,
    continuous: bool = False,
    standardize: bool = False,
) -> Floats:
    """Score [D, F] of each code for each factor, as in `sap`; a code that doesn't vary correlates with none."""
    train_z, train_factors, test_z, test_factors = both_splits(train_z, train_factors, test_z, test_factors)
    at_least_two(train_z, "codes")
    varies = np.ptp(train_z, axis=0) > 0
    spread = np.where(varies, train_z.std(axis=0), 0.0)
    if continuous:
        z = np.where(varies, (train_z - train_z.mean(axis=0)) / np.where(varies, spread, 1.0), 0.0)
        y = train_factors - train_factors.mean(axis=0)
        return (z.T @ y / len(z)) ** 2 / y.var(axis=0)
    mean, scale = np.zeros_like(spread), np.full_like(spread, spread.max() / SPREAD)
    if standardize:
        mean, scale = train_z.mean(axis=0), np.where(varies, spread, 1.0)
    train_z, test_z = ((z - mean) / scale for z in (train_z, test_z))
    scores = np.zeros((train_z.shape[1], train_factors.shape[1]))
    for j, (train_y, test_y) in enumerate(zip(train_factors.T, test_factors.T, strict=True)):
        for i in range(len(scores)):
            svm = LinearSVC(C=0.01, class_weight="balanced", dual=False)
            scores[i, j] = svm.fit(train_z[:, [i]], train_y).score(test_z[:, [i]], test_y)
    return scores
