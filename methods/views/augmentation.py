"""Random augmentation: how strong each transform is, one draw of it, and what a draw does to images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, PositiveInt
from torch import Generator, Tensor

from disentangle_bench.methods.views.params import Params, on_device
from disentangle_bench.methods.views.pixels import blurred, chosen, recolour, rectangle, warp
from disentangle_bench.registry import imported, offered

ERASED = (math.log(0.3), math.log(3.3))
"""Logarithms of the smallest and largest width/height of an erased rectangle (Zhong et al. 2020, as torchvision)."""


@dataclass(frozen=True)
class Augmentation:
    """Strength of each transform (defaults: SimCLR's, Chen et al. 2020, for small images).

    Not as in torchvision: the jitter is always in the order brightness, contrast, saturation, hue (there drawn for each
    image). A crop wider or higher than the image is cut down to its edge (there drawn again).

    Attributes:
        crop_scale: smallest and largest area of the crop, as a share of the image.
        crop_ratio: smallest and largest width/height of the crop.
        flip: probability of a mirror image; None: 0.5, or 0 where the data set says that mirroring changes the meaning.
        vertical_flip: probability of an image upside down.
        rotation: largest angle, in degrees, to either side.
        rotation_p: probability of a rotation.
        translation: largest shift along each axis, as a share of the edge.
        zoom: edge of what is seen, about the centre, as a share of the image: by even chances between the first and 1,
            or between 1 and the second (with black around the image).
        jitter: largest change of brightness, contrast, saturation (factors 1 +- x, x at most 1) and hue (+- x turns, at
            most 0.5).
        jitter_p: probability of the jitter.
        grey_p: probability of a grey image.
        blur_p: probability of a Gaussian blur.
        blur_sigma: smallest and largest width of the blur, in pixels.
        blur_size: pixels of the blur's kernel, odd; None: a tenth of the view (SimCLR, appendix A).
        solarize_p: probability of inverting all values above one half.
        erasing_p: probability that a rectangle is black.
        erasing_scale: its smallest and largest area, as a share of the view.
    """

    crop_scale: tuple[float, float] = (0.2, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: ClosedUnitInterval | None = None
    vertical_flip: ClosedUnitInterval = 0.0
    rotation: NonNegativeFloat = 0.0
    rotation_p: ClosedUnitInterval = 1.0
    translation: ClosedUnitInterval = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jitter_p: ClosedUnitInterval = 0.8
    grey_p: ClosedUnitInterval = 0.2
    blur_p: ClosedUnitInterval = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    blur_size: PositiveInt | None = None
    solarize_p: ClosedUnitInterval = 0.0
    erasing_p: ClosedUnitInterval = 0.0
    erasing_scale: tuple[float, float] = (0.02, 0.33)

    def __post_init__(self) -> None:
        low, high = self.erasing_scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"erasing_scale must be two shares 0 < low <= high <= 1, got {self.erasing_scale}")
        low, high = self.zoom
        if not 0 < low <= 1 <= high < math.inf:
            raise ValueError(f"zoom must be two numbers 0 < in <= 1 <= out, got {self.zoom}")
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"crop_scale must be two shares 0 < low <= high <= 1, got {self.crop_scale}")
        *factors, hue = self.jitter
        if not all(0 <= change <= 1 for change in factors) or not 0 <= hue <= 0.5:
            raise ValueError(f"jitter must be three numbers from 0 to 1 and a hue from 0 to 0.5, got {self.jitter}")
        if self.blur_size is not None and self.blur_size % 2 == 0:
            raise ValueError(f"blur_size must be odd, got {self.blur_size}")
        for name, (low, high) in {"crop_ratio": self.crop_ratio, "blur_sigma": self.blur_sigma}.items():
            if not 0 < low <= high < math.inf:
                raise ValueError(f"{name} must be two numbers 0 < low <= high, got {getattr(self, name)}")

    def joined(self, other: Augmentation) -> Augmentation:
        """One augmentation whose `apply` serves parameters drawn by this one or by `other`, that of the key views.

        Raises:
            ValueError: the two blur with kernels of different sizes.
        """
        if other is self:  # also a user's own class, whose `__init__` may take other arguments
            return self
        if other.blur_p and other.blur_size != self.blur_size:
            raise ValueError(
                f"key_augmentation.blur_size is {other.blur_size} but augmentation.blur_size is {self.blur_size}: all "
                "views are blurred in one pass with one kernel, give both the same"
            )
        coins = ("jitter_p", "grey_p", "blur_p", "solarize_p", "erasing_p")
        return replace(self, **{name: max(getattr(self, name), getattr(other, name)) for name in coins})

    def draw(self, size: int, generator: Generator, mirror_symmetric: bool = True) -> Params:
        """Draw the parameters of one view of `size` images, on the generator's device."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(size, generator=generator, device=generator.device)

        def coin(probability: float) -> Tensor:
            return uniform(0, 1) < probability

        flip = self.flip if self.flip is not None else (0.5 if mirror_symmetric else 0.0)
        brightness, contrast, saturation, hue = self.jitter
        drawn = {
            "spatial": {
                "area": uniform(*self.crop_scale),
                "log_ratio": uniform(*map(math.log, self.crop_ratio)),
                "x": uniform(0, 1),
                "y": uniform(0, 1),
                "flip": coin(flip),
                "angle": uniform(-self.rotation, self.rotation),
            },
            "appearance": {
                "jitter": coin(self.jitter_p),
                "brightness": uniform(1 - brightness, 1 + brightness),
                "contrast": uniform(1 - contrast, 1 + contrast),
                "saturation": uniform(1 - saturation, 1 + saturation),
                "hue": uniform(-hue, hue),
                "grey": coin(self.grey_p),
                "blur": coin(self.blur_p),
                "sigma": uniform(*self.blur_sigma),
                "solarize": coin(self.solarize_p),
            },
        }
        # Transforms added later draw nothing while they are off, so that the other parameters keep their values.
        spatial, appearance = drawn["spatial"], drawn["appearance"]
        never = torch.zeros(size, dtype=torch.bool, device=generator.device)
        spatial["vertical_flip"] = coin(self.vertical_flip) if self.vertical_flip else never
        if self.rotation_p < 1:
            spatial["angle"] = spatial["angle"] * coin(self.rotation_p)
        for axis in ("shift_x", "shift_y"):
            spatial[axis] = uniform(-self.translation, self.translation) if self.translation else never.float()
        spatial["zoom"] = never.float() + 1
        if self.zoom != (1.0, 1.0):
            spatial["zoom"] = torch.where(coin(0.5), uniform(self.zoom[0], 1), uniform(1, self.zoom[1]))
        appearance["erase"] = coin(self.erasing_p) if self.erasing_p else never
        for name, bounds in {"area": self.erasing_scale, "log_ratio": ERASED, "x": (0, 1), "y": (0, 1)}.items():
            appearance[f"erase_{name}"] = uniform(*bounds) if self.erasing_p else never.float()
        return drawn

    def apply(self, images: Tensor, params: Params, shape: Sequence[int] | None = None) -> Tensor:
        """Apply drawn parameters.

        Args:
            images: float [B, C, H, W] in [0, 1].
            params: from `draw(B, ...)`, possibly groups of different draws.
            shape: (h, w) of the views, which are cut out of all of the image; that of the images if not given.

        Returns:
            float [B, C, h, w] in [0, 1].
        """
        params = on_device(params, images.device)
        return self._appearance(warp(images, shape or images.shape[2:], **params["spatial"]), **params["appearance"])

    def _appearance(
        self,
        images: Tensor,
        jitter: Tensor,
        brightness: Tensor,
        contrast: Tensor,
        saturation: Tensor,
        hue: Tensor,
        grey: Tensor,
        blur: Tensor,
        sigma: Tensor,
        solarize: Tensor,
        erase: Tensor,
        **where_erased: Tensor,
    ) -> Tensor:
        if self.jitter_p or self.grey_p:
            images = recolour(images, jitter, brightness, contrast, saturation, hue, grey)
        if self.blur_p:
            size = self.blur_size or 2 * max(1, round(0.05 * images.shape[-1])) + 1
            images = chosen(blur, blurred(images, size, sigma), images)
        if self.solarize_p:
            images = torch.where(solarize[:, None, None, None] & (images >= 0.5), 1 - images, images)
        if self.erasing_p:
            erased = rectangle(
                images.shape[2:], *(where_erased[f"erase_{name}"] for name in ("area", "log_ratio", "x", "y"))
            )
            images = images.masked_fill((erased & erase[:, None, None])[:, None], 0.0)
        return images


def check_shared(groups: Mapping[str, Sequence[str]]) -> None:
    """Raises ValueError unless every group of transforms names parameters, or groups of them, that are drawn."""
    drawn = Augmentation().draw(1, Generator())
    known = {*drawn, *(key for params in drawn.values() for key in params)}
    if unknown := {key for shared in groups.values() for key in shared} - known:
        raise ValueError(f"groups: no drawn parameters {sorted(unknown)}; there are {', '.join(sorted(known))}")


def views_of(name: str) -> Augmentation:
    """A user's own augmentation, by its path `my_file.MyViews` or by the name of an entry point.

    It is a class derived from `Augmentation` with its own `draw` and `apply` (all its attributes need defaults), or an
    instance of one. Installed packages offer theirs by entry points of the group `disentangle_bench.views`.

    Raises:
        ValueError: nothing is found there, or it is no `Augmentation`.
    """
    found: object = offered("disentangle_bench.views").get(name)
    if found is None:
        try:
            found = imported(name, "views")
        except LookupError as error:
            raise ValueError(str(error)) from error
    try:
        made = found() if isinstance(found, type) and issubclass(found, Augmentation) else found
    except TypeError as error:
        raise ValueError(f"own_views {name!r}: {error}") from error
    if not isinstance(made, Augmentation):
        raise ValueError(
            f"own_views {name!r}: expected a class derived from disentangle_bench.methods.views.Augmentation"
        )
    return made
