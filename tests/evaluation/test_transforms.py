"""Changes of an image with a strength: what each does, on images that are wider than high."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms.functional import adjust_hue

from disentangle_bench.evaluation.transforms import TRANSFORMS


@pytest.fixture
def images():
    return torch.rand(4, 3, 8, 16, generator=torch.Generator().manual_seed(0))


def test_a_shift_is_a_share_of_each_side(images):
    moved = TRANSFORMS["shift"](images, 0.25)
    assert_close(moved[:, :, 2:, 4:], images[:, :, :-2, :-4])
    assert not moved[:, :, :2].any()
    assert not moved[..., :4].any()


def test_a_rotation_is_in_degrees(images):
    turned = TRANSFORMS["rotation"](images, 90)[..., 4:12]
    assert any(torch.allclose(turned, torch.rot90(images[..., 4:12], turns, (2, 3)), atol=1e-5) for turns in (1, 3))


def test_contrast_is_about_each_images_own_mean(images):
    images = images * torch.tensor([0.2, 0.4, 0.6, 0.8])[:, None, None, None]
    flat = TRANSFORMS["contrast"](images, 0.0)
    assert_close(flat, images.mean((1, 2, 3), keepdim=True).expand_as(images))
    assert_close(TRANSFORMS["contrast"](images, 0.5), (images + flat) / 2)


def test_brightness_is_a_factor_and_hue_turns_once_around_by_one(images):
    assert_close(TRANSFORMS["brightness"](images, 0.4), images * 0.4)
    assert_close(TRANSFORMS["hue"](images, 0.25), adjust_hue(images, 0.25), atol=1e-5, rtol=0)


def test_noise_has_the_deviation_asked_for_and_stays_in_range():
    grey = torch.full((2, 3, 64, 64), 0.5)
    torch.manual_seed(0)
    found = (TRANSFORMS["noise"](grey, torch.tensor([0.05, 0.1])) - grey).std(dim=(1, 2, 3))
    assert found.tolist() == pytest.approx([0.05, 0.1], rel=0.05)
    noisy = TRANSFORMS["noise"](grey.new_ones(1, 3, 64, 64), 0.2)
    assert noisy.max() == 1


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "noise"])
def test_each_image_is_changed_by_its_own_strength(name, images):
    transform = TRANSFORMS[name]
    strengths = torch.linspace(transform.low, transform.high, 6)[1:5]
    together = transform(images, strengths)
    for image, strength, changed in zip(images, strengths, together, strict=True):
        assert_close(transform(image[None], float(strength))[0], changed)
        assert not torch.allclose(image, changed, atol=1e-3)
