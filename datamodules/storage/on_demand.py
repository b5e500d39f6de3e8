"""Images that are decoded or rendered when they are indexed, and the choice between that and memory."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import psutil

Feed = Literal["auto", "memory", "stream"]
MEMORY_SHARE = 0.5
"""`auto` feeds from memory when the decoded images take at most this share of the machine's RAM."""


class OnDemand:
    """Base of image sources that compute images when asked (decode, render); worth worker processes.

    A subclass has `shape` and `__getitem__(rows)`.
    """

    on_demand: ClassVar[bool] = True
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0]

    def fill(self, out: np.ndarray) -> dict[str, Any]:
        """Write all images into `out`; what it returns is kept beside them."""
        for start in range(0, len(self), 1024):
            rows = np.arange(start, min(start + 1024, len(self)))
            out[rows] = self[rows]
        return {}

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def fits_in_memory(shape: tuple[int, ...]) -> bool:
    """True if uint8 images of this shape take at most `MEMORY_SHARE` of the machine's RAM."""
    return int(np.prod(shape, dtype=np.int64)) <= MEMORY_SHARE * psutil.virtual_memory().total
