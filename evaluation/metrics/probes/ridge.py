"""Ridge regression of numbers and angles."""

from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeCV

from disentangle_bench.evaluation.metrics.arrays import (
    Array,
    matrix,
    real,
    same_width,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.probes.linear import L2_GRID
from disentangle_bench.evaluation.metrics.probes.logistic import Standardizer


def ridge_probe(train_x: Any, train_y: Any, test_x: Any, test_y: Any, *, circular: bool = False) -> dict[str, float]:
    """Ridge regression of a number on standardised features; its strength by scikit-learn's leave-one-out RidgeCV.

    Args:
        train_x: [N, D]; computed in float64, by one singular value decomposition.
        train_y: [N], any unit (it is standardised); with `circular` an angle in radians.
        test_x: [M, D].
        test_y: [M].
        circular: regress (cos, sin) of the angle, both with one strength, and pool their errors and variances.

    Returns:
        r2: 1 - squared error / variance of the test targets; 1 is perfect, 0 a constant guess, no lower bound.

    Raises:
        ValueError: wrong shapes (both named).
        MetricUndefined: empty or non-finite arrays, one training sample, or test targets that don't vary.
    """
    train_x, test_x = matrix(train_x, "train_x"), matrix(test_x, "test_x")
    same_width(train_x, "train_x", test_x, "test_x")
    if len(train_x) < 2:
        raise MetricUndefined("a ridge probe needs 2 training samples, got 1")
    train_t = _targets(train_y, "train_y", train_x, "train_x", circular)
    test_t = _targets(test_y, "test_y", test_x, "test_x", circular)
    variance = ((test_t - test_t.mean(axis=0)) ** 2).sum()
    if variance == 0:
        raise MetricUndefined(f"the {len(test_t)} test targets don't vary")
    mean, std = train_t.mean(axis=0), train_t.std(axis=0)
    scale = np.where(std > 0, std, 1.0) if not circular else np.ones_like(std)
    standardize = Standardizer([train_x], torch.device("cpu"))
    x, test = (standardize(part).double().numpy() for part in (train_x, test_x))
    model = RidgeCV(alphas=len(x) * np.asarray(L2_GRID)).fit(x, (train_t - mean) / scale)
    prediction = model.predict(test).reshape(test_t.shape) * scale + mean
    return {"r2": float(1 - ((test_t - prediction) ** 2).sum() / variance)}


def _targets(y: Any, name: str, x: Array, x_name: str, circular: bool) -> Array:
    array = real(y, name).astype(np.float64)
    if array.shape != x.shape[:1]:
        raise ValueError(f"{name} has shape {array.shape} but {x_name} {x.shape}: one target a row is needed")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise MetricUndefined(f"{name} holds {bad} non-finite values")
    return np.stack([np.cos(array), np.sin(array)], axis=1) if circular else array[:, None]
