"""How little a transform moves the embedding."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from disentangle_bench.evaluation.metrics.arrays import check_array, check_real, unit_rows
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


def transform_invariance(
    embed: Callable[[Any], Any], images: Any, transforms: Mapping[str, Callable[[Any], Any]], seed: int = 0
) -> dict[str, float]:
    """How little each transform moves the embedding (`similarity` of the clean and the transformed images).

    Args:
        embed: images -> [N, D], an array or a tensor.
        images: whatever `embed` and the transforms take, N of them.
        transforms: by name, images -> images. One that draws does so from torch's generator, set to `seed` for each
            and put back after it.
        seed: see there.

    Raises:
        ValueError: an embedding that is not [N, D], or changes its shape under a transform (both are named).
        MetricUndefined: empty or non-finite embeddings, one image, or images that all have the same embedding.
    """
    clean = check_array(embed(images), "embeddings")
    similarity(clean, clean)  # undefined here, undefined for every transform
    result = {}
    for name, transform in transforms.items():
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            result[name] = similarity(clean, embed(transform(images)), f"embeddings under {name}")
    return result


def similarity(clean: Any, moved: Any, name: str = "moved") -> float:
    """Closeness of rows to their moved selves, on the scale from another row (0) to the same (1).

    (c - c_other) / (1 - c_other), with c the mean cosine of a row and its moved self and c_other the mean
    cosine of all pairs of different clean rows; below 0 if a row moves further than that.

    Args:
        clean: [N, D].
        moved: [N, D].
        name: of the moved rows, for messages.

    Raises:
        ValueError: shapes that differ (both are named).
        MetricUndefined: empty or non-finite rows, a single one, or clean rows of one direction.
    """
    return float(closeness(clean, moved, name).mean())


def closeness(clean: Any, moved: Any, name: str = "moved") -> NDArray[np.float64]:
    """Terms of `similarity` by row, float64 [N], whose mean it is; arguments and errors as there."""
    clean, moved = (
        unit_rows(check_real(x, n).astype(np.float64), n) for x, n in ((clean, "embeddings"), (moved, name))
    )
    if moved.shape != clean.shape:
        raise ValueError(f"embeddings have shape {clean.shape} but {name.removeprefix('embeddings ')} {moved.shape}")
    count = len(clean)
    if count < 2:
        raise MetricUndefined("transform invariance compares different images, and there is one")
    other = float((np.linalg.norm(clean.sum(axis=0)) ** 2 - (clean**2).sum()) / (count * (count - 1)))
    if 1 - other < 1e-6:
        raise MetricUndefined(f"all {count} images have the same embedding, up to its length")
    return ((clean * moved).sum(axis=1) - other) / (1 - other)
