"""The colour of views in one pass over each image, compiled by numba: float32 images on a processor.

`pixels.recolour` does it in some sixty tensor operations, each of which reads a batch from memory and writes another.
Here an image stays in the processor's cache until it is done. The numbers are the same to the last bit: every line
rounds where torch rounds, whose `addcmul` is a multiplication and an addition with one rounding (`fma`). So there is no
option for it: `pixels` uses this module where numba is installed and images are on a CPU, and else its own operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic
from torch import Tensor

if config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise ImportError("NUMBA_DISABLE_JIT is set")

F = np.float32  # of every constant: a plain number would make what it meets a float64
NUMBER, ROW, ROWS, IMAGES, COINS = "f4", "f4[::1]", "f4[:, ::1]", "f4[:, :, ::1]", "b1[::1]"
instruction: Any = intrinsic
inlined: Any = njit(inline="always")


def compiled(*arguments: str) -> Callable[[Callable], Any]:
    """Compiled when this module is imported, once for all processes: numba keeps the code beside it, or at home."""

    def compile_now(function: Callable) -> Any:
        try:
            return njit(f"void({', '.join(arguments)})", cache=True, error_model="numpy")(function)
        except Exception as error:  # no folder to keep code in, a disk that is full
            raise ImportError(str(error)) from error

    return compile_now


@instruction
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once."""
    return types.float32(*3 * [types.float32]), lambda context, builder, signature, args: builder.fma(*args)


@instruction
def floor(typing: Any, a: Any) -> Any:
    """The largest whole number that isn't above `a`; numpy's isn't computed for many numbers at a time."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.floor", [ir.FloatType()]), args)

    return types.float32(types.float32), code


@inlined
def unit(x):
    return min(max(x, F(0)), F(1))


@inlined
def luma(red, green, blue):
    return fma(blue, F(0.114), fma(green, F(0.587), red * F(0.299)))


@compiled(IMAGES, ROW, ROWS)
def brightened_luma(images, brightness, out):
    """Luma [B, N] of images [B, 3, N] after the change of brightness; contrast is changed about its mean."""
    for index in range(len(images)):
        reds, greens, blues = images[index, 0], images[index, 1], images[index, 2]  # unpacked they would have strides
        grey, factor = out[index], brightness[index]
        for k in range(len(grey)):
            grey[k] = luma(unit(reds[k] * factor), unit(greens[k] * factor), unit(blues[k] * factor))


@compiled(ROWS, *5 * [NUMBER], ROWS)
def to_hue(image, brightness, contrast, mean, saturation, turns, out):
    """Change brightness, contrast and saturation of an image [3, N], and turn its hue.

    `out` [3, N] gets hue (in sixths of the circle), value and chroma of the result.
    """
    reds, greens, blues = image[0], image[1], image[2]
    hue, value, chroma = out[0], out[1], out[2]
    offset, paleness, turned = mean * (F(1) - contrast), F(1) - saturation, F(6) * turns
    for k in range(len(hue)):
        red = unit(unit(reds[k] * brightness) * contrast + offset)
        green = unit(unit(greens[k] * brightness) * contrast + offset)
        blue = unit(unit(blues[k] * brightness) * contrast + offset)
        grey = paleness * luma(red, green, blue)
        red = unit(grey + saturation * red)
        green = unit(grey + saturation * green)
        blue = unit(grey + saturation * blue)
        largest = max(max(red, green), blue)
        spread = largest - min(min(red, green), blue)
        is_red, is_green = F(largest == red), F(largest == green)  # numbers: of branches only one is taken at a time
        no_red, no_green = F(1) - is_red, F(1) - is_green
        apart = fma(is_red, green - blue, no_red * fma(is_green, blue - red, no_green * (red - green)))
        hue[k] = apart / max(spread, F(1e-12)) + (F(4) - F(2) * is_green) * no_red + turned
        value[k] = largest
        chroma[k] = spread


@compiled(ROWS, NUMBER, ROW)
def from_hue(image, own, out):
    """A channel [N] of an image [3, N] of hue, value and chroma; its own hue is `own` sixths."""
    hue, value, chroma = image[0], image[1], image[2]
    for k in range(len(out)):
        ahead = hue[k] - own
        ahead = ahead - floor(ahead / F(6)) * F(6)
        out[k] = fma(-chroma[k], unit(F(3) - abs(ahead - F(3)) - F(1)), value[k])


@compiled(IMAGES, ROW, COINS, *4 * [ROW], COINS, IMAGES)
def each(images, means, jitter, brightness, contrast, saturation, hue, grey, out):
    """Recolour images [B, 3, N] one after the other, into `out`."""
    work = np.empty((3, images.shape[2]), F)
    for index in range(len(images)):
        made = out[index]
        if jitter[index]:
            factors = brightness[index], contrast[index], means[index], saturation[index], hue[index]
            to_hue(images[index], *factors, work)
            for channel in range(3):
                from_hue(work, F(2 * channel), made[channel])
        else:
            made[:] = images[index]
        if grey[index]:
            reds, greens, blues, greys = made[0], made[1], made[2], work[0]
            for k in range(len(greys)):
                greys[k] = luma(reds[k], greens[k], blues[k])
            made[:] = greys


def takes(images: Tensor, jitter: Tensor, *strengths_and_grey: Tensor) -> bool:
    """True if the compiled code can take these: float32 [B, 3, H, W] on the CPU, one value an image, no gradient.

    Everything else must be refused, since the compiled code checks no bounds.
    """
    *strengths, grey = strengths_and_grey
    floats, params = (images, *strengths), (jitter, *strengths, grey)
    return (
        images.shape[1] == 3
        and all(one.device.type == "cpu" for one in (images, *params))
        and all(one.shape == images.shape[:1] for one in params)
        and all(one.dtype == torch.float32 and not one.requires_grad for one in floats)
        and jitter.dtype == grey.dtype == torch.bool
    )


def recolour(
    images: Tensor, jitter: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor, grey: Tensor
) -> Tensor:
    """`pixels.recolour`, where `takes` says so."""
    images = images.contiguous()
    made, brightened = torch.empty_like(images), torch.empty_like(images[:, :1])
    factors = [one.contiguous().numpy() for one in (brightness, contrast, saturation, hue)]
    brightened_luma(images.flatten(2).numpy(), factors[0], brightened.flatten(1).numpy())
    means = brightened.mean((2, 3)).flatten()  # torch's own, for its order of adding
    given = [images.flatten(2), means, jitter.contiguous()]
    each(*(one.numpy() for one in given), *factors, grey.contiguous().numpy(), made.flatten(2).numpy())
    return made
