"""Codes that are distributions, and a decoder back to images."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from disentangle_bench.methods.objectives.inputs import upcast


class GaussianHead(nn.Linear):
    """Features [B, d] to mean and log-variance [B, k] of a code."""

    def __init__(self, in_features: int, dim: int):
        super().__init__(in_features, 2 * dim)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        mean, log_variance = upcast(super().forward(features)).chunk(2, 1)
        return mean, log_variance


def sample(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Codes [B, k] drawn with standard normal `noise` [B, k], differentiable in the distribution."""
    return mean + (log_variance / 2).exp() * noise


class Decoder(nn.Module):
    """Codes [B, k] to logits of images [B, C, H, W], of any size: a linear layer, then convolutions that double sides.

    From at most 4 pixels a side, as in Locatello et al. (ICML 2019); what is beyond the image's sides is cut off.

    Args:
        dim: k.
        image_shape: (C, H, W).
        width: channels before the last two convolutions; 64 and 32 follow.
    """

    def __init__(self, dim: int, image_shape: tuple[int, int, int], width: int = 64):
        super().__init__()
        channels, self.height, self.width = image_shape
        doublings = 2
        while max(self.height, self.width) > 4 * 2**doublings:
            doublings += 1
        self.start = (width, -(-self.height // 2**doublings), -(-self.width // 2**doublings))
        self.linear = nn.Sequential(
            nn.Linear(dim, 256), nn.ReLU(), nn.Linear(256, self.start[0] * self.start[1] * self.start[2]), nn.ReLU()
        )
        widths = [*[width] * (doublings - 1), width // 2, channels]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers[:-1])

    def forward(self, codes: Tensor) -> Tensor:
        images = self.convolutions(self.linear(codes).unflatten(1, self.start))
        return upcast(images[..., : self.height, : self.width])


def binary_discriminator(dim: int, hidden_dim: int) -> nn.Sequential:
    """Codes [B, dim] to logits [B, 2]: six layers with leaky ReLU (Kim & Mnih 2018, appendix B)."""
    widths = (dim, *[hidden_dim] * 5)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(hidden_dim, 2))


def frozen(module: nn.Module, inputs: Tensor) -> Tensor:
    """The module's output, with a gradient for its inputs and none for its parameters."""
    constants = {name: value.detach() for name, value in module.named_parameters()}
    return torch.func.functional_call(module, constants, (inputs,))
