"""Random views for the protocols that need them: the same for every method, drawn from a seed of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from kornia import augmentation as K
from torch import Tensor


def crops(images: Tensor, seed: Sequence[int], mirror: bool) -> Tensor:
    """Random resized crops (8 % to all of the area) and, with `mirror`, mirror images at even odds.

    Args:
        images: float [B, C, H, W] in [0, 1].
        seed: numbers that name the draw.
        mirror: whether a mirror image means the same.
    """
    return _drawn(_cropped(images, 0.08, mirror), images, seed)


def simclr(images: Tensor, seed: Sequence[int], mirror: bool) -> Tensor:
    """SimCLR's views for small images (Chen et al. 2020): crops, mirror images, colour jitter and grey."""
    return _drawn([*_cropped(images, 0.2, mirror), *_coloured(images)], images, seed)


def ip_irm(images: Tensor, seed: Sequence[int], mirror: bool, shape: tuple[int, int] | None = None) -> Tensor:
    """The views of IP-IRM's linear probe (Wang et al. 2021), those of its training: float [B, C, h, w].

    Args:
        images: float [B, C, H, W] in [0, 1].
        seed: numbers that name the draw.
        mirror: whether a mirror image means the same.
        shape: (h, w) of the views; that of the images if not given.
    """
    blur = K.RandomGaussianBlur((3, 3), (0.1, 2.0), p=0.5)
    return _drawn([*_cropped(images, 0.08, mirror, shape), *_coloured(images), blur], images, seed)


def _cropped(images: Tensor, least: float, mirror: bool, shape: tuple[int, int] | None = None) -> list[torch.nn.Module]:
    """Crops of at least a share of the area, at the size of the images or another one, and mirror images."""
    size = shape or (images.shape[-2], images.shape[-1])
    return [K.RandomResizedCrop(size, scale=(least, 1.0)), K.RandomHorizontalFlip(p=0.5 if mirror else 0.0)]


def _coloured(images: Tensor) -> list[torch.nn.Module]:
    """Colour jitter and grey, where there are colours."""
    return [K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8), K.RandomGrayscale(p=0.2)] if images.shape[1] == 3 else []


def _drawn(steps: Sequence[torch.nn.Module], images: Tensor, seed: Sequence[int]) -> Tensor:
    """Kornia's modules draw from the global generator: it is set for them and put back."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), torch.no_grad():
        torch.manual_seed(int(np.random.SeedSequence(list(seed)).generate_state(1, np.uint64)[0]))
        for step in steps:
            images = step(images)
        return images.clamp(0, 1)
