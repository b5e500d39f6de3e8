"""How much of what should not matter is in the features: domain leakage, alignment and uniformity, transforms."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from disentangle_bench.evaluation.metrics.arrays import (
    ROWS,
    device,
    full_precision,
    matrix,
    real,
    row_labels,
    unit_rows,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.probes import linear_probe, mlp_probe

PAIRS = 2**24
"""Pairs of rows whose distance is held at a time."""


def domain_leakage(
    train_x: Any,
    train_d: Any,
    test_x: Any,
    test_d: Any,
    *,
    num_domains: int,
    seed: int = 0,
    mlp: bool = True,
) -> dict[str, float]:
    """How well the domain can be read off features that should not tell it (Kahana & Hoshen 2022, section 5).

    Args:
        train_x: [N, D].
        train_d: int [N] in [0, num_domains).
        test_x: [M, D].
        test_d: int [M].
        num_domains: from the data set.
        seed: of both probes.
        mlp: train the MLP probe too; without it `mlp` is absent and `normalized` is the linear probe's.

    Returns:
        linear, mlp: test accuracy of `linear_probe` and `mlp_probe`.
        chance: the share of the test samples' most frequent domain, what the best constant guess gets.
        normalized: (accuracy - chance) / (1 - chance) of the better probe, cut to [0, 1]: 0 tells nothing, 1 all.

    Raises:
        ValueError: wrong shapes (both named), labels out of range.
        MetricUndefined: as the probes, or a single domain among the training or the test samples.
    """
    train_x, test_x = matrix(train_x, "train_x"), matrix(test_x, "test_x")
    train_d = row_labels(train_d, "train_d", train_x, "train_x", num_domains)
    test_d = row_labels(test_d, "test_d", test_x, "test_x", num_domains)
    for name, domains in (("training", train_d), ("test", test_d)):
        if len(np.unique(domains)) < 2:
            raise MetricUndefined(f"domain leakage needs two domains, the {name} samples are all of {domains[0]}")
    data = (train_x, train_d, test_x, test_d)
    scores = {"linear": linear_probe(*data, num_classes=num_domains, seed=seed)["top1"]}
    if mlp:
        scores["mlp"] = mlp_probe(*data, num_classes=num_domains, seed=seed)["top1"]
    chance = float(np.bincount(test_d).max() / len(test_d))
    normalized = (max(scores.values()) - chance) / (1 - chance)
    return scores | {"chance": chance, "normalized": float(np.clip(normalized, 0.0, 1.0))}


def alignment(z1: Any, z2: Any, alpha: float = 2.0) -> float:
    """Mean of ||z1 - z2||^alpha over positive pairs (Wang & Isola 2020, eq. 1): 0 is perfect, 4 the most at alpha 2.

    Args:
        z1: [N, D], rows of length 1 (not normalised here).
        z2: [N, D], the other half of each pair.
        alpha: the exponent.

    Raises:
        ValueError: shapes that differ (both are named).
        MetricUndefined: empty or non-finite rows.
    """
    z1, z2 = matrix(z1, "z1"), matrix(z2, "z2")
    if z1.shape != z2.shape:
        raise ValueError(f"z1 has shape {z1.shape} but z2 {z2.shape}")
    distances = [
        np.linalg.norm(z1[start : start + ROWS].astype(np.float64) - z2[start : start + ROWS], axis=1)
        for start in range(0, len(z1), ROWS)
    ]
    return float((np.concatenate(distances) ** alpha).mean())


def uniformity(z: Any, t: float = 2.0) -> float:
    """Log of the mean over pairs i < j of exp(-t ||z_i - z_j||^2) (Wang & Isola 2020, eq. 2): 0 if all rows are equal.

    Computed in float64, in blocks of pairs.

    Args:
        z: [N, D], rows of length 1 (not normalised here).
        t: the kernel's width.

    Raises:
        ValueError: not [N, D].
        MetricUndefined: empty or non-finite rows, or a single one.
    """
    rows = torch.from_numpy(matrix(z, "z").astype(np.float64))
    if len(rows) < 2:
        raise MetricUndefined("uniformity is over pairs, and there is one row")
    with full_precision(), torch.no_grad():
        rows = rows.to(device())
        square = (rows * rows).sum(dim=1)
        total, block = -np.inf, max(1, PAIRS // len(rows))
        for start in range(0, len(rows) - 1, block):
            part, rest = slice(start, start + block), slice(start + 1, None)
            distance = (square[part, None] + square[rest] - 2 * rows[part] @ rows[rest].T).clamp_(min=0)
            later = torch.ones_like(distance, dtype=torch.bool).triu_()  # row i of the block begins at pair (i, i + 1)
            kernel = torch.where(later, -t * distance, -torch.inf)
            total = np.logaddexp(total, kernel.flatten().logsumexp(0).item())
    return float(total - np.log(len(rows) * (len(rows) - 1) / 2))


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
    clean = matrix(embed(images), "embeddings")
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
    clean, moved = (unit_rows(real(x, n).astype(np.float64), n) for x, n in ((clean, "embeddings"), (moved, name)))
    if moved.shape != clean.shape:
        raise ValueError(f"embeddings have shape {clean.shape} but {name.removeprefix('embeddings ')} {moved.shape}")
    count = len(clean)
    if count < 2:
        raise MetricUndefined("transform invariance compares different images, and there is one")
    other = float((np.linalg.norm(clean.sum(axis=0)) ** 2 - (clean**2).sum()) / (count * (count - 1)))
    if 1 - other < 1e-6:
        raise MetricUndefined(f"all {count} images have the same embedding, up to its length")
    return (float((clean * moved).sum(axis=1).mean()) - other) / (1 - other)
