"""Shared handling of the objectives' inputs: checks of shapes and values, gathering, precision.

The precision rule of all objectives: half-precision inputs are raised to float32 before any arithmetic (and before
they are gathered), products run outside autocast, and the result is float32. float32 and float64 stay as they are.
"""

import torch
from torch import Tensor

from disentangle_bench.methods.objectives.gather import Gather


def upcast(tensor: Tensor) -> Tensor:
    """Half precision raised to float32; anything else as it is."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def prepare(*tensors: Tensor, gather: Gather | None = None) -> list[Tensor]:
    """The tensors in at least float32 and, with `gather`, of all ranks. Integers keep their type."""
    full = [upcast(t) for t in tensors]
    return full if gather is None else [gather(t) for t in full]


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the processor on `device`, without waiting for it: from pinned memory where that is a GPU."""
    if device.type == "cuda" and torch.cuda.is_available():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b` in the precision of its inputs, also under autocast."""
    with torch.autocast(a.device.type, enabled=False):
        return a @ b


def check_matrix(name: str, tensor: Tensor, min_rows: int = 1) -> None:
    """Raises ValueError unless `tensor` is [B, d] with B >= min_rows and d >= 1."""
    if tensor.ndim != 2 or len(tensor) < min_rows or tensor.shape[1] == 0:
        raise ValueError(f"{name} is {list(tensor.shape)} but must be [B, d] with B >= {min_rows} and d >= 1")


def check_same_shape(**tensors: Tensor) -> None:
    """Raises ValueError, naming both shapes, unless all tensors have the first one's shape."""
    (first_name, first), *others = tensors.items()
    for name, tensor in others:
        if tensor.shape != first.shape:
            raise ValueError(f"{first_name} is {list(first.shape)} but {name} is {list(tensor.shape)}")


def check_rows(first_name: str, first: Tensor, name: str, tensor: Tensor, ndim: int = 1) -> None:
    """Raises ValueError, naming both shapes, unless `tensor` has `ndim` axes and a row for each of `first`."""
    if tensor.ndim != ndim or len(tensor) != len(first):
        raise ValueError(
            f"{first_name} is {list(first.shape)} but {name} is {list(tensor.shape)}: "
            f"{name} needs {ndim} axes and {len(first)} rows"
        )


def check_positive(**values: float) -> None:
    """Raises ValueError unless every value is above 0 (temperatures and the like)."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} is {value} but must be above 0")
