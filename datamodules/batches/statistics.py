"""Mean and standard deviation of a split's pixels, by channel."""

from __future__ import annotations

import numpy as np

from disentangle_bench.datamodules.batches.split import Split

SAMPLE = 10_000
"""Images that statistics are taken over, at most, where images are made on demand."""


def channel_statistics(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over a split's images, scaled to [0, 1].

    Taken over all images, or over `SAMPLE` evenly spaced ones where images are made on demand.

    Args:
        split: with images uint8 [N, C, H, W].

    Returns:
        C means and C deviations (over N, not N - 1; at least one level of 255).
    """
    channels, positions = split.images.shape[1], np.arange(len(split))
    if getattr(split.images, "on_demand", False) and len(split) > SAMPLE:
        positions = np.linspace(0, len(split) - 1, SAMPLE).astype(np.int64)
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(positions), 4096):
        images = split.take(positions[start : start + 4096])
        for channel in range(channels):
            counts[channel] += _count_levels(images[:, channel])
    levels = np.arange(256) / 255
    mean = counts @ levels / counts.sum(1)
    std = np.sqrt((counts * (levels - mean[:, None]) ** 2).sum(1) / counts.sum(1))
    return tuple(mean.tolist()), tuple(np.maximum(std, 1 / 255).tolist())


def _count_levels(values: np.ndarray) -> np.ndarray:
    """int64 [256]: how often each uint8 value occurs. Counts pairs of bytes, at a quarter of a plain count's time."""
    flat = np.ascontiguousarray(values).reshape(-1)
    even = len(flat) // 2 * 2
    pairs = np.bincount(flat[:even].view(np.uint16), minlength=1 << 16).reshape(256, 256)
    return pairs.sum(0) + pairs.sum(1) + np.bincount(flat[even:], minlength=256)
