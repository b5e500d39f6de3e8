"""Checks of inputs that metrics of codes and factors share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_bench.evaluation.metrics.arrays import check_array, check_integers, check_same_width
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def codes_and_factors(z: Any, factors: Any, z_name: str, factors_name: str, *, learn: bool) -> tuple[Floats, Ints]:
    """Check codes and factors; those to `learn` from must vary."""
    codes = check_array(z, z_name).astype(np.float64)
    values = check_integers(factors, factors_name)
    if values.ndim != 2 or len(values) != len(codes):
        raise ValueError(f"{factors_name} has shape {values.shape} but {z_name} {codes.shape}: [N, F] and [N, D]")
    if values.shape[1] == 0:
        raise MetricUndefined(f"{factors_name} has no factor: shape {values.shape}")
    if learn:
        if not (np.ptp(codes, axis=0) > 0).any():
            raise MetricUndefined(f"none of the {codes.shape[1]} codes of {z_name} varies")
        constant = np.flatnonzero(np.ptp(values, axis=0) == 0)
        if len(constant):
            raise MetricUndefined(f"{factors_name} has a single value of factor {constant[0]}")
    return codes, values


def both_splits(train_z: Any, train_factors: Any, test_z: Any, test_factors: Any) -> tuple[Floats, Ints, Floats, Ints]:
    train_z, train_factors = codes_and_factors(train_z, train_factors, "train_z", "train_factors", learn=True)
    test_z, test_factors = codes_and_factors(test_z, test_factors, "test_z", "test_factors", learn=False)
    check_same_width(train_z, "train_z", test_z, "test_z")
    check_same_width(train_factors, "train_factors", test_factors, "test_factors")
    return train_z, train_factors, test_z, test_factors


def at_least_two(array: Floats | Ints, what: str) -> None:
    if array.shape[1] < 2:
        raise MetricUndefined(f"this metric compares {what}, and there is only one")


def points_and_factors(x: Any, y: Any, x_name: str, y_name: str) -> tuple[Floats, Ints]:
    points, factor = check_array(x, x_name).astype(np.float64), check_integers(y, y_name)
    if factor.shape != points.shape[:1]:
        raise ValueError(f"{y_name} has shape {factor.shape} but {x_name} {points.shape}: one factor a row is needed")
    if factor.min() < 0:
        raise ValueError(f"{y_name} holds {factor.min()}; factors count from 0")
    return points, factor
