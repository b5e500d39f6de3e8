"""From an encoded image file to uint8 RGB of one size."""

import io
import re

import numpy as np
from PIL import Image, ImageOps

VERSION = 2
"""Part of the identity of every cache of image files: raise it when the same file would come out differently."""
PRINTED = 1
"""The same in fingerprints. Version 2 changed nearly black 16-bit images only, so that fingerprints were left alone."""

MOST_PIXELS = 50_000_000
"""Decoding more would take gigabytes; a JPEG may have more, since it is decoded at a reduced scale."""


class UnreadableImage(ValueError):
    """The bytes are not an image that can be decoded; the message says why."""


def decode(data: bytes, size: int | None = None) -> np.ndarray:
    """Decode one image as a person would see it.

    Whatever the file holds becomes 8-bit RGB: grey in three equal channels, palettes looked up, CMYK converted,
    16 bits reduced to the upper 8, transparent parts on black, animations' first frame. Turned as its EXIF orientation
    says. With `size`, the centre square is cut out and resized (bicubic, anti-aliased), which is the same as resizing
    the shorter side and cropping the centre.

    Args:
        data: the file's bytes.
        size: edge of the result; None leaves the image as large as it is.

    Returns:
        uint8 [3, H, W].

    Raises:
        UnreadableImage: empty, cut short, damaged, of more than `MOST_PIXELS`, or no image at all.
    """
    if not data:
        raise UnreadableImage("the file is empty (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if size is not None:
                opened.draft(None, (size, size))  # large JPEG files: decode at the reduced scale that is enough
            if opened.width * opened.height > MOST_PIXELS:
                raise ValueError(
                    f"{opened.width} x {opened.height} pixels, at most {MOST_PIXELS // 10**6} million are decoded; "
                    "make it smaller"
                )
            ImageOps.exif_transpose(opened, in_place=True)
            image = _rgb(opened)
    except Exception as error:  # the decoders of many formats raise anything from OSError to struct.error
        raise UnreadableImage(f"not a readable image: {_told(error)}") from error
    pixels = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
    return pixels if size is None else fit(pixels, size)


def fit(pixels: np.ndarray, size: int) -> np.ndarray:
    """Cut out the centre square and resize it (bicubic, anti-aliased).

    Args:
        pixels: uint8 [3, H, W].
        size: edge of the result.

    Returns:
        uint8 [3, size, size].
    """
    if pixels.shape[1:] == (size, size):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)


def shorter_side(data: bytes) -> int:
    """Edge of the largest centre square of an image, without decoding it.

    Raises:
        UnreadableImage: this is no image.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return min(image.size)
    except Exception as error:  # as above
        raise UnreadableImage(f"not a readable image: {_told(error)}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode.startswith("I"):  # convert() would clip values to 255
        values = np.asarray(image).astype(np.int64)
        wide = image.mode.startswith("I;16") or values.max(initial=0) > 255  # "I" is 32 bits, filled by 8 or by 16
        image = Image.fromarray((values >> 8 if wide else values).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed range; convert the file to 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    return image.convert("RGB")


def _told(error: Exception) -> str:
    """Pillow's words without the name of the buffer that it was given, which says nothing and differs each time."""
    return re.sub(r" <_io\.BytesIO object at \w+>", "", str(error))
