"""Projection heads."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import normalize

from disentangle_bench.methods.objectives.inputs import widen


def unit(codes: Tensor) -> Tensor:
    """Codes [B, d] with rows of length 1, in float32 at least."""
    return normalize(widen(codes), dim=1)


def mlp(*widths: int, batch_norm: bool = True, last_bias: bool = True) -> nn.Sequential:
    """Linear layers of the given widths with ReLU (and batch norm before it) between them.

    Args:
        widths: input, hidden and output width: `mlp(256, 512, 128)` has two linear layers.
        batch_norm: whether hidden layers are batch-normalised (they then have no bias).
        last_bias: whether the last layer has a bias.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        layers.append(nn.Linear(before, after, bias=not batch_norm))
        layers += [nn.BatchNorm1d(after), nn.ReLU()] if batch_norm else [nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1], bias=last_bias))
