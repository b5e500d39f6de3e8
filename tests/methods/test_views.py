"""Views: each image has its own parameters, drawn from one generator, and applying does what they say."""

import pytest
import torch
from kornia.filters import filter2d_separable, get_gaussian_kernel1d

from disentangle_bench import methods
from disentangle_bench.methods import views
from disentangle_bench.methods.views import Augmentation, together

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


def test_parameters_are_each_images_own(images):
    """A view of a batch is the stack of views of single images with their rows of the parameters."""
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
    "option", [{"crop_scale": (0.0, 1.0)}, {"crop_ratio": (2.0, 1.0)}, {"blur_sigma": (0.0, 1.0)}], ids=str
)
def test_bounds_that_cannot_be_drawn_from_are_refused(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))} must be two"):
        Augmentation(**option)


def test_a_gpu_blurs_as_the_processor_does(images):
    """Other devices take another path: it leaves out a check that would wait for them."""
    sigma = torch.linspace(0.1, 2.0, len(images))
    blurred = filter2d_separable(images, *[get_gaussian_kernel1d(5, sigma[:, None])] * 2)
    torch.testing.assert_close(blurred, views._blurred(images, 5, sigma))


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
