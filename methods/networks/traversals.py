"""What the dimensions of a code do to an image, as a picture."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchvision.utils import make_grid, save_image

SHOWN, MOST, REACH = 8, 16, 2.0
"""Images in a row; dimensions, of which each has a row; and how far they go to both sides of 0."""


@torch.no_grad()
def save(file: Path, images: Tensor, codes: Tensor, decode: Callable[[Tensor], Tensor]) -> None:
    """Images, their reconstructions, then the first one with one dimension of its code at a time from -2 to 2.

    Args:
        file: PNG to write.
        images: [n, C, H, W] in [0, 1]; the first `SHOWN` are taken.
        codes: theirs, [n, k].
        decode: codes to images in [0, 1].
    """
    images, codes = images[:SHOWN], codes[:SHOWN]
    values = torch.linspace(-REACH, REACH, len(images), device=codes.device)
    moved = codes[:1].repeat(min(MOST, codes.shape[1]), len(images), 1)
    for dimension, row in enumerate(moved.unbind()):
        row[:, dimension] = values
    rows = torch.cat([images, decode(codes), decode(moved.flatten(0, 1))])
    file.parent.mkdir(parents=True, exist_ok=True)
    save_image(make_grid(rows.cpu(), nrow=len(images)), file)
