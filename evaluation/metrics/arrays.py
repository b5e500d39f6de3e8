"""Checks of inputs that all metrics share, and where and how they compute: device, precision, threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from disentangle_bench.evaluation.metrics.errors import MetricUndefined

Array = NDArray[Any]
ROWS = 4096
"""Rows handled at a time by whatever walks over all features: bounds memory, and is no one's setting."""
SMALLEST, LARGEST = 1e-12, 1e15
"""Between them the length of a row can be told in single precision: squares of others vanish, or overflow."""


def check_array(x: Any, name: str) -> Array:
    """Return `x` as a finite float array [N, D], N and D at least 1; float32 and float64 stay as they are.

    Arrays and tensors alike; bfloat16, half and small integers become float32, wide integers float64.

    Raises:
        ValueError: not two-dimensional, or not numbers.
        MetricUndefined: empty, or with NaN or infinite entries (their number and first row are in the message).
    """
    array = check_real(x, name)
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape [N, D], got {array.shape}")
    if array.size == 0:
        raise MetricUndefined(f"{name} is empty: shape {array.shape}")
    if (found := not_finite(array)) is not None:
        raise MetricUndefined(f"{name}: features contain {found[0]} non-finite values, the first in row {found[1]}")
    return array


def not_finite(array: Array) -> tuple[int, int] | None:
    """(How many values of [N, D] are NaN or infinite, the first row that has one); None if all are finite."""
    count, first = 0, -1
    for start in range(0, len(array), ROWS):
        bad = ~np.isfinite(array[start : start + ROWS])
        if bad.any():
            first = start + int(bad.any(axis=1).argmax()) if first < 0 else first
            count += int(bad.sum())
    return (count, first) if count else None


def check_real(x: Any, name: str) -> Array:
    """Return `x` as a float32 or float64 array of any shape, without asking whether it is finite."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu()
        x = (x.float() if x.dtype in (torch.bfloat16, torch.float16) else x).numpy()
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)


def check_same_width(a: Array, a_name: str, b: Array, b_name: str) -> None:
    """Raise ValueError unless both have as many columns."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a_name} has shape {a.shape} but {b_name} {b.shape}: their last sizes differ")


def check_varying(x: Array, name: str) -> None:
    """Raise MetricUndefined if all rows are equal, where the nearest of them would be any."""
    if all((x[start : start + ROWS] == x[0]).all() for start in range(0, len(x), ROWS)):
        raise MetricUndefined(f"{name} is constant: all {len(x)} rows are equal")


def check_labels(y: Any, name: str, x: Array, x_name: str, num_classes: int | None = None) -> NDArray[np.int64]:
    """Return `y` as int64 [N], one for each row of `x`; in [0, num_classes) where that is given.

    Raises:
        ValueError: wrong shape (both are named), not integers, or outside the range.
    """
    array = check_integers(y, name)
    if array.shape != x.shape[:1]:
        raise ValueError(f"{name} has shape {array.shape} but {x_name} {x.shape}: one label a row is needed")
    if num_classes is not None and len(array):
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= num_classes:
            raise ValueError(f"{name} holds labels {low} to {high}, outside [0, {num_classes})")
    return array


def unit_rows(x: Any, name: str) -> Array:
    """Return `x` [N, D] with rows of length 1, in its own precision; a row of zeros stays one."""
    rows = within_range(check_array(x, name))
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def within_range(x: Array) -> Array:
    """Return `x` [N, D] with the same directions, and rows whose length can be told.

    A row whose largest entry is below `SMALLEST` or above `LARGEST` is multiplied by a power of two that brings it to
    about 1; all others keep every bit, and a row of zeros stays one.
    """
    largest = np.empty(len(x), dtype=x.dtype)
    for start in range(0, len(x), ROWS):
        block = x[start : start + ROWS]
        largest[start : start + ROWS] = np.maximum(block.max(axis=1), -block.min(axis=1))
    outside = (largest > 0) & ((largest < SMALLEST) | (largest > LARGEST))
    if not outside.any():
        return x
    moved = x.copy()
    moved[outside] = np.ldexp(x[outside], -np.frexp(largest[outside])[1][:, None])
    return moved


def check_integers(y: Any, name: str) -> NDArray[np.int64]:
    """Return `y` as int64 of any shape; ValueError unless it has an integer or boolean type."""
    array = np.asarray(y.detach().cpu() if isinstance(y, torch.Tensor) else y)
    if array.dtype.kind not in "iub":
        raise ValueError(f"{name} must hold integers, got dtype {array.dtype}")
    return array.astype(np.int64, copy=False)


_chosen: ContextVar[torch.device | None] = ContextVar("device", default=None)


def device() -> torch.device:
    """Device that metrics compute on: that of `computing_on`, else the accelerator if there is one."""
    return _chosen.get() or torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def computing_on(where: torch.device) -> Iterator[None]:
    """Have metrics compute there."""
    before = _chosen.set(where)
    try:
        yield
    finally:
        _chosen.reset(before)


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute in the arrays' own precision, whatever autocast, matmul or TF32 setting the caller runs under."""
    before, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = convolutions


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, so that sums have one order on every machine; the caller's count comes back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
