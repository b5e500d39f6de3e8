"""Views by one transform each: the positives of domain-wise contrast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from disentangle_bench.methods.views.augmentation import ERASED, Augmentation
from disentangle_bench.methods.views.params import Params


@dataclass(frozen=True)
class Positives:
    """Views by one transform each, drawn for each image from a list.

    Attributes:
        ranges: transform -> smallest and largest strength: blur (sigma, pixels), contrast, brightness and saturation
            (factors), hue (turns), crop and erasing (area), rotation (degrees); flip, vertical_flip and grey have
            none: []. Default: DCoDR's (Kahana & Hoshen 2022).
    """

    ranges: Mapping[str, Sequence[float]] = field(
        default_factory=lambda: {"blur": (1, 1), "contrast": (1.8, 3), "crop": (0.5, 1), "saturation": (1.8, 3)}
    )

    def __post_init__(self) -> None:
        for name, bounds in self.ranges.items():
            if name not in _TRANSFORMS:
                raise ValueError(f"positives: unknown transform {name!r}; there are {', '.join(_TRANSFORMS)}")
            if len(bounds) != (0 if name in _BARE else 2):
                raise ValueError(
                    f"positives: {name} needs [smallest, largest] ([] for {', '.join(_BARE)}), got {list(bounds)}"
                )

    def draw(self, size: int, count: int, generator: Generator) -> list[Params]:
        """Parameters of `count` views of `size` images; an image's views are by different transforms."""
        order = torch.rand(size, len(self.ranges), generator=generator).argsort(1)
        return [self._draw(order[:, view], generator) for view in range(count)]

    def _draw(self, choice: Tensor, generator: Generator) -> Params:
        params = _STILL.draw(len(choice), generator)
        spatial, appearance = params["spatial"], params["appearance"]
        for number, (name, bounds) in enumerate(self.ranges.items()):
            chosen, (group, key, flag) = choice == number, _TRANSFORMS[name]
            low, high = bounds or (1.0, 1.0)
            strength = low + (high - low) * torch.rand(len(choice), generator=generator)
            old = params[group][key]
            params[group][key] = torch.where(chosen, strength.to(old.dtype), old)
            if flag:
                appearance[flag] = appearance[flag] | chosen
            if name == "crop":
                spatial["log_ratio"] = torch.where(chosen, spatial["log_ratio"], 0.0)
        if "crop" not in self.ranges:
            spatial["log_ratio"] = torch.zeros_like(spatial["log_ratio"])
        if "erasing" in self.ranges:
            for key, (low, high) in {"erase_log_ratio": ERASED, "erase_x": (0, 1), "erase_y": (0, 1)}.items():
                appearance[key] = low + (high - low) * torch.rand(len(choice), generator=generator)
        return params

    def apply(self, images: Tensor, params: Params, shape: Sequence[int] | None = None) -> Tensor:
        """The views that drawn parameters describe: float [B, C, H, W] in [0, 1] to [B, C, h, w]."""
        return _ALL.apply(images, params, shape)


_STILL = Augmentation((1.0, 1.0), flip=0.0, jitter=(0.0, 0.0, 0.0, 0.0), jitter_p=0.0, grey_p=0.0)
"""Draws the image as it is."""
_ALL = Augmentation(jitter_p=1.0, grey_p=1.0, blur_p=1.0, erasing_p=1.0)
"""Applies whatever was drawn."""
_TRANSFORMS = {  # name -> group, parameter, and the coin that switches it on
    "blur": ("appearance", "sigma", "blur"),
    "brightness": ("appearance", "brightness", "jitter"),
    "contrast": ("appearance", "contrast", "jitter"),
    "saturation": ("appearance", "saturation", "jitter"),
    "hue": ("appearance", "hue", "jitter"),
    "grey": ("appearance", "grey", None),
    "crop": ("spatial", "area", None),
    "rotation": ("spatial", "angle", None),
    "flip": ("spatial", "flip", None),
    "vertical_flip": ("spatial", "vertical_flip", None),
    "erasing": ("appearance", "erase_area", "erase"),
}
_BARE = ("flip", "vertical_flip", "grey")
