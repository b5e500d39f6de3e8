"""Splits: images with the values of their targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

SplitName = Literal["train", "val", "test", "probe", "probe_val"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
"""The splits of a data set."""
PROBES: tuple[SplitName, ...] = ("probe", "probe_val")
"""Splits on which probes of a space's information are fitted and selected; they hold no test images."""


class Images(Protocol):
    """Images of a split: an array, or an object that decodes or renders images when they are indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """uint8 [len(rows), C, H, W], a new array."""


@dataclass(frozen=True)
class Split:
    """Images of one split with the values of their targets.

    Attributes:
        images: uint8 [M, C, H, W], in memory, a memory map that splits share, or made on demand.
        targets: name -> [N] values of this split, in order.
        rows: int64 [N] positions of this split's images in `images`; None means all of them, in order.
        digest: hash of all of `images`, where it is known without taking them one by one, or what computes it.
        names: bytes [M], a name (as a rule the file's) for each of `images`, for messages to people.
        weights: float32 [N], under which content and domain are independent in this split (0 for images that have to be
            left out for that), for probes and their scores; None where all images count alike.
    """

    images: Images
    targets: dict[str, np.ndarray]
    rows: np.ndarray | None = field(default=None)
    digest: str | Callable[[], str] | None = field(default=None)
    names: np.ndarray | None = field(default=None)
    weights: np.ndarray | None = field(default=None)

    def __len__(self) -> int:
        return len(self.images) if self.rows is None else len(self.rows)

    def take(self, positions: np.ndarray) -> np.ndarray:
        """uint8 [len(positions), C, H, W]: the images at these positions of the split."""
        return self.images[positions if self.rows is None else self.rows[positions]]

    def select(self, positions: np.ndarray) -> Split:
        """The split that holds only these positions, in this order; images are shared, not copied.

        Weights are not taken along: they are of the whole split.
        """
        rows = positions if self.rows is None else self.rows[positions]
        targets = {name: values[positions] for name, values in self.targets.items()}
        return Split(self.images, targets, rows, self.digest, self.names)

    def same_images(self, other: Split) -> bool:
        """True if the other split holds the same images in the same order, so that both have the same features."""
        if self.images is not other.images or len(self) != len(other):
            return False
        return self.rows is other.rows or (
            self.rows is not None and other.rows is not None and np.array_equal(self.rows, other.rows)
        )

    def images_digest(self) -> str | None:
        """Hash of all of `images`, or None where it is not known."""
        return self.digest() if callable(self.digest) else self.digest

    def name_of(self, position: int) -> str:
        """Name of an image for messages: its file's name, or `image` and its row."""
        row = position if self.rows is None else int(self.rows[position])
        return f"image {row}" if self.names is None else bytes(self.names[row]).decode("utf-8", "backslashreplace")


def splits_at(
    rows: Mapping[SplitName, np.ndarray],
    images: Images,
    targets: Mapping[str, np.ndarray],
    digest: str | Callable[[], str],
    names: np.ndarray | None = None,
) -> dict[SplitName, Split]:
    """Splits that share all images.

    Args:
        rows: int positions in `images` of each split's own.
        images: uint8 [M, C, H, W].
        targets: name -> [M] values.
        digest: of `images`, see `Split`.
        names: of `images`, see `Split`.
    """
    return {
        name: Split(images, {key: values[at] for key, values in targets.items()}, at, digest, names)
        for name, at in rows.items()
    }
