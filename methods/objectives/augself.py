"""Prediction of the difference of two views' augmentations (AugSelf: Lee et al., NeurIPS 2021, arXiv 2111.09613).

Differs from the authors' code: each crop's centre is mirrored by its own view's flip (there: both by the first view's,
so that the target is wrong wherever the flips differ); the solarisation's target has an axis for its one output.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from disentangle_bench.methods.objectives.inputs import check_same_shape, prepare

OUTPUTS = {"crop": 4, "color": 4, "flip": 1, "blur": 1, "rot": 4, "sol": 1}
"""Task -> number of outputs of its head; rot: logits of the four quarter turns."""


def crop(box: Tensor, flip: Tensor) -> Tensor:
    """Centre and size of a crop after the flip, each (vertical, horizontal), as shares of the image: [B, 4].

    box: [B, 4], top, left, height, width as shares of the image; flip: bool [B], mirrored horizontally.
    """
    size = box[:, 2:]
    vertical, horizontal = (box[:, :2] + size / 2).unbind(1)
    horizontal = torch.where(flip, 1 - horizontal, horizontal)
    return torch.cat([torch.stack([vertical, horizontal], 1), size], 1)


def color(changes: Tensor, applied: Tensor, widths: Sequence[float]) -> Tensor:
    """Strength of the jitter, as shares of the ranges that it is drawn from; 0 where it was left out: [B, 4].

    changes: [B, 4], factors of brightness, contrast and saturation less 1, hue in turns; applied: bool [B]; widths: of
    the four ranges (0: nothing is drawn, the share is 0).
    """
    shares = torch.stack([c / width if width else c * 0 for c, width in zip(changes.unbind(1), widths, strict=True)], 1)
    return torch.where(applied[:, None], shares, 0.0)


def difference(task: str, first: Tensor, second: Tensor) -> Tensor:
    """The target of a task: the first view's parameters relative to the second's (flip: 1 where they are equal).

    first, second: [B, outputs]; flip: bool [B, 1]; rot: int64 [B], quarter turns.
    """
    if task == "flip":
        return (first == second).to(torch.get_default_dtype())
    return (first - second) % 4 if task == "rot" else first - second


def prediction_loss(task: str, output: Tensor, target: Tensor) -> Tensor:
    """Mean over all elements: cross-entropy of flip and rot, else the squared error of tanh(output).

    output: [B, OUTPUTS[task]]; target: alike, of rot int64 [B].

    Raises:
        ValueError: the target's shape isn't that of the output.
    """
    output, target = prepare(output, target)
    if task == "rot":
        return cross_entropy(output, target)
    check_same_shape(output=output, target=target)
    if task == "flip":
        return binary_cross_entropy_with_logits(output, target.to(output))
    return mse_loss(output.tanh(), target.to(output))
