"""Momentum encoders (exponential moving averages of a network), and the queue of their codes."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class MomentumEncoder(nn.Module):
    """Copies of an encoder and its head whose weights are exponential moving averages (MoCo, He et al. 2020).

    The copies have no gradients; their batch norms use the batch's statistics, as those of the originals do.

    Args:
        backbone: images to features.
        head: features to codes.
        count: forward pre-hook for the copied backbone, which counts the images encoded in training.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, count: Callable[[nn.Module, tuple[Tensor, ...]], None]):
        super().__init__()
        self.backbone, self.head = _copied(backbone), copy.deepcopy(head)
        self.backbone.register_forward_pre_hook(count)
        self.requires_grad_(False)

    @torch.no_grad()
    def follow(self, backbone: nn.Module, head: nn.Module, momentum: float) -> None:
        """Update, in place: weight = momentum * weight + (1 - momentum) * weight of `backbone` or `head`."""
        own: list[Tensor] = list(self.parameters())
        torch._foreach_lerp_(own, [*backbone.parameters(), *head.parameters()], 1 - momentum)

    @torch.no_grad()
    def forward(self, views: Tensor) -> Tensor:
        """Codes [B, d] of normalised images [B, C, H, W], constants."""
        return self.head(self.backbone(views))


def _copied(module: nn.Module) -> nn.Module:
    """A copy without the module's hooks, which lead to the method that they belong to."""
    hooks, module._forward_pre_hooks = module._forward_pre_hooks, OrderedDict()
    try:
        return copy.deepcopy(module)
    finally:
        module._forward_pre_hooks = hooks


def random_queue(*shape: int) -> Tensor:
    """Unit vectors [K, ..., d] of random directions: what a queue holds before the first step."""
    return nn.functional.normalize(torch.randn(*shape), dim=-1)


@torch.no_grad()
def enqueue(queue: Tensor, codes: Iterable[Tensor]) -> None:
    """Put codes [B, ..., d] at the end of the queue [K, ..., d], in place; the oldest fall out."""
    queue.copy_(torch.cat([queue, *codes])[-len(queue) :])
