"""What is done to pixels, on images that are wider than high: there neither axis passes for the other."""

import pytest
import torch
from torch.nn.functional import interpolate

from disentangle_bench.methods.views import Augmentation
from disentangle_bench.methods.views.pixels import framed, rectangle

STILL = Augmentation((1.0, 1.0), (1.0, 1.0), flip=0.0, jitter_p=0.0, grey_p=0.0)


def seen(images, shape=None, **spatial):
    """The image through a crop or turn that is named; all else leaves it as it is."""
    params = STILL.draw(len(images), torch.Generator().manual_seed(0))
    params["spatial"] |= {key: torch.full((len(images),), float(value)) for key, value in spatial.items()}
    return STILL.apply(images, params, shape)


@pytest.fixture
def wide():
    return torch.rand(2, 3, 8, 16, generator=torch.Generator().manual_seed(0))


def test_the_centre_of_a_wide_image_is_framed(wide):
    assert torch.equal(framed(wide, (4, 8), 0.5), wide[:, :, 2:6, 4:12])


def test_a_crop_has_the_width_and_place_that_were_drawn(wide):
    """Half of the width, all of the height, at the right edge: ratios are of width to height."""
    right = seen(wide, area=0.5, log_ratio=torch.tensor(0.5).log(), x=1.0, y=0.0)
    expected = interpolate(wide[..., 8:], (8, 16), mode="bilinear")
    torch.testing.assert_close(right[..., 1:-1], expected[..., 1:-1], atol=1e-4, rtol=1e-4)
    low = seen(wide, area=0.5, log_ratio=torch.tensor(2.0).log(), x=0.0, y=1.0)
    expected = interpolate(wide[..., 4:, :], (8, 16), mode="bilinear")
    torch.testing.assert_close(low[..., 1:-1, :], expected[..., 1:-1, :], atol=1e-4, rtol=1e-4)


def test_turning_a_wide_image_bends_nothing(wide):
    turned = seen(wide, angle=90.0)[..., 4:12]
    matches = [torch.allclose(turned, torch.rot90(wide[..., 4:12], turns, (2, 3)), atol=1e-5) for turns in (1, 3)]
    assert any(matches)


def test_a_view_that_is_smaller_along_one_axis_alone_leaves_no_pixel_out():
    columns = torch.rand(24, generator=torch.Generator().manual_seed(0)).expand(2, 3, 8, 24)
    means = columns.unflatten(3, (8, 3)).mean(4)
    torch.testing.assert_close(seen(columns, (8, 8))[:, :, 1:-1], means[:, :, 1:-1])
    torch.testing.assert_close(seen(columns.mT, (8, 8))[..., 1:-1], means.mT[..., 1:-1])


def test_a_rectangle_lies_where_it_was_drawn_and_is_as_wide_as_its_ratio_says():
    area, ratio, x, y = (torch.tensor([value]) for value in (0.16, 4.0, 0.99, 0.0))
    expected = torch.zeros(10, 20, dtype=torch.bool)
    expected[:2, 4:] = True  # a fifth of the height, four fifths of the width
    assert torch.equal(rectangle((10, 20), area, ratio.log(), x, y)[0], expected)
