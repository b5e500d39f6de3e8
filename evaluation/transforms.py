"""Changes of an image with a strength each: the same for every method, whatever it was trained with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Apply = Callable[[Tensor, Tensor], Tensor]
"""(images float [N, C, H, W] in [0, 1], strengths [N]) -> images, each changed by its own strength."""


def _rotate(images: Tensor, degrees: Tensor) -> Tensor:
    from kornia.geometry.transform import rotate

    return rotate(images, degrees)


def _shift(images: Tensor, share: Tensor) -> Tensor:
    from kornia.geometry.transform import translate

    height, width = images.shape[-2:]
    return translate(images, torch.stack([share * width, share * height], dim=1))


def _brightness(images: Tensor, factor: Tensor) -> Tensor:
    return images * factor[:, None, None, None]


def _contrast(images: Tensor, factor: Tensor) -> Tensor:
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * factor[:, None, None, None]


def _hue(images: Tensor, turn: Tensor) -> Tensor:
    from kornia.enhance import adjust_hue

    return adjust_hue(images, 2 * math.pi * turn)


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    from kornia.filters import gaussian_blur2d

    return gaussian_blur2d(images, (7, 7), sigma[:, None].expand(-1, 2).clamp(min=1e-3))


def _noise(images: Tensor, share: Tensor) -> Tensor:
    return images + torch.randn(images.shape).to(images.device) * share[:, None, None, None]


@dataclass(frozen=True)
class Transform:
    """One kind of change; one that draws does so from torch's generator.

    Attributes:
        unit: of its strength.
        severities: from weak to strong.
        low: smallest strength where one is drawn for each image.
        high: largest strength.
        apply: the change.
        circular: whether `low` and `high` are the same strength.
        colour: whether it changes coloured images only.
    """

    unit: str
    severities: tuple[float, ...]
    low: float
    high: float
    apply: Apply
    circular: bool = False
    colour: bool = False

    def __call__(self, images: Tensor, strength: Tensor | float) -> Tensor:
        """Images float [N, C, H, W] in [0, 1], changed by one strength or by one each [N]."""
        strengths = torch.as_tensor(strength, dtype=images.dtype, device=images.device).expand(len(images))
        return self.apply(images, strengths).clamp(0, 1)


TRANSFORMS: dict[str, Transform] = {
    "rotation": Transform("degrees", (10, 20, 30, 45), -45, 45, _rotate),
    "shift": Transform("share of the side", (0.05, 0.1, 0.2, 0.3), -0.3, 0.3, _shift),
    "brightness": Transform("factor", (0.8, 0.6, 0.4, 0.2), 0.2, 1.0, _brightness),
    "contrast": Transform("factor", (0.8, 0.6, 0.4, 0.2), 0.2, 1.0, _contrast),
    "hue": Transform("turn", (0.05, 0.1, 0.25, 0.5), -0.5, 0.5, _hue, circular=True, colour=True),
    "blur": Transform("pixels", (0.5, 1, 1.5, 2), 0.0, 2.0, _blur),
    "noise": Transform("share of white", (0.05, 0.1, 0.15, 0.2), 0.0, 0.2, _noise),
}


def transforms_for(images: Tensor) -> dict[str, Transform]:
    """Those that change any of the images [N, C, H, W]: grey ones, of one channel or three equal ones, have no hue."""
    coloured = images.shape[1] == 3 and bool((images != images[:, :1]).any())
    return {name: t for name, t in TRANSFORMS.items() if coloured or not t.colour}
