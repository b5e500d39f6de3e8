"""Contact sheets: many small images in one PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

TILE = 40
"""Side of a tile in pixels, borders not counted."""
BORDER = 3
SAME, OTHER = (0, 114, 178), (213, 94, 0)
"""Blue and vermilion, told apart by colour-blind readers too (Okabe & Ito 2008)."""
PAPER = (128, 128, 128)
"""Grey between tiles, and around a query image (its neighbours have `SAME` or `OTHER`)."""


def tile(image: np.ndarray) -> np.ndarray:
    """Uint8 [C, H, W] with 1, 3 or any other number of channels (then the first counts) to uint8 [TILE, TILE, 3].

    Small images keep their pixels visible, large ones are averaged down.
    """
    pixels = image if len(image) == 3 else np.repeat(image[:1], 3, axis=0)
    small = max(image.shape[1:]) <= TILE
    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    resized = picture.resize((TILE, TILE), Image.Resampling.NEAREST if small else Image.Resampling.BOX)
    return np.asarray(resized)


def sheet(
    rows: Sequence[Sequence[np.ndarray]], borders: Sequence[Sequence[tuple[int, int, int]]] | None = None
) -> bytes:
    """A PNG of 256 colours with one image a place.

    Args:
        rows: uint8 images [C, H, W], any sizes; rows may differ in length.
        borders: a colour a place.
    """
    side = TILE + 2 * BORDER
    canvas = np.empty((len(rows) * side, max(map(len, rows)) * side, 3), dtype=np.uint8)
    canvas[:] = PAPER
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            place = canvas[r * side : (r + 1) * side, c * side : (c + 1) * side]
            if borders is not None:
                place[:] = borders[r][c]
            place[BORDER:-BORDER, BORDER:-BORDER] = tile(image)
    return png(Image.fromarray(canvas))


def png(picture: Image.Image) -> bytes:
    """A picture as PNG of at most 256 colours."""
    file = io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()
