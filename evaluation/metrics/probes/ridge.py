"""Ridge regression of numbers and angles."""

from typing import Any

import numpy as np
import torch
from sklearn.linear_model import Ridge, RidgeCV
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics.arrays import Array, check_array, check_real, check_same_width
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.probes.linear import L2_GRID
from disentangle_bench.evaluation.metrics.probes.logistic import Standardizer


def ridge_probe(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    circular: bool = False,
    val: tuple[Any, Any] | None = None,
    weights: tuple[Any, Any, Any] | None = None,
) -> dict[str, float]:
    """Ridge regression of a number on standardised features, its strength picked on validation samples.

    Args:
        train_x: [N, D]; computed in float64.
        train_y: [N], any unit (it is standardised); with `circular` an angle in radians.
        test_x: [M, D].
        test_y: [M].
        circular: regress (cos, sin) of the angle, both with one strength, and pool their errors and variances.
        val: (val_x, val_y); without them scikit-learn's leave-one-out RidgeCV picks the strength.
        weights: of the training, the validation and the test samples, each [rows] or None.

    Returns:
        r2: 1 - squared error / variance of the test targets; 1 is perfect, 0 a constant guess, no lower bound.

    Raises:
        ValueError: wrong shapes (both named).
        MetricUndefined: empty or non-finite arrays, one training sample, or test targets that don't vary.
    """
    terms = explained(train_x, train_y, test_x, test_y, circular=circular, val=val, weights=weights)
    return {"r2": float(np.average(terms, weights=None if weights is None else weights[2]))}


def explained(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    circular: bool = False,
    val: tuple[Any, Any] | None = None,
    weights: tuple[Any, Any, Any] | None = None,
) -> Array:
    """Terms by test sample of the R^2 of `ridge_probe`, float64 [M]: 1 - squared error / variance."""
    train_x, test_x = check_array(train_x, "train_x"), check_array(test_x, "test_x")
    check_same_width(train_x, "train_x", test_x, "test_x")
    if len(train_x) < 2:
        raise MetricUndefined("a ridge probe needs 2 training samples, got 1")
    train_w, val_w, test_w = weights or (None, None, None)
    train_t = _targets(train_y, "train_y", train_x, "train_x", circular)
    test_t = _targets(test_y, "test_y", test_x, "test_x", circular)
    centre = np.average(test_t, axis=0, weights=test_w)
    variance = np.average(((test_t - centre) ** 2).sum(axis=1), weights=test_w)
    if variance == 0:
        raise MetricUndefined(f"the {len(test_t)} test targets don't vary")
    mean, std = train_t.mean(axis=0), train_t.std(axis=0)
    scale = np.where(std > 0, std, 1.0) if not circular else np.ones_like(std)
    standardize = Standardizer([train_x], torch.device("cpu"))
    x, test = (standardize(part).double().numpy() for part in (train_x, test_x))
    y, alphas = (train_t - mean) / scale, len(x) * np.asarray(L2_GRID)
    with threadpool_limits(1):  # sums in one order
        if val is None:
            model = RidgeCV(alphas=alphas).fit(x, y, sample_weight=train_w)
        else:
            val_x = check_array(val[0], "val_x")
            check_same_width(train_x, "train_x", val_x, "val_x")
            val_t = (_targets(val[1], "val_y", val_x, "val_x", circular) - mean) / scale
            held = standardize(val_x).double().numpy()

            def error(model: Ridge) -> float:
                missed = val_t - model.predict(held).reshape(val_t.shape)
                return float(np.average((missed**2).sum(axis=1), weights=val_w))

            models = [Ridge(alpha, solver="cholesky").fit(x, y, sample_weight=train_w) for alpha in alphas[::-1]]
            model = min(models, key=error)
        prediction = model.predict(test).reshape(test_t.shape) * scale + mean
    return 1 - ((test_t - prediction) ** 2).sum(axis=1) / variance


def _targets(y: Any, name: str, x: Array, x_name: str, circular: bool) -> Array:
    array = check_real(y, name).astype(np.float64)
    if array.shape != x.shape[:1]:
        raise ValueError(f"{name} has shape {array.shape} but {x_name} {x.shape}: one target a row is needed")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise MetricUndefined(f"{name} holds {bad} non-finite values")
    return np.stack([np.cos(array), np.sin(array)], axis=1) if circular else array[:, None]
