"""Projection heads."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from disentangle_bench.methods.objectives.inputs import matmul, upcast


def unit(codes: Tensor) -> Tensor:
    """Codes [B, d] with rows of length 1, in float32 at least."""
    return normalize(upcast(codes), dim=1)


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


class PrototypeHead(nn.Module):
    """Features to cosines with K prototypes: an MLP without batch norm, rows of length 1, a weight-normalised layer.

    That is DINO's head with `norm_last_layer`: the last layer's weights have length 1 (Caron et al. 2021, appendix C).

    Args:
        widths: of the MLP, the last one that of the codes.
        num_prototypes: K.
    """

    def __init__(self, *widths: int, num_prototypes: int):
        super().__init__()
        self.projector = mlp(*widths, batch_norm=False)
        self.prototypes = nn.Parameter(unit(torch.randn(num_prototypes, widths[-1])))

    def forward(self, features: Tensor, *, frozen: bool = False) -> Tensor:
        """Scores [B, K] of features [B, d]; with `frozen` the prototypes get no gradient."""
        prototypes: Tensor = self.prototypes
        if frozen:
            prototypes = prototypes.detach() + 0.0 * prototypes  # a parameter without a gradient stops DDP
        codes = unit(self.projector(features))
        return matmul(codes, unit(prototypes).to(codes).T)
