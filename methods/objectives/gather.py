"""The one distributed gather, and the one scaling rule.

An objective that pools over the batch takes `gather`. It gathers its inputs first, each view on its own, and
then computes the loss of the whole batch on every rank. The gather's backward **sums** the gradient over the
ranks; each rank therefore holds `world size` times its share of the whole batch's gradient, and DDP's mean
over ranks makes it the gradient of one process that holds the ranks' rows stacked in rank order. Nothing else
may scale the loss or the gradient by the world size.

All ranks must hold the same number of rows. Where no process group is initialised, or the world size is 1,
callers pass `gather=None`.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

Gather = Callable[[Tensor], Tensor]


class _AllGather(torch.autograd.Function):
    # `torch.distributed.nn.functional.all_gather` does this too, but is deprecated.
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.rows = len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, tensor)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        total = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.rows
        return total[start : start + ctx.rows]


def all_gather(tensor: Tensor) -> Tensor:
    """`tensor` [b, ...] of all ranks stacked in rank order [world * b, ...]; backward sums over the ranks."""
    return _AllGather.apply(tensor.contiguous())


def from_first(tensor: Tensor) -> Tensor:
    """`tensor` as the first rank has it, on all ranks; without a process group as it is. No gradient."""
    if dist.is_available() and dist.is_initialized():
        tensor = tensor.detach().contiguous()
        dist.broadcast(tensor, 0)
    return tensor
