"""What the dimensions of a code do to an image, as a picture."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch
from torch import Tensor
from torchvision.utils import make_grid, save_image

SHOWN, MOST, REACH = 8, 16, 2.0
"""Images in a row; dimensions, of which each has a row; and how far they go to both sides of 0."""


@torch.no_grad()
def save(
    method: L.LightningModule,
    images: Tensor | None,
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
) -> None:
    """At the end of training: images, their reconstructions, then the first one as one dimension of its code moves.

    `images/traversals.png` in the trainer's folder, by its first process; nothing of a trainer without a logger, which
    was asked to leave nothing.

    Args:
        method: that has been trained; it is left in training mode.
        images: [n, C, H, W] in [0, 1] of the last batch, of which the first `SHOWN` are taken; None if there was none.
        encode: images to codes [n, k].
        decode: codes to images in [0, 1].
    """
    trainer = method.trainer
    if images is None or not trainer.is_global_zero or not trainer.loggers:
        return
    folder = Path(trainer.default_root_dir) / "images"
    folder.mkdir(parents=True, exist_ok=True)
    method.eval()
    images = images[:SHOWN]
    codes = encode(images)
    rows = torch.cat([images, decode(codes), decode(moved(codes))])
    method.train()
    save_image(make_grid(rows.cpu(), nrow=len(images)), folder / "traversals.png")


def moved(codes: Tensor) -> Tensor:
    """The first of codes [n, k] with one dimension at a time at n values from -2 to 2: [min(k, `MOST`) n, k]."""
    values = torch.linspace(-REACH, REACH, len(codes), device=codes.device)
    made = codes[:1].repeat(min(MOST, codes.shape[1]), len(codes), 1)
    for dimension, row in enumerate(made.unbind()):
        row[:, dimension] = values
    return made.flatten(0, 1)
