"""How well a block of codes determines a block of factors, linearly and by a kernel."""

from typing import Any

import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics.arrays import Array, check_array, check_same_width
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

GRID = {"alpha": [1.0, 0.1, 0.01, 0.001], "gamma": list(np.logspace(-2, 2, 4))}
"""Penalties and kernel widths that the kernel ridge regression chooses from."""
FOLDS = 3


def block_r2(train_z: Any, train_factors: Any, test_z: Any, test_factors: Any) -> dict[str, float]:
    """R^2 of a least-squares and of a kernel ridge regression, the mean over the factors (von Kuegelgen et al. 2021).

    Codes and factors are standardised by the fitting points. The kernel is exp(-gamma d^2), gamma and the penalty of
    `GRID` picked by R^2 over 3 folds in order. Time goes with the cube of N: 1000 points take seconds, 10 000 hours.

    Args:
        train_z: [N, D].
        train_factors: numbers [N, F]: the block's coordinates.
        test_z: [M, D].
        test_factors: [M, F].

    Returns:
        linear, kernel: 1 is determined, 0 a constant guess, no lower bound; alpha, gamma: picked.
    """
    train_z, test_z = (
        check_array(a, name).astype(np.float64) for a, name in ((train_z, "train_z"), (test_z, "test_z"))
    )
    train_y = check_array(train_factors, "train_factors").astype(np.float64)
    test_y = check_array(test_factors, "test_factors").astype(np.float64)
    check_same_width(train_z, "train_z", test_z, "test_z")
    check_same_width(train_y, "train_factors", test_y, "test_factors")
    if len(train_z) < 2 * FOLDS:
        raise MetricUndefined(f"a kernel ridge picked over {FOLDS} folds needs {2 * FOLDS} points, got {len(train_z)}")
    if not (np.ptp(test_y, axis=0) > 0).all():
        raise MetricUndefined("a factor has a single value in the test points")
    x, held = _standardized(train_z, test_z)
    y, truth = _standardized(train_y, test_y)
    with threadpool_limits(1):  # sums in one order
        linear = LinearRegression().fit(x, y)
        search = GridSearchCV(KernelRidge(kernel="rbf"), GRID, cv=FOLDS).fit(x, y)
        return {
            "linear": float(r2_score(truth, linear.predict(held))),
            "kernel": float(r2_score(truth, search.predict(held))),
            "alpha": float(search.best_params_["alpha"]),
            "gamma": float(search.best_params_["gamma"]),
        }


def _standardized(fit: Array, test: Array) -> tuple[Array, Array]:
    deviation = fit.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1)
    return (fit - fit.mean(axis=0)) / scale, (test - fit.mean(axis=0)) / scale
