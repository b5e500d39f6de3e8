"""Training with a user's own `DataLoader`: its batches as methods take them, and default statistics of its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

EXPECTED = (
    "a batch is a dict with `image`, a tuple that begins with the images, or the images themselves: uint8 or float in "
    "[0, 1], [B, C, H, W]"
)
STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0,), (1.0,)),
}
"""Name -> mean and standard deviation of each channel, for values in [0, 1]; a single value holds for all channels."""


def undescribed(image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """Default for `datamodule.describe()`: no targets, ImageNet's mean and standard deviation for three channels."""
    channels = image_shape[0]
    mean, std = STATISTICS["imagenet"] if channels == 3 else ((0.5,) * channels, (0.25,) * channels)
    return {
        "name": "a loader",
        "num_classes": None,
        "num_train": None,
        "mean": mean,
        "std": std,
        "mirror_symmetric": True,
        "view_shape": image_shape[1:],
        "eval_shape": image_shape[1:],
        "eval_crop": 1.0,
        "targets": [],
    }


def as_batch(given: Any, channels: int, rank: int = 0) -> dict[str, Any]:
    """A batch of any loader as a dict with `image` uint8 [B, C, H, W] and `index` int64 [B].

    Args:
        given: a dict with `image`, a tuple whose first part are images, or images.
        channels: C.
        rank: of this process, so that images of different ones get different numbers where a loader gives none.

    Raises:
        ValueError: it is something else; the message says what.
    """
    batch: dict[str, Any] = {}
    if isinstance(given, Mapping):
        batch, image = dict(given), given.get("image")
    else:
        image = given[0] if isinstance(given, Sequence) and len(given) else given
    if not isinstance(image, Tensor):
        kind = f"a dict with {', '.join(map(str, given))}" if isinstance(given, Mapping) else type(given).__name__
        raise ValueError(f"{EXPECTED}; this one is {kind}")
    if image.ndim != 4 or image.shape[1] != channels:
        raise ValueError(f"{EXPECTED} with C = {channels} (see image_shape); these are {tuple(image.shape)}")
    if image.is_floating_point():
        low, high = (float(value) for value in image.aminmax())
        if not (low >= 0 and high <= 1):  # also NaN
            raise ValueError(
                f"{EXPECTED}; these lie between {low:.3g} and {high:.3g}: leave out what normalises them, the method "
                "does it on the device (option `normalize`)"
            )
        image = (image * 255).round().to(torch.uint8)
    if image.dtype != torch.uint8:
        raise ValueError(f"{EXPECTED}; these are {image.dtype}")
    index = batch.get("index")
    return batch | {"image": image, "index": torch.arange(len(image)) + rank * len(image) if index is None else index}
