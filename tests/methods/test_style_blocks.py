"""Structured views, their groups, blocks and adaptive weights."""

import pytest
import torch
from torch.testing import assert_close

from disentangle_bench.methods.views import Augmentation, together

OFF = {
    "solarize",
    "vertical_flip",
    "shift_x",
    "shift_y",
    "zoom",
    *(f"erase{part}" for part in ("", "_area", "_log_ratio", "_x", "_y")),
}
"""What this augmentation doesn't draw: alike in all views."""


def test_a_key_shares_exactly_the_querys_parameters_of_its_group(data, make):
    method = make("style_blocks", data(), augmentation=Augmentation(rotation=20.0, flip=0.5, blur_p=0.5))
    query, keys = method.draw_structured_views(64)
    assert len(keys) == 3
    for key, shared in zip(keys, (None, "appearance", "spatial"), strict=True):
        for group, params in key.items():
            for name, values in params.items():
                same = float((values == query[group][name]).float().mean())
                assert same == 1 if group == shared else same < 0.95 or name in OFF, (shared, group, name)


def test_single_parameters_can_be_shared_and_seen_in_the_pixels(data, make):
    module = data()
    groups = {"colour": ["jitter", "brightness", "contrast", "saturation", "hue", "grey"], "crop": ["spatial"]}
    method = make("style_blocks", module, groups=groups, augmentation=Augmentation(blur_p=0.5, jitter_p=1.0))
    query, (_, colour, crop) = method.draw_structured_views(64)
    assert torch.equal(query["appearance"]["hue"], colour["appearance"]["hue"])
    assert not torch.equal(query["appearance"]["sigma"], colour["appearance"]["sigma"])
    assert not torch.equal(query["spatial"]["x"], colour["spatial"]["x"])
    assert not torch.equal(query["appearance"]["hue"], crop["appearance"]["hue"])
    image = torch.from_numpy(module.splits["train"].images[:64])
    mixed = {**query, "spatial": crop["spatial"]}  # the crop key under the query's colours: the query itself
    assert_close(*method.apply_views(image, together([mixed, query])))
    assert set(method.embed(image)) == {"features", "content", "style/colour", "style/crop", "joint"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": {"a": ["colour"]}}, r"no drawn parameters \['colour'\]; there are angle, appearance"),
        ({"trim": 1.0}, "trim is 1, which leaves no sample of a block: it must be below 1"),
        ({"fractions": [0.5, 0.5]}, r"3 blocks \(content, appearance, spatial\)"),
    ],
)
def test_wrong_groups_and_fractions_are_errors(data, make, options, message):
    with pytest.raises(ValueError, match=message):
        make("style_blocks", data(), **options)


@pytest.mark.parametrize("form", ["simclr", "vicreg"])
def test_dual_ascent_raises_the_weight_of_badly_aligned_blocks_only(data, make, trainer, form):
    module = data()
    method = make("style_blocks", module, form=form, weights_lr=0.5, weights_warmup=0.0, tolerance=0.1, lr=1e-9)
    start = float(method.weights[0])
    fitting = trainer(max_epochs=1, limit_train_batches=1)
    fitting.fit(method, datamodule=module)
    for name, weight in zip(("content", "appearance", "spatial"), method.weights, strict=True):
        misalignment = float(fitting.callback_metrics[f"misalignment/{name}"])
        assert (float(weight) > start) == (misalignment > 0.1)


def test_content_and_style_have_the_separate_projectors_blocks(data, make):
    method = make("style_blocks", data(), separate_style=True, fractions=[0.6, 0.3, 0.1], projection_dim=100)
    assert [block.stop - block.start for block in method.blocks] == [60, 30, 10]
    features = torch.randn(4, 256)
    method.eval()
    z = method.project(features)
    assert torch.equal(z[:, :60], method.projector(features))
    assert torch.equal(z[:, 60:], method.style_projector(features))
