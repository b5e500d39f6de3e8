"""Batch norm over the batch of all processes, also on the CPU (torch's own needs a GPU)."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from timm import layers
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[override]
        total = grad.clone()
        dist.all_reduce(total)
        return total


class SyncBatchNorm(_BatchNorm):
    """`nn.BatchNorm*` whose statistics while training are those of the batch of all ranks, with their gradient.

    Every rank must hold the same number of rows.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected [B, C, ...], got {list(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(input)
        x = input if input.dtype == torch.float64 else input.float()
        axes = [0, *range(2, x.dim())]
        shape = [1, -1] + [1] * (x.dim() - 2)
        count = dist.get_world_size() * x.numel() // x.shape[1]
        mean = _SumOverRanks.apply(x.sum(axes)) / count
        centred = x - mean.view(shape)
        var = _SumOverRanks.apply(centred.square().sum(axes)) / count  # two passes: no cancellation
        if self.track_running_stats:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)  # type: ignore[union-attr]
                unbiased = var * count / (count - 1)
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)  # type: ignore[union-attr]
        normal = centred * (var + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)


class SyncBatchNormAct(SyncBatchNorm):
    """timm's `BatchNormAct2d` (batch norm, dropout, activation in one module) with the statistics of all ranks."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(input)))


def synchronize(module: nn.Module, accelerator: str = "cpu") -> None:
    """Replace every batch norm in `module`, in place, by one over all processes with the same parameters and buffers.

    Lightning's `sync_batchnorm` isn't used: torch's conversion loses the activation of timm's `BatchNormAct2d`.

    Args:
        module: the network.
        accelerator: `gpu`: torch's and timm's own layers, which are faster there; else those of this file.

    Raises:
        ValueError: `module` holds a kind of batch norm that can't be replaced, and would pool over its own process.
    """
    plain, with_activation = SyncBatchNorm, SyncBatchNormAct
    if accelerator == "gpu":
        plain, with_activation = nn.SyncBatchNorm, layers.SyncBatchNormAct  # type: ignore[assignment]
    for name, child in module.named_children():
        if not isinstance(child, _BatchNorm) or isinstance(child, plain):
            synchronize(child, accelerator)
            continue
        synced: Any
        arguments = (child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats)
        if type(child) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            synced = plain(*arguments)
        elif type(child) is layers.BatchNormAct2d:
            synced = with_activation(*arguments)
            synced.drop, synced.act = child.drop, child.act
        else:
            raise ValueError(
                f"{type(child).__name__} {name!r} can't take its statistics over several processes: use torch's "
                "BatchNorm1d, 2d or 3d or timm's BatchNormAct2d, or train with one process"
            )
        synced._parameters.update(child._parameters)
        synced._buffers.update(child._buffers)
        synced.train(child.training)
        setattr(module, name, synced)
