"""The network itself, for what its cached features can't tell: how it takes a changed image, how it trains on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from evaluation.features import Embed, inference_mode

Change = Callable[[Tensor, slice], Tensor]
CHUNK = 512
"""Images encoded at a time."""


def as_bytes(images: Tensor) -> Tensor:
    """Images in [0, 1] as `embed` takes them: uint8."""
    return (images * 255).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Encoder:
    """A network with the images that it is judged on.

    Attributes:
        module: the network behind `embed`; its weights and buffers are the same after each measurement as before.
        embed: uint8 images [B, C, H, W] to space -> [B, d].
        take: (split, positions [n]) -> batch dict of `image` uint8 [n, C, H, W] and `target/<name>` [n].
        sizes: images in each split.
        mirror_symmetric: whether a mirror image means the same.
    """

    module: nn.Module
    embed: Embed
    take: Callable[[str, np.ndarray], dict[str, Tensor]]
    sizes: dict[str, int]
    mirror_symmetric: bool = True
    _known: dict[Hashable, dict[str, np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    def sample(self, split: str, count: int, seed: int = 0) -> Tensor:
        """At most `count` images of a split, drawn without replacement: uint8 [n, C, H, W]."""
        positions = np.sort(np.random.default_rng(seed).permutation(self.sizes[split])[:count])
        return self.take(split, positions)["image"]

    def encode_once(self, key: Hashable, images: Tensor, change: Change | None = None) -> dict[str, np.ndarray]:
        """Every space of the images, each first changed; the measures of all spaces share what has one key.

        Args:
            key: names the images and the change.
            images: uint8 [N, C, H, W].
            change: (images float [n, C, H, W] in [0, 1], their rows) -> the same, changed.

        Returns:
            Space -> float32 [N, d].
        """
        if key not in self._known:
            parts: dict[str, list[np.ndarray]] = {}
            with inference_mode(self.module):
                for start in range(0, len(images), CHUNK):
                    rows = slice(start, min(start + CHUNK, len(images)))
                    part = images[rows].to(self.device)
                    if change is not None:
                        part = as_bytes(change(part.float() / 255, rows))
                    for space, values in self.embed(part).items():
                        parts.setdefault(space, []).append(values.float().cpu().numpy())
            self._known[key] = {space: np.concatenate(chunks) for space, chunks in parts.items()}
        return self._known[key]

    def batches(self, split: str) -> Iterable[dict[str, Tensor]]:
        """All images of a split, in order."""
        for start in range(0, self.sizes[split], CHUNK):
            yield self.take(split, np.arange(start, min(start + CHUNK, self.sizes[split])))

    def training_batches(self, split: str, batch_size: int, seed: int, epoch: int) -> Iterable[dict[str, Tensor]]:
        """Shuffled batches of a split, the last one as small as it is; the order depends on seed and epoch alone."""
        order = np.random.default_rng([seed, epoch]).permutation(self.sizes[split])
        for start in range(0, len(order), batch_size):
            yield self.take(split, np.sort(order[start : start + batch_size]))
