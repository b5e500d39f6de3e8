"""A GPU that is made of the processor: tensors know that they are on it, and hold values all the same.

Fake tensors show how a step runs whose values nobody asks for; this shows a whole judgement, fits and all. Tensors that
are made or put on `cuda` are of a class of their own, which whatever is computed of them inherits. A product of one of
them with one of the processor's is an error, as is reading one without copying it back.
"""

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA = torch.device("cuda:0")
PRODUCTS = {"linear", "conv2d", "matmul", "mm", "bmm", "addmm", "__matmul__", "__rmatmul__", "baddbmm", "einsum"}
BACK = {"cpu", "numpy", "tolist", "item", "__array__"}


class OnCuda(Tensor):
    """A tensor that says that it is on `cuda:0`."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        return tree_map(there, result) if isinstance(result, Tensor | tuple | list) else result


def there(value: Any) -> Any:
    """A tensor as one of the device."""
    own = not isinstance(value, Tensor) or isinstance(value, OnCuda | nn.Parameter)
    return value if own else value.as_subclass(OnCuda)


class Pretended(TorchFunctionMode):
    """Within it, `cuda` is there.

    Attributes:
        products: how many products were computed, by the name of the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[str] = Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name, kwargs = getattr(func, "__name__", str(func)), dict(kwargs or {})
        if name == "__get__":
            return func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if name in PRODUCTS:
            kinds = {"cuda" if isinstance(t, OnCuda) else "cpu" for t in tensors if t.ndim}
            assert len(kinds) == 1, f"{name} of tensors on two devices"
            self.products[kinds.pop()] += 1
        if name in BACK and isinstance(args[0], OnCuda):
            assert name in ("cpu", "item", "tolist"), f"{name} of a tensor on the device"
            back = args[0].as_subclass(Tensor)
            return back if name == "cpu" else getattr(back, name)()
        wanted = [part for part in (*args, *kwargs.values()) if isinstance(part, torch.device | str)]
        to = next((torch.device(part) for part in wanted if str(part).startswith(("cuda", "cpu"))), None)
        if to is not None and to.type == "cuda":

            def real(part: Any) -> Any:
                return "cpu" if isinstance(part, torch.device | str) and str(part).startswith("cuda") else part

            args, kwargs = tuple(map(real, args)), {key: real(part) for key, part in kwargs.items()}
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
        if to is not None:
            return tree_map(there, result) if to.type == "cuda" else tree_map(_plain, result)
        if any(isinstance(t, OnCuda) for t in tensors) and isinstance(result, Tensor | tuple | list):
            return tree_map(there, result)
        return result


def _plain(value: Any) -> Any:
    return value.as_subclass(Tensor) if isinstance(value, OnCuda) else value


def to_cuda(module: nn.Module, *_: Any, **__: Any) -> nn.Module:
    """What `Module.to` does there."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = nn.Parameter(value.detach().as_subclass(OnCuda), value.requires_grad)
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = value.as_subclass(OnCuda)
    return module
