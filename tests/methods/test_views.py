"""Views: each image has its own parameters, drawn from one generator, and applying does what they say."""

import math

import pytest
import torch
from kornia.filters import filter2d_separable, get_gaussian_kernel1d
from torch.nn.functional import affine_grid
from torchvision.transforms.functional import adjust_hue

from disentangle_bench import methods
from disentangle_bench.methods import views
from disentangle_bench.methods.views import Augmentation, pixels, together

STILL = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0, "jitter_p": 0.0, "grey_p": 0.0}


@pytest.fixture
def images():
    return torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def view(augmentation, images, seed=0, **changes):
    params = augmentation.draw(len(images), torch.Generator().manual_seed(seed))
    for group in params.values():
        group.update(
            {key: torch.as_tensor(value).expand(len(images)) for key, value in changes.items() if key in group}
        )
    return augmentation.apply(images, params)


def test_no_strength_is_the_image_itself(images):
    torch.testing.assert_close(view(Augmentation(**STILL), images), images)


def test_same_generator_state_same_view(images):
    augmentation = Augmentation(blur_p=0.5, solarize_p=0.5, rotation=20)
    torch.testing.assert_close(view(augmentation, images, 1), view(augmentation, images, 1), rtol=0, atol=0)
    assert not torch.equal(view(augmentation, images, 1), view(augmentation, images, 2))


def test_global_generator_is_left_alone(images):
    state = torch.get_rng_state()
    view(Augmentation(blur_p=0.5), images)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_are_each_images_own(images, channels):
    """A view of a batch is the stack of views of single images with their rows of the parameters."""
    images = images[:, :channels]
    augmentation = Augmentation(blur_p=0.5, solarize_p=0.3, rotation=20)
    params = augmentation.draw(len(images), torch.Generator().manual_seed(3))
    whole = augmentation.apply(images, params)
    for row in range(len(images)):
        own = {group: {key: value[row : row + 1] for key, value in p.items()} for group, p in params.items()}
        torch.testing.assert_close(augmentation.apply(images[row : row + 1], own), whole[row : row + 1])


def test_flip_mirrors(images):
    torch.testing.assert_close(view(Augmentation(**STILL | {"flip": 1.0}), images), images.flip(-1))


def test_flip_heeds_the_data_set(images):
    draw = Augmentation().draw
    assert not draw(64, torch.Generator().manual_seed(0), mirror_symmetric=False)["spatial"]["flip"].any()
    assert draw(64, torch.Generator().manual_seed(0), mirror_symmetric=True)["spatial"]["flip"].any()


def test_quarter_turn_is_rot90(images):
    turned = view(Augmentation(**STILL), images, angle=90.0)
    matches = [torch.allclose(turned, torch.rot90(images, turns, (2, 3)), atol=1e-5) for turns in (1, 3)]
    assert any(matches)


def test_crop_takes_the_quarter_that_it_names(images):
    """The upper left quarter: its corner pixel, enlarged, is the view's corner."""
    quarter = view(Augmentation(**STILL), images, area=0.25, x=0.0, y=0.0)
    expected = torch.nn.functional.interpolate(images[..., :8, :8], size=16, mode="bilinear", align_corners=False)
    torch.testing.assert_close(quarter[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-4, rtol=1e-4)


def test_hue_turns_as_in_torchvision(images):
    images[0, 1:] = images[0, :1]  # grey
    images[1:4] = (images[1:4] * 3).floor() / 2  # two channels share the largest or the smallest value
    turns = torch.linspace(-0.5, 0.5, len(images))
    expected = torch.stack([adjust_hue(image, float(turn)) for image, turn in zip(images, turns, strict=True)])
    torch.testing.assert_close(pixels.turn_hue(images, turns), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 32), (28, 28), (20, 31), (1, 3)])
def test_sampling_grid_is_torchs_bit_by_bit(height, width):
    theta = torch.randn(16, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = affine_grid(theta, [16, 3, height, width], align_corners=False)
    assert torch.equal(pixels.sampling_grid(theta, height, width), expected)


def test_what_a_coin_chooses_is_exact(images):
    coin = torch.arange(len(images)) % 3 == 0
    grey = images.mean(1, keepdim=True)
    assert torch.equal(pixels.chosen(coin, grey, images), torch.where(coin[:, None, None, None], grey, images))


def test_grey_and_solarize(images):
    grey = view(Augmentation(**STILL | {"grey_p": 1.0}), images)
    torch.testing.assert_close(grey[:, 0], grey[:, 1])
    solarized = view(Augmentation(**STILL | {"solarize_p": 1.0}), images)
    torch.testing.assert_close(solarized, torch.where(images >= 0.5, 1 - images, images))


def test_values_stay_in_range(images):
    seen = view(Augmentation(blur_p=0.5, jitter=(0.9, 0.9, 0.9, 0.5)), images)
    assert seen.min() >= 0
    assert seen.max() <= 1


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ({"crop_scale": (0.0, 1.0)}, "two"),
        ({"crop_ratio": (2.0, 1.0)}, "two"),
        ({"blur_sigma": (0.0, 1.0)}, "two"),
        ({"jitter": (0.4, 1.2, 0.4, 0.1)}, "three"),  # contrast below 0: a negative
        ({"jitter": (0.4, 0.4, 0.4, 0.6)}, "three"),
        ({"zoom": (1.2, 2.0)}, "two"),
        ({"zoom": (0.0, 1.0)}, "two"),
        ({"erasing_scale": (0.0, 0.3)}, "two"),
    ],
    ids=str,
)
def test_bounds_that_cannot_be_drawn_from_are_refused(option, what):
    with pytest.raises(ValueError, match=f"{next(iter(option))} must be {what}"):
        Augmentation(**option)


def test_a_gpu_blurs_as_the_processor_does(images):
    """Other devices take another path: it leaves out a check that would wait for them."""
    sigma = torch.linspace(0.1, 2.0, len(images))
    blurred = filter2d_separable(images, *[get_gaussian_kernel1d(5, sigma[:, None])] * 2)
    torch.testing.assert_close(blurred, pixels.blurred(images, 5, sigma))


def test_views_are_cropped_out_of_all_of_a_larger_image():
    """Of a picture whose pixels say where they are: small crops keep its pixels, the largest is its average."""
    column = torch.linspace(0, 1, 96).expand(2, 3, 96, 96)
    small = Augmentation(**STILL)
    params = small.draw(2, torch.Generator().manual_seed(0))
    whole = small.apply(column, params, (32, 32))
    torch.testing.assert_close(whole, column.unflatten(3, (32, 3)).mean(4)[:, :, :32])
    params["spatial"] |= {"area": torch.tensor([1 / 9, 1 / 9]), "x": torch.tensor([0.0, 1.0])}
    corners = small.apply(column, params, (32, 32))
    inside = slice(1, 31)  # the outermost pixels blend with what is outside of the image
    torch.testing.assert_close(corners[0, 0, 5, inside], column[0, 0, 0, :32][inside], rtol=0, atol=0.004)
    torch.testing.assert_close(corners[1, 0, 5, inside], column[0, 0, 0, 64:][inside], rtol=0, atol=0.004)


@pytest.mark.parametrize("name", ["simclr", "ip_irm", "domain_contrastive", "contrastive_clustering", "pixels"])
def test_trained_at_view_size_and_judged_at_eval_size(name, data, make, trainer):
    size = 32 if name == "domain_contrastive" else 8  # the generator makes no smaller images
    module = data(view_size=size, eval_size=24)
    options = {"start": 0.0} if name == "contrastive_clustering" else {}
    if name == "domain_contrastive":
        options = {"reconstruction": True, "perceptual": "none", "generator_channels": 8, "images_every": 1}
        options |= {"positives": {"blur": [1, 1]}}
    method, sizes = make(name, module, **options), set()
    assert method.image_shape == (3, size, size)
    method.backbone.register_forward_pre_hook(lambda _, images: sizes.add(tuple(images[0].shape[1:])))
    if method.trains:
        trainer(max_epochs=1, limit_train_batches=1).fit(method, datamodule=module)
        assert sizes == {(3, size, size)}
    sizes.clear()
    stored = next(iter(module.eval_dataloader("test", 4)))["image"]
    assert stored.shape == (4, 3, 16, 16)
    with torch.no_grad():
        method.eval().embed(stored)
    assert sizes == {(3, 24, 24)}


def test_the_centre_is_what_is_judged(data, make):
    """As published for ImageNet: the centre of 224 pixels of 256."""
    module = data(eval_size=14)
    description = module.describe() | {"eval_crop": 0.875}
    method = methods.build("random_init", image_shape=module.image_shape, data=description)
    image = next(iter(module.eval_dataloader("test", 4)))["image"]
    torch.testing.assert_close(method.prepare(image) * method.std + method.mean, image[:, :, 1:15, 1:15] / 255)


def test_views_made_in_one_pass_are_those_made_one_by_one(data, make):
    module = data()
    method = make("simclr", module, augmentation=Augmentation(blur_p=0.5, solarize_p=0.2, rotation=20.0))
    image = torch.from_numpy(module.splits["train"].images[:16])
    drawn = [method.draw_view(16) for _ in range(3)]
    for view, params in zip(method.apply_views(image, together(drawn)), drawn, strict=True):
        (alone,) = method.apply_views(image, params)
        assert torch.equal(view, alone)


def test_upside_down_shifted_and_seen_from_further_away(images):
    torch.testing.assert_close(view(Augmentation(**STILL | {"vertical_flip": 1.0}), images), images.flip(-2))
    both = view(Augmentation(**STILL | {"vertical_flip": 1.0, "flip": 1.0}), images)
    torch.testing.assert_close(both, images.flip(-1, -2))
    shifted = view(Augmentation(**STILL, translation=0.5), images, shift_x=3 / 16, shift_y=-2 / 16)
    torch.testing.assert_close(shifted[:, :, :14, 3:], images[:, :, 2:, :13], rtol=1e-4, atol=1e-4)
    assert not shifted[:, :, :, :3].any()
    assert not shifted[:, :, 14:].any()
    away = view(Augmentation(**STILL, zoom=(0.5, 2.0)), torch.ones_like(images), zoom=2.0)
    inside = torch.nn.functional.pad(torch.ones(6, 6), (5, 5, 5, 5))  # its rim is half covered
    assert (away[:, :, inside == 1] == 1).all()
    assert not away[:, :, :3].any()
    near = view(Augmentation(**STILL, zoom=(0.5, 2.0)), images, zoom=0.5)
    closer = torch.nn.functional.interpolate(images[:, :, 4:12, 4:12], 16, mode="bilinear")
    torch.testing.assert_close(near[:, :, 1:-1, 1:-1], closer[:, :, 1:-1, 1:-1], rtol=1e-4, atol=1e-4)


def test_zooms_are_in_and_out_by_even_chances_and_rotations_as_often_as_asked():
    drawn = Augmentation(zoom=(0.5, 1.34), translation=0.2, rotation=60, rotation_p=0.5).draw(4000, generator_of(0))
    spatial = drawn["spatial"]
    assert 0.5 <= spatial["zoom"].min() < 0.52
    assert 1.32 < spatial["zoom"].max() <= 1.34
    assert float((spatial["zoom"] < 1).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert float((spatial["angle"] == 0).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert -0.2 <= spatial["shift_x"].min() < -0.19
    assert not torch.equal(spatial["shift_x"], spatial["shift_y"])


def generator_of(seed):
    return torch.Generator().manual_seed(seed)


class OwnViews(Augmentation):
    """Made in another way than `Augmentation` is."""

    def __init__(self, flips=True):
        super().__init__(**STILL | {"flip": float(flips)})


def test_views_whose_class_has_an_init_of_its_own(data, make):
    method = make("simclr", data(), own_views=f"{__name__}.OwnViews", normalize="none")
    image = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    for seen in method.views({"image": image}):
        torch.testing.assert_close(seen, image.flip(-1) / 255)


def test_branches_blurred_with_different_kernels_are_refused(data, make):
    query, key = Augmentation(blur_p=0.5, blur_size=3), Augmentation(blur_p=0.1, blur_size=5)
    message = "key_augmentation.blur_size is 5 but augmentation.blur_size is 3: .* give both the same"
    with pytest.raises(ValueError, match=message):
        make("simclr", data(), augmentation=query, key_augmentation=key)
    make("simclr", data(), augmentation=query, key_augmentation=Augmentation(blur_p=0.1, blur_size=3))
    make("simclr", data(), augmentation=query, key_augmentation=Augmentation())  # which blurs nothing


def test_each_strength_is_drawn_within_its_own_bounds():
    erased = {"erasing_p": 0.5, "erasing_scale": (0.1, 0.2)}
    augmentation = Augmentation((0.3, 0.9), (0.5, 3.0), jitter=(0.1, 0.2, 0.3, 0.4), blur_sigma=(0.6, 0.7), **erased)
    bounds = {
        "area": (0.3, 0.9),
        "log_ratio": (math.log(0.5), math.log(3)),
        **{"brightness": (0.9, 1.1), "contrast": (0.8, 1.2), "saturation": (0.7, 1.3), "hue": (-0.4, 0.4)},
        **{"sigma": (0.6, 0.7), "erase_area": (0.1, 0.2), "erase_log_ratio": (math.log(0.3), math.log(3.3))},
    }
    drawn = augmentation.draw(4000, generator_of(0))
    drawn = drawn["spatial"] | drawn["appearance"]
    for name, (low, high) in bounds.items():
        ends = float(drawn[name].min()), float(drawn[name].max())
        assert ends == pytest.approx((low, high), abs=0.01 * (high - low)), name
        assert low <= ends[0], name
        assert ends[1] <= high, name


def test_what_is_off_is_not_drawn():
    """Views by older settings stay as they were: the stream is read no further."""
    one, two = generator_of(0), generator_of(0)
    Augmentation().draw(8, one)
    for _ in range(15):
        torch.rand(8, generator=two)
    assert torch.equal(one.get_state(), two.get_state())


def test_an_erased_rectangle_has_the_area_asked_for_and_lies_anywhere():
    images = torch.ones(2000, 3, 32, 32)
    erased = view(Augmentation(**STILL, erasing_p=0.5, erasing_scale=(0.1, 0.3)), images) == 0
    assert torch.equal(erased[:, 0], erased[:, 2])
    share = erased[:, 0].float().mean((1, 2))
    hit = share > 0
    assert float(hit.float().mean()) == pytest.approx(0.5, abs=0.04)
    assert float(share[hit].mean()) == pytest.approx(0.2, abs=0.01)
    for rows in (erased[:, 0].any(1), erased[:, 0].any(2)):  # each hit image has one run along either axis
        edges = (rows[:, 1:] != rows[:, :-1]).sum(1) + rows[:, 0] + rows[:, -1]
        assert (edges[hit] == 2).all()
        assert rows.any(0).all()


def test_positives_by_a_vertical_flip_or_a_rectangle(images):
    (params,) = views.Positives({"vertical_flip": []}).draw(8, 1, generator_of(0))
    torch.testing.assert_close(views.Positives().apply(images, params), images.flip(-2))
    (params,) = views.Positives({"erasing": [0.25, 0.25]}).draw(8, 1, generator_of(0))
    erased = views.Positives().apply(images, params) == 0
    assert erased[:, 0].float().mean((1, 2)).tolist() == pytest.approx([0.25] * 8, abs=0.06)
    with pytest.raises(ValueError, match="vertical_flip needs"):
        views.Positives({"vertical_flip": [0, 1]})
