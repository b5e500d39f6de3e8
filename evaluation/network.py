"""The network itself, for what its cached features can't tell: how it takes a changed image, how it trains on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from disentangle_bench.evaluation.features import Embed, device_of, images_at_once, inference_mode

Change = Callable[[Tensor, slice], Tensor]
CHUNK = 512
"""Images read at a time, and encoded unless they are large."""


def as_bytes(images: Tensor) -> Tensor:
    """Images in [0, 1] as `embed` takes them: uint8."""
    return (images * 255).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Network:
    """A network with the images that it is judged on.

    Attributes:
        module: the network behind `embed`; its weights and buffers are the same after each measurement as before.
        embed: uint8 images [B, C, H, W] to space -> [B, d].
        load: (split, positions [n] of each batch) -> batch dicts of `image` uint8 [n, C, H, W] and `target/<name>` [n],
            in that order; decoded ahead where images have to be decoded.
        sizes: images in each split.
        mirror_symmetric: whether a mirror image means the same.
        view_shape: (height, width) of the views that it was trained on, which `embed` takes as float in [0, 1]; None
            where nothing is known of any.
    """

    module: nn.Module
    embed: Embed
    load: Callable[[str, Sequence[Tensor]], Iterable[dict[str, Tensor]]]
    sizes: dict[str, int]
    mirror_symmetric: bool = True
    view_shape: tuple[int, int] | None = None
    _known: dict[Hashable, dict[str, np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return device_of(self.module)

    def sample(self, split: str, count: int, seed: int = 0) -> Tensor:
        """At most `count` images of a split, drawn without replacement: uint8 [n, C, H, W]."""
        positions = torch.from_numpy(self.rows(split, count, seed))
        return torch.cat([batch["image"] for batch in self.load(split, positions.split(CHUNK))])

    def rows(self, split: str, count: int, seed: int = 0) -> np.ndarray:
        """Positions, in order, of the images that `sample` takes."""
        return np.sort(np.random.default_rng(seed).permutation(self.sizes[split])[:count])

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
            at_once = images_at_once(images.shape[1:], (images.shape[1], *(self.view_shape or ())))
            with inference_mode(self.module):
                for start in range(0, len(images), at_once):
                    rows = slice(start, min(start + at_once, len(images)))
                    part = images[rows].to(self.device)
                    if change is not None:
                        part = as_bytes(change(part.float() / 255, rows))
                    for space, values in self.embed(part).items():
                        parts.setdefault(space, []).append(values.float().cpu().numpy())
            self._known[key] = {space: np.concatenate(chunks) for space, chunks in parts.items()}
        return self._known[key]

    def batches(self, split: str) -> Iterable[dict[str, Tensor]]:
        """All images of a split, in order."""
        return self.load(split, torch.arange(self.sizes[split]).split(CHUNK))

    def training_batches(self, split: str, batch_size: int, seed: int, epoch: int) -> Iterable[dict[str, Tensor]]:
        """Shuffled batches of a split, the last one as small as it is; the order depends on seed and epoch alone."""
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(self.sizes[split]))
        return self.load(split, [batch.sort().values for batch in order.split(batch_size)])
