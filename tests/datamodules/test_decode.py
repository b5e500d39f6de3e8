import io

import numpy as np
import pytest
from PIL import Image

from disentangle_bench.datamodules.storage.decode import UnreadableImage, decode, fit, shorter_side


def encoded(image, kind="png", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rgb(height=6, width=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_rgb_comes_out_as_it_went_in():
    pixels = rgb(5, 7)
    assert np.array_equal(decode(encoded(Image.fromarray(pixels))), pixels.transpose(2, 0, 1))


def test_grey_becomes_three_equal_channels():
    grey = rgb()[:, :, 0]
    assert np.array_equal(decode(encoded(Image.fromarray(grey))), np.stack([grey] * 3))


def test_sixteen_bits_keep_their_upper_eight():
    values = np.array([[0, 255, 256, 40000, 65535]], np.uint16)
    out = decode(encoded(Image.fromarray(values)))
    assert out[0].tolist() == [[0, 0, 1, 156, 255]]
    assert np.array_equal(out[0], out[2])


def test_a_dark_image_of_sixteen_bits_is_dark():
    values = np.array([[0, 100, 255]], np.uint16)
    assert decode(encoded(Image.fromarray(values))).max() == 0
    filled_by_eight = Image.fromarray(values.astype(np.int32))  # mode "I", which says nothing of the range
    assert decode(encoded(filled_by_eight, "tiff"))[0].tolist() == values.tolist()


def test_palettes_are_looked_up():
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:2], pixels[2:] = (250, 10, 20), (10, 20, 250)
    image = Image.fromarray(pixels).convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    assert np.array_equal(decode(encoded(image)), pixels.transpose(2, 0, 1))


def test_transparency_is_seen_on_black():
    pixels = np.full((2, 2, 4), 200, np.uint8)
    pixels[0, 0, 3], pixels[0, 1, 3], pixels[1, :, 3] = 0, 128, 255
    assert decode(encoded(Image.fromarray(pixels)))[0].tolist() == [[0, 100], [200, 200]]


def test_transparent_palette_entries_are_black():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 255, 255, 9, 9, 9])
    image.putdata([0, 1])
    assert decode(encoded(image, transparency=0))[0].tolist() == [[0, 9]]


def test_cmyk_is_converted():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # no cyan: red
    red, green, blue = decode(encoded(image, "jpeg", quality=95))[:, 4, 4]
    assert red > 220
    assert max(green, blue) < 40


def test_bilevel_images_are_black_and_white():
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert decode(encoded(image))[1].tolist() == [[0, 255]]


def test_exif_rotation_is_undone():
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255  # white on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright: white on top
    out = decode(encoded(Image.fromarray(pixels), "jpeg", exif=exif, quality=95))
    assert out.shape == (3, 32, 16)
    assert out[0, :12].min() > 200
    assert out[0, 20:].max() < 50


def test_the_centre_square_is_resized():
    image = Image.fromarray(rgb(10, 30))
    as_usual = np.asarray(image.resize((15, 5), Image.Resampling.BICUBIC))[:, 5:10].transpose(2, 0, 1)
    assert np.abs(decode(encoded(image), 5).astype(int) - as_usual).max() <= 1
    assert decode(encoded(Image.fromarray(rgb(3, 4))), 16).shape == (3, 16, 16)
    assert np.array_equal(fit(rgb().transpose(2, 0, 1), 6), rgb().transpose(2, 0, 1))


def test_a_large_jpeg_decoded_at_reduced_scale_looks_the_same():
    smooth = np.linspace(0, 255, 400 * 500).reshape(400, 500, 1).repeat(3, 2).astype(np.uint8)
    data = encoded(Image.fromarray(smooth), "jpeg", quality=95)
    assert np.abs(decode(data, 32).astype(int) - fit(decode(data), 32)).max() <= 3


def jpeg(size=64):
    return encoded(Image.fromarray(rgb(size, size)), "jpeg")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"not an image at all", "cannot identify image file$"),
        (jpeg()[: len(jpeg()) // 2], "truncated"),
        (encoded(Image.fromarray(rgb(64, 64)))[:2000], "truncated|broken|incomplete"),
        (encoded(Image.new("F", (4, 4)), "tiff"), "floating-point"),
    ],
    ids=["0 bytes", "text", "half a jpeg", "part of a png", "floats"],
)
def test_what_cannot_be_decoded_is_said(data, why):
    with pytest.raises(UnreadableImage, match=why):
        decode(data, 8)


def test_shorter_side_reads_the_header():
    assert shorter_side(encoded(Image.fromarray(rgb(9, 4)))) == 4
    with pytest.raises(UnreadableImage):
        shorter_side(b"x")
