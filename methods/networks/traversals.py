"""Pictures of latent traversals: images decoded while one dimension of the code moves."""

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
    """Save images, their reconstructions, and the first image decoded as each dimension of its code moves.

    The file is `images/traversals.png` in the trainer's folder, written by the first process. A trainer without a
    logger gets none.

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
    """Save the images [n, C, H, W] that `draw` returns in eval mode, as `images/NAME` in the trainer's folder.

    Only the first process draws and writes. The method is left in training mode.
    """
    if not method.trainer.is_global_zero:
        return
    folder = Path(method.trainer.default_root_dir) / "images"
    folder.mkdir(parents=True, exist_ok=True)
    method.eval()
    images = draw()
    method.train()
    save_image(make_grid(images.cpu(), nrow=per_row), folder / name)


def moved(codes: Tensor) -> Tensor:
    """The first of codes [n, k], each dimension in turn set to n values from -2 to 2: [min(k, `MOST`) n, k]."""
    values = torch.linspace(-REACH, REACH, len(codes), device=codes.device)
    made = codes[:1].repeat(min(MOST, codes.shape[1]), len(codes), 1)
    for dimension, row in enumerate(made.unbind()):
        row[:, dimension] = values
    return made.flatten(0, 1)
