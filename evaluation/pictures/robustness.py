"""How far a representation moves when an image is changed ever more strongly: the curves of a run's page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from disentangle_bench.evaluation.encoder import as_bytes
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.invariance import similarity
from disentangle_bench.evaluation.transforms import transforms_for


def curves(embed: Callable[[Tensor], dict[str, Tensor]], images: Tensor) -> list[dict[str, Any]]:
    """Similarity of clean and transformed images in every space.

    Args:
        embed: uint8 images [N, C, H, W] to named spaces [N, d], in evaluation mode.
        images: uint8 [N, C, H, W], N >= 2, on the encoder's device.

    Returns:
        One entry a space, transform and severity: `space`, `transform` (with its unit), `severity` and `similarity`
        (`evaluation.metrics.invariance.similarity`). Hue is left out for images without colour, and a space in which
        all images lie together.
    """
    scaled = images.float() / 255
    clean = embed(images)
    points: list[dict[str, Any]] = []
    for name, transform in transforms_for(images.shape[1]).items():
        title = f"{name} ({transform.unit})"
        points += [{"space": s, "transform": title, "severity": 0.0, "similarity": 1.0} for s in clean]
        for severity in transform.severities:
            moved = embed(as_bytes(transform(scaled, severity)))
            for space, z in clean.items():
                try:
                    value = similarity(z, moved[space])
                except MetricUndefined:
                    continue
                points.append({"space": space, "transform": title, "severity": severity, "similarity": round(value, 4)})
    drawn = {p["space"] for p in points if p["severity"]}
    return [p for p in points if p["space"] in drawn]
