"""Batch norm by the statistics of the batch at hand, where running ones don't exist yet."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def own_batch_statistics(module: nn.Module) -> Iterator[None]:
    """Context in which batch norms of `module`, in eval mode, use their batch's mean and variance, as in training.

    Running statistics stay as they are. Statistics aren't pooled over processes: each batch belongs to one process.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    kept = [(norm.running_mean, norm.running_var) for norm in norms]
    for norm in norms:
        norm.running_mean = norm.running_var = None  # torch then takes the batch's statistics in eval mode
    try:
        yield
    finally:
        for norm, (mean, var) in zip(norms, kept, strict=True):
            norm.running_mean, norm.running_var = mean, var
