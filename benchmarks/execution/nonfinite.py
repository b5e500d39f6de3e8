"""Look at every value of a training step for the first that is NaN or infinite."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves

UNINITIALISED = ("empty", "resize")
"""Parts of names of operations whose results hold whatever was in memory before."""


@dataclass(frozen=True)
class BadStep:
    """`not_finite.json`: the step whose loss or weights were NaN or infinite.

    Attributes:
        step: counted from 0.
        epoch: counted from 0.
        what: loss or weights.
        batch: of the epoch, -1 if it isn't known.
        index: the images' positions in the training split, of all processes.
    """

    step: int
    epoch: int
    what: str
    batch: int = -1
    index: list[int] = field(default_factory=list)


class Finding(Exception):
    """Raised at the first NaN or infinite value, with its origin."""

    def __init__(self, step: int, what: str):
        super().__init__(what)
        self.step, self.what = step, what


class Operations(TorchFunctionMode):
    """A mode in which the first operation that gives a NaN raises Finding; infinities may be meant, as in masks."""

    def __init__(self, step: int, inside: list[str]):
        super().__init__()
        self.step, self.inside = step, inside

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called by torch for every operation.

        A view of memory makes no values, nor does it count as a change of it: whatever is there was made before, or
        never (what `empty` gives may hold a NaN until it is filled, out of torch's sight at that).
        """
        versions = dict(map(_memory, _floats((args, kwargs))))
        result = func(*args, **(kwargs or {}))
        name = resolve_name(func) or getattr(func, "__name__", str(func))
        made = (t for t in _floats(result) if _memory(t) not in versions.items())
        if not any(part in name for part in UNINITIALISED) and any(t.isnan().any() for t in made):
            where = self.inside[-1] if self.inside else "the method itself"
            raise Finding(self.step, f"forward pass of {where}: {name} gave NaN, at {_innermost_line()}")
        return result


class CheckEveryValue(L.Callback):
    """Raises Finding at the first module, operation or gradient that isn't finite, up to and with step `last`.

    Attributes:
        batch: the one that was last trained on.
        step: the last one begun.
    """

    def __init__(self, last: int):
        self.last, self.step = last, -1
        self.batch: dict[str, Tensor] = {}
        self._inside: list[str] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the output of every module."""
        for name, module in pl_module.named_modules():
            if name:
                module.register_forward_pre_hook(lambda *_, name=name: self._inside.append(name))
                module.register_forward_hook(lambda module, _, output, name=name: self._check(name, module, output))
        step = pl_module.training_step

        def training_step(batch: Any, batch_idx: int) -> Any:
            with Operations(self.step, self._inside):
                loss = step(batch, batch_idx)
            if any(not value.isfinite().all() for value in _floats(loss)):
                raise Finding(self.step, "forward pass: the loss is infinite, though no module's output is")
            return loss

        pl_module.training_step = training_step  # type: ignore[method-assign]

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop after the reported step; Lightning counts a step only when it is done."""
        self.step = trainer.global_step
        self.batch = batch
        if self.step > self.last:
            trainer.should_stop = True

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the gradient of every parameter."""
        for name, parameter in pl_module.named_parameters():
            if parameter.grad is not None and not parameter.grad.isfinite().all():
                raise Finding(self.step, f"backward pass: the gradient of {name} isn't finite, though the loss is")

    def _check(self, name: str, module: nn.Module, output: Any) -> None:
        self._inside.pop()
        if all(value.isfinite().all() for value in _floats(output)):
            return
        own = [key for key, value in module.named_parameters(recurse=False) if not value.isfinite().all()]
        why = f"; its {' and '.join(own)} no longer are, since the step before" if own else ""
        raise Finding(self.step, f"forward pass of {name} ({type(module).__name__}): its output isn't finite{why}")


def print_finding(found: Finding, batch: dict[str, Tensor], reported: BadStep) -> None:
    """Print what was found and what is known of the batch."""
    images, index = batch["image"].float(), batch["index"]
    print(f"step {found.step}: {found.what}")
    print(f"images of that batch (positions in the training split): {', '.join(map(str, index.tolist()))}")
    if found.step == reported.step and set(reported.index) - set(index.tolist()):
        print("they are not those that the run reported: its data or its code have changed since")
    low, high, mean, std = images.min(), images.max(), images.mean(), images.std()
    print(f"their pixels: smallest {low:.0f}, largest {high:.0f}, mean {mean:.2f}, standard deviation {std:.2f}")
    flat = index[images.flatten(1).std(1) == 0].tolist()
    if flat:
        print(f"images of a single value: {', '.join(map(str, flat))}")


def _floats(values: Any) -> Iterator[Tensor]:
    return (v.detach() for v in tree_leaves(values) if isinstance(v, Tensor) and v.is_floating_point())


def _memory(tensor: Tensor) -> tuple[int, int]:
    """Address of a tensor's memory, and how often its values were changed (inference tensors don't count)."""
    return tensor.untyped_storage().data_ptr(), 0 if tensor.is_inference() else tensor._version


def _innermost_line() -> str:
    """The innermost line of code that is neither torch's nor this file's."""
    frames = [f for f in traceback.extract_stack() if f.filename != __file__ and "/torch/" not in f.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}, {frames[-1].name}: {frames[-1].line}"
