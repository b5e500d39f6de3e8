"""Pictures that a method leaves: what the dimensions of its code do to an image."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch
from torch import Tensor
from torchvision.utils import make_grid, save_image

SHOWN, MOST, REACH = 8, 16, 2.0
"""Images in a row; dimensions, of which each has a row; and how far they go to both sides of 0."""


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
    if images is None or not method.trainer.loggers:
        return
    first = images[:SHOWN]

    def rows() -> Tensor:
        codes = encode(first)
        return torch.cat([first, decode(codes), decode(moved(codes))])

    save_grid(method, "traversals.png", rows, len(first))


@torch.no_grad()
def save_grid(method: L.LightningModule, name: str, draw: Callable[[], Tensor], per_row: int) -> None:
    """`images/NAME` in the trainer's folder, by its first process: what `draw` gives in eval mode, [n, C, H, W]."""
    if not method.trainer.is_global_zero:
        return
    folder = Path(method.trainer.default_root_dir) / "images"
    folder.mkdir(parents=True, exist_ok=True)
    method.eval()
    images = draw()
    method.train()
    save_image(make_grid(images.cpu(), nrow=per_row), folder / name)


def moved(codes: Tensor) -> Tensor:
    """The first of codes [n, k] with one dimension at a time at n values from -2 to 2: [min(k, `MOST`) n, k]."""
    values = torch.linspace(-REACH, REACH, len(codes), device=codes.device)
    made = codes[:1].repeat(min(MOST, codes.shape[1]), len(codes), 1)
    for dimension, row in enumerate(made.unbind()):
        row[:, dimension] = values
    return made.flatten(0, 1)
