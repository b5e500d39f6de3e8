"""Augmented views of a batch, on its device, each image with parameters of its own.

Drawing and applying are two steps: `draw` returns the parameters as plain tensors, `apply` uses them. A method can so
re-use one group's parameters in another view (style blocks), give every process of a distributed run its part of
one draw, and tell afterwards what was done to an image.
"""

from disentangle_bench.methods.views.augmentation import Augmentation, check_shared, views_of
from disentangle_bench.methods.views.params import Params, on_device, own_rows, together, with_shared
from disentangle_bench.methods.views.pixels import framed
from disentangle_bench.methods.views.positives import Positives

__all__ = [
    "Augmentation",
    "Params",
    "Positives",
    "check_shared",
    "framed",
    "on_device",
    "own_rows",
    "together",
    "views_of",
    "with_shared",
]
