"""How far a representation moves when an image is transformed ever more strongly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as T

SEVERITIES: dict[str, tuple[float, ...]] = {
    "rotation (degrees)": (10, 20, 30, 45),
    "shift (share of the side)": (0.05, 0.1, 0.2, 0.3),
    "brightness (factor)": (0.8, 0.6, 0.4, 0.2),
    "contrast (factor)": (0.8, 0.6, 0.4, 0.2),
    "hue (turn)": (0.05, 0.1, 0.25, 0.5),
    "blur (pixels)": (0.5, 1, 1.5, 2),
    "noise (share of white)": (0.05, 0.1, 0.15, 0.2),
}
"""What is done to the images, from weak to strong."""


def transform(images: Tensor, name: str, severity: float, seed: int = 0) -> Tensor:
    """Uint8 images [N, C, H, W], all transformed alike (the noise alone differs from image to image)."""
    kind = name.split(" ")[0]
    if kind == "rotation":
        return T.rotate(images, severity, interpolation=T.InterpolationMode.BILINEAR)
    if kind == "shift":
        pixels = [round(severity * side) for side in (images.shape[-1], images.shape[-2])]
        return T.affine(images, angle=0.0, translate=[float(p) for p in pixels], scale=1.0, shear=[0.0, 0.0])
    if kind == "brightness":
        return T.adjust_brightness(images, severity)
    if kind == "contrast":
        return T.adjust_contrast(images, severity)
    if kind == "hue":
        return T.adjust_hue(images, severity)
    if kind == "blur":
        return T.gaussian_blur(images, [5, 5], [severity, severity])
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)) * severity * 255
    return (images + noise.to(images.device)).clamp(0, 255).to(torch.uint8)


def curves(embed: Callable[[Tensor], dict[str, Tensor]], images: Tensor, seed: int = 0) -> list[dict[str, Any]]:
    """Similarity of clean and transformed images in every space.

    Args:
        embed: uint8 images [N, C, H, W] to named spaces [N, d], in evaluation mode.
        images: uint8 [N, C, H, W], N >= 2, on the encoder's device.
        seed: of the noise.

    Returns:
        One entry a space, transform and severity: `space`, `transform`, `severity` and `similarity`, which is 1 for a
        representation that does not move and 0 for one that becomes as different as another image's: mean cosine of
        clean and transformed, c, as (c - m) / (1 - m) with m the mean cosine of two different images. Hue is left out
        for images without colour, and a space in which all images lie together.
    """
    clean = {space: _unit(z) for space, z in embed(images).items()}
    points: list[dict[str, Any]] = [
        {"space": space, "transform": name, "severity": 0.0, "similarity": 1.0}
        for space in clean
        for name in SEVERITIES
        if images.shape[1] == 3 or not name.startswith("hue")
    ]
    for name, severities in SEVERITIES.items():
        if name.startswith("hue") and images.shape[1] != 3:
            continue
        for severity in severities:
            moved = embed(transform(images, name, severity, seed))
            for space, z in clean.items():
                same = float((z * _unit(moved[space])).sum(dim=1).mean())
                n = len(z)
                others = float((z.sum(dim=0).square().sum() - z.square().sum()) / (n * (n - 1)))
                if others < 1 - 1e-6:
                    similarity = (same - others) / (1 - others)
                    points.append(
                        {"space": space, "transform": name, "severity": severity, "similarity": round(similarity, 4)}
                    )
    together = {p["space"] for p in points} - {p["space"] for p in points if p["severity"]}
    return [p for p in points if p["space"] not in together and math.isfinite(p["similarity"])]


def _unit(z: Tensor) -> Tensor:
    return torch.nn.functional.normalize(z.detach().flatten(1).double(), dim=1)
