"""Augmented views of a batch, on its device, each image with parameters of its own.

Drawing and applying are two steps: `draw` returns the parameters as plain tensors, `apply` uses them. A method can so
re-use one group's parameters in another view (style blocks), give every process of a distributed run its part of
one draw, and tell afterwards what was done to an image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, PositiveInt
from kornia.color import rgb_to_grayscale
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_hue,
    adjust_saturation_with_gray_subtraction,
)
from kornia.filters import filter2d_separable, gaussian_blur2d, get_gaussian_kernel1d
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate

from disentangle_bench.methods.objectives.inputs import upload
from disentangle_bench.registry import imported, offered

ERASED = (math.log(0.3), math.log(3.3))
"""Logarithms of the smallest and largest width/height of an erased rectangle (Zhong et al. 2020, as torchvision)."""
Params = dict[str, dict[str, Tensor]]
"""Group -> parameter -> [B]."""


def on_device(params: Params, device: torch.device) -> Params:
    """Drawn parameters on `device`, in one copy for all of them."""
    drawn = [value for group in params.values() for value in group.values()]
    if all(value.device == device for value in drawn):
        return params
    packed = upload(torch.stack([value.to(torch.get_default_dtype()) for value in drawn]), device)
    numbers, coins = iter(packed.unbind()), iter((packed != 0).unbind())

    def moved(value: Tensor) -> Tensor:
        number, coin = next(numbers), next(coins)
        return coin if value.dtype == torch.bool else number

    return {group: {key: moved(value) for key, value in values.items()} for group, values in params.items()}


def together(views: Sequence[Params]) -> Params:
    """The parameters of several views of a batch [B] as those of one batch of all views' images [views B]."""
    first, *_ = views
    return {
        group: {key: torch.cat([params[group][key] for params in views]) for key in values}
        for group, values in first.items()
    }


def own_rows(params: Params, rank: int, batch_size: int) -> Params:
    """Of parameters drawn for the batch of all processes, those of the images of one."""
    own = slice(rank * batch_size, (rank + 1) * batch_size)
    return {group: {key: value[own] for key, value in values.items()} for group, values in params.items()}


def framed(image: Tensor, shape: Sequence[int], crop: float = 1.0) -> Tensor:
    """The centre of images as they are judged: float [B, C, h, w] in [0, 1].

    Args:
        image: uint8, or float in [0, 1], [B, C, H, W].
        shape: (h, w), to which the centre is resized (bilinear, anti-aliased).
        crop: share of the image's edge that the centre has.
    """
    height, width = (round(side * crop) for side in image.shape[2:])
    top, left = (image.shape[2] - height) // 2, (image.shape[3] - width) // 2
    centre = image[:, :, top : top + height, left : left + width]
    scaled = centre.float() / 255 if image.dtype == torch.uint8 else centre
    if (height, width) == tuple(shape):
        return scaled
    return interpolate(scaled, tuple(shape), mode="bilinear", antialias=True)


def with_shared(key: Params, query: Params, shared: Sequence[str]) -> Params:
    """`key` with the query's parameters for what is shared: whole groups (`appearance`) or single ones (`hue`)."""
    return {
        group: params | {k: v for k, v in query[group].items() if group in shared or k in shared}
        for group, params in key.items()
    }


def check_shared(groups: Mapping[str, Sequence[str]]) -> None:
    """Raises ValueError unless every group of transforms names parameters, or groups of them, that are drawn."""
    drawn = Augmentation().draw(1, Generator())
    known = {*drawn, *(key for params in drawn.values() for key in params)}
    if unknown := {key for shared in groups.values() for key in shared} - known:
        raise ValueError(f"groups: no drawn parameters {sorted(unknown)}; there are {', '.join(sorted(known))}")


@dataclass(frozen=True)
class Augmentation:
    """Strength of each transform (defaults: SimCLR's, Chen et al. 2020, for small images).

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
        jitter: largest change of brightness, contrast, saturation (factors 1 +- x) and hue (+- x turns).
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
        if self.blur_size is not None and self.blur_size % 2 == 0:
            raise ValueError(f"blur_size must be odd, got {self.blur_size}")
        for name, (low, high) in {"crop_ratio": self.crop_ratio, "blur_sigma": self.blur_sigma}.items():
            if not 0 < low <= high < math.inf:
                raise ValueError(f"{name} must be two numbers 0 < low <= high, got {getattr(self, name)}")

    def joined(self, other: Augmentation) -> Augmentation:
        """What applies parameters that either has drawn."""
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
        # What is off is not drawn, so that all else is as it was before there was any of this.
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
        return self._appearance(_warp(images, shape or images.shape[2:], **params["spatial"]), **params["appearance"])

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
        **rectangle: Tensor,
    ) -> Tensor:
        colour = images.shape[1] == 3
        if self.jitter_p:
            changed = adjust_brightness_accumulative(images, brightness)
            changed = adjust_contrast_with_mean_subtraction(changed, contrast)
            if colour:
                changed = adjust_saturation_with_gray_subtraction(changed, saturation)
                changed = adjust_hue(changed, 2 * math.pi * hue)
            images = torch.where(jitter[:, None, None, None], changed, images)
        if self.grey_p and colour:
            images = torch.where(grey[:, None, None, None], rgb_to_grayscale(images), images)
        if self.blur_p:
            size = self.blur_size or 2 * max(1, round(0.05 * images.shape[-1])) + 1
            images = torch.where(blur[:, None, None, None], _blurred(images, size, sigma), images)
        if self.solarize_p:
            images = torch.where(solarize[:, None, None, None] & (images >= 0.5), 1 - images, images)
        if self.erasing_p:
            erased = _rectangle(
                images.shape[2:], *(rectangle[f"erase_{name}"] for name in ("area", "log_ratio", "x", "y"))
            )
            images = images.masked_fill((erased & erase[:, None, None])[:, None], 0.0)
        return images


def _blurred(images: Tensor, size: int, sigma: Tensor) -> Tensor:
    if images.device.type == "cpu":  # for which kornia has an implementation of its own
        return gaussian_blur2d(images, (size, size), sigma[:, None].expand(-1, 2))
    # What kornia does elsewhere, less its look at sigma: a GPU would have to be waited for.
    kernel = get_gaussian_kernel1d(size, sigma[:, None])
    return filter2d_separable(images, kernel, kernel)


def _rectangle(shape: Sequence[int], area: Tensor, log_ratio: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bool [B, h, w]: where rectangles lie, of a share of the area, anywhere inside; ratio is width by height."""
    edges = []
    for size, center, share in (
        (shape[0], y, (area / log_ratio.exp()).sqrt()),
        (shape[1], x, (area * log_ratio.exp()).sqrt()),
    ):
        edge = (share.clamp(max=1) * size).round()
        first = (center * (size - edge + 1)).floor().clamp(max=size - 1)
        at = torch.arange(size, device=area.device)
        edges.append((at >= first[:, None]) & (at < (first + edge)[:, None]))
    return edges[0][:, :, None] & edges[1][:, None]


def _warp(
    images: Tensor,
    shape: Sequence[int],
    area: Tensor,
    log_ratio: Tensor,
    x: Tensor,
    y: Tensor,
    flip: Tensor,
    angle: Tensor,
    vertical_flip: Tensor,
    shift_x: Tensor,
    shift_y: Tensor,
    zoom: Tensor,
) -> Tensor:
    """Crop, mirror, rotate, shift, zoom and resize, in one bilinear resampling; outside of the image is black.

    For views of less than two thirds of the image's edge each pixel is the mean of several samples: without that, a
    large crop would be the image with most of its pixels left out.
    """
    height, width = images.shape[-2:]
    ratio = log_ratio.exp()
    w, h = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    cos, sin = zoom * angle.deg2rad().cos(), zoom * angle.deg2rad().sin()
    mirror, turn = (1 - 2 * coin.to(images.dtype) for coin in (flip, vertical_flip))
    theta = torch.stack(  # from output to input coordinates, both -1 .. 1; the angle is one of pixels, not of these
        [
            torch.stack([w * cos * mirror, -w * sin * turn * height / width, (2 * x - 1) * (1 - w) - 2 * shift_x], 1),
            torch.stack([h * sin * mirror * width / height, h * cos * turn, (2 * y - 1) * (1 - h) - 2 * shift_y], 1),
        ],
        1,
    )
    samples = max(1, round(max(height / shape[0], width / shape[1])))  # along each axis, of a pixel
    size = [len(images), images.shape[1], samples * shape[0], samples * shape[1]]
    grid = affine_grid(theta.to(images.dtype), size, align_corners=False)
    views = grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return views if samples == 1 else avg_pool2d(views, samples)


def views_of(name: str) -> Augmentation:
    """Views of somebody's own, by the path `my_file.MyViews` or the name that an installed package gives them.

    A class derived from `Augmentation` with its own `draw` and `apply` (all its attributes need defaults), or an
    instance; packages offer theirs by entry points of the group `disentangle_bench.views`.

    Raises:
        ValueError: there is none, or it is something else.
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
        raise ValueError(f"own_views {name!r}: expected a class derived from {__name__}.Augmentation")
    return made


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
