"""Transforms of a batch's pixels on its device, with parameters for each image, none of which waits for the device."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from kornia.color import rgb_to_grayscale
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_saturation_with_gray_subtraction,
)
from kornia.filters import filter2d_separable, gaussian_blur2d, get_gaussian_kernel1d
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate


def framed(image: Tensor, shape: Sequence[int], crop: float = 1.0) -> Tensor:
    """The centre of images, cut out and resized: float [B, C, h, w] in [0, 1].

    Args:
        image: uint8, or float in [0, 1], [B, C, H, W].
        shape: (h, w), to which the centre is resized (bilinear, anti-aliased).
        crop: edge of the centre as a share of the image's.
    """
    height, width = (round(side * crop) for side in image.shape[2:])
    top, left = (image.shape[2] - height) // 2, (image.shape[3] - width) // 2
    centre = image[:, :, top : top + height, left : left + width]
    scaled = centre.float() / 255 if image.dtype == torch.uint8 else centre
    if (height, width) == tuple(shape):
        return scaled
    return interpolate(scaled, tuple(shape), mode="bilinear", antialias=True)


def warp(
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
    radians = angle.deg2rad()
    cos, sin = zoom * radians.cos(), zoom * radians.sin()
    mirror, turn = (1 - 2 * coin.to(images.dtype) for coin in (flip, vertical_flip))
    theta = torch.stack(  # from output to input coordinates, both -1 .. 1; the angle is one of pixels, not of these
        [
            torch.stack([w * cos * mirror, -w * sin * turn * height / width, (2 * x - 1) * (1 - w) - 2 * shift_x], 1),
            torch.stack([h * sin * mirror * width / height, h * cos * turn, (2 * y - 1) * (1 - h) - 2 * shift_y], 1),
        ],
        1,
    )
    samples = max(1, round(max(height / shape[0], width / shape[1])))  # along each axis, of a pixel
    grid = sampling_grid(theta.to(images.dtype), samples * shape[0], samples * shape[1])
    views = grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return views if samples == 1 else avg_pool2d(views, samples)


def sampling_grid(theta: Tensor, height: int, width: int) -> Tensor:
    """`torch.nn.functional.affine_grid` without `align_corners`, bit by bit, and faster.

    There each pixel is a product of matrices; here a row's and a column's share are added.

    Args:
        theta: float [B, 2, 3], from output to input coordinates.
        height: rows of the output.
        width: its columns.

    Returns:
        [B, height, width, 2], x and y of each pixel's centre, -1 .. 1 inside the image.
    """

    def centres(count: int) -> Tensor:
        return torch.linspace(-1, 1, count, dtype=theta.dtype, device=theta.device) * (count - 1) / count

    across, down, shift = theta[..., None, None].unbind(2)
    return (across * centres(width) + down * centres(height)[:, None] + shift).permute(0, 2, 3, 1)


def chosen(coin: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    """`changed` where an image's coin [B] says so, exactly, and faster on a processor than `torch.where`.

    Args:
        coin: bool [B].
        changed: float [B, C or 1, H, W], finite.
        images: float [B, C, H, W].

    Returns:
        [B, C, H, W].
    """
    return images.lerp(changed.expand_as(images), coin[:, None, None, None].to(images.dtype))


def recolour(
    images: Tensor,
    jitter: Tensor,
    brightness: Tensor,
    contrast: Tensor,
    saturation: Tensor,
    hue: Tensor,
    grey: Tensor,
) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order; then make grey.

    Args:
        images: float [B, C, H, W] in [0, 1]; what is said of colour is of C = 3.
        jitter: bool [B], which images get the four changes.
        brightness: [B], the factor.
        contrast: [B], the factor of what differs from the mean.
        saturation: [B], the factor of what differs from grey.
        hue: [B], in turns.
        grey: bool [B], which images get grey.

    Returns:
        float [B, C, H, W] in [0, 1].
    """
    params = (jitter, brightness, contrast, saturation, hue, grey)
    if (fused := compiled()) and fused.takes(images, *params):
        return fused.recolour(images, *params)
    changed = adjust_brightness_accumulative(images, brightness)
    changed = adjust_contrast_with_mean_subtraction(changed, contrast)
    if images.shape[1] != 3:
        return chosen(jitter, changed, images)
    changed = adjust_saturation_with_gray_subtraction(changed, saturation)
    images = chosen(jitter, turn_hue(changed, hue), images)
    return chosen(grey, rgb_to_grayscale(images), images)


@cache
def compiled() -> ModuleType | None:
    """The module `fused`, which recolours in one pass on a CPU; None where numba isn't installed or can't compile.

    Imported with the first images only, since importing numba takes a while.
    """
    if find_spec("numba") is None:
        return None
    try:
        return import_module("disentangle_bench.methods.views.fused")
    except ImportError as error:  # slower, but the same views
        warnings.warn(f"views are made in tensor operations, numba can't be used: {error}", stacklevel=2)
        return None


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of each image; its value and saturation (of HSV) stay.

    The same as torchvision's and kornia's `adjust_hue`, but faster. Which channel is the largest is a 0 or 1 to
    interpolate with, which is exact and, unlike `torch.where`, computed for many numbers at a time.

    Args:
        images: float [B, 3, H, W] in [0, 1].
        turns: [B], 1 is once around the circle of hues.
    """
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    is_red, is_green = (value.clone().eq_(channel) for channel in (red, green))
    apart = (red - green).lerp_(blue - red, is_green).lerp_(green - blue, is_red)
    sector = (4 - 2 * is_green).mul_(1 - is_red)  # 0 where red is the largest, 2 green, 4 blue
    hue = apart / chroma.clamp(min=1e-12) + sector  # in sixths
    own = torch.arange(0, 6, 2, device=images.device)[:, None, None]  # hues of red, green and blue
    ahead = (hue + 6 * turns.to(images.dtype)[:, None, None])[:, None] - own
    # x - 6 floor(x / 6), which processors compute for many numbers at a time; `remainder` they don't.
    apart_from_own = 3 - ahead.sub_((ahead / 6).floor_().mul_(6)).sub_(3).abs_()
    return torch.addcmul(value[:, None], chroma[:, None], apart_from_own.sub_(1).clamp_(0, 1), value=-1)


def blurred(images: Tensor, size: int, sigma: Tensor) -> Tensor:
    """Gaussian blur of images [B, C, H, W], with a kernel of `size` pixels and a width `sigma` [B] in pixels."""
    if images.device.type == "cpu":  # for which kornia has an implementation of its own
        return gaussian_blur2d(images, (size, size), sigma[:, None].expand(-1, 2))
    # What kornia does elsewhere, less its look at sigma: a GPU would have to be waited for.
    kernel = get_gaussian_kernel1d(size, sigma[:, None])
    return filter2d_separable(images, kernel, kernel)


def rectangle(shape: Sequence[int], area: Tensor, log_ratio: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Masks of one rectangle an image, bool [B, h, w], true inside.

    Args:
        shape: (h, w).
        area: [B], share of the image's area.
        log_ratio: [B], logarithm of width / height.
        x: [B] in [0, 1], position across: 0 is the leftmost that fits.
        y: [B] in [0, 1], position down.
    """
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
