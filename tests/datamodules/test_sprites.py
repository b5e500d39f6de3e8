import math
import time

import numpy as np
import pytest
import torch

from disentangle_bench import datamodules
from disentangle_bench.datamodules.datasets.factors.sprites import FACTORS, SHAPES, SpriteImages
from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.datamodules.families.factors import with_domain
from disentangle_bench.datamodules.targets import TargetSpec

COUNTS = (4, 3, 8, 5, 5, 6)


@pytest.fixture(scope="module", params=[32, 64])
def images(request):
    return SpriteImages(COUNTS, request.param)


def at(images, **factors):
    row = np.ravel_multi_index([factors.get(name, 0) for name in FACTORS], COUNTS)
    return images[np.array([row])][0]


def centre(image):
    weight = image.max(0).astype(float)
    down, across = np.indices(weight.shape)
    return (weight * down).sum() / weight.sum(), (weight * across).sum() / weight.sum()


def test_every_combination_occurs_once(images):
    rows = np.arange(len(images))
    values = np.stack(list(images.values(rows).values()), axis=1)
    assert len(images) == math.prod(COUNTS)
    assert len(np.unique(values, axis=0)) == len(images)


def test_an_image_is_a_function_of_its_number(images):
    rows = np.random.default_rng(0).integers(0, len(images), 50)
    together = images[rows]
    assert together.dtype == np.uint8
    for row, image in zip(rows, together, strict=True):
        assert np.array_equal(images[np.array([row])][0], image)
    assert np.array_equal(SpriteImages(COUNTS, images.size)[rows], together)


def test_each_factor_does_what_its_name_says(images):
    middle = {"x": 2, "y": 2, "scale": 2}
    base = at(images, **middle)
    lines, columns = centre(base)
    assert centre(at(images, **middle | {"x": 4}))[1] == pytest.approx(columns + images.size / 4, abs=0.1)
    assert centre(at(images, **middle | {"y": 0}))[0] == pytest.approx(lines - images.size / 4, abs=0.1)
    areas = [(at(images, **middle | {"scale": s}) > 127).sum() for s in range(3)]
    assert areas[0] < 0.8 * areas[1] < 0.8 * 0.9 * areas[2]
    for shape in range(4):
        turned = [at(images, **middle, shape=shape, orientation=turn) for turn in range(8)]
        different = [[(a != b).mean() for b in turned] for a in turned]
        assert np.min(np.array(different) + np.eye(8)) > 0.004  # no orientation looks like another
        assert np.abs(turned[2][0].astype(int) - np.rot90(turned[0][0], -1)).max() <= 255 / 8  # a quarter turn
    greens = at(images, **middle, color=2)
    assert greens[1].max() == 255
    assert greens[[0, 2]].max() == 0
    assert np.array_equal(greens[1], base[0])  # hue changes nothing else


def test_no_sprite_is_cut_off(images):
    rows = [
        np.ravel_multi_index((shape, 2, turn, x, y, 0), COUNTS)
        for shape in range(4)
        for turn in range(8)
        for x, y in ((2, 2), (0, 0), (4, 4))
    ]
    red = images[np.array(rows)][:, 0]
    inside = red.reshape(4, 8, 3, -1).astype(int).sum(-1)
    assert np.array_equal(inside[:, :, 0], inside[:, :, 1])
    assert np.array_equal(inside[:, :, 0], inside[:, :, 2])


def test_targets_have_the_right_kinds():
    module = datamodules.build("sprites", image_size=32, domain="color")
    kinds = {spec.name: (spec.kind, spec.role) for spec in module.targets}
    assert kinds == {
        "shape": ("class", "content"),
        "scale": ("ordinal", "style"),
        "orientation": ("circular", "style"),
        "x": ("ordinal", "style"),
        "y": ("ordinal", "style"),
        "color": ("class", "domain"),
    }
    batch = next(iter(module.train_dataloader()))
    assert batch["target/orientation"].dtype == torch.float32
    assert 0 <= batch["target/orientation"].min() <= batch["target/orientation"].max() < 2 * math.pi
    assert module.value_names["shape"] == SHAPES[:3]
    assert module.value_names["color"] == ("red", "yellow", "green", "cyan", "blue", "magenta")
    for position in range(4):  # red, green and blue say which hue it is
        image, color = batch["image"][position], int(batch["target/color"][position])
        lit = tuple(bool(channel.max() > 100) for channel in image)
        assert lit == [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1)][color]


def test_rendering_is_fast():
    module = datamodules.build("sprites")
    batches = iter(module.train_dataloader())
    next(batches)
    start = time.process_time()
    count = sum(len(next(batches)["image"]) for _ in range(60))
    assert count / (time.process_time() - start) > 5_000


@pytest.mark.parametrize(
    "options",
    [{"num_shapes": 5}, {"num_shapes": 1}, {"num_x": 40, "image_size": 32}, {"image_size": 48}, {"test_fraction": 1.5}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(DataMismatch):
        datamodules.build("sprites", **options)


def test_a_domain_must_be_a_class_and_leaves_a_content():
    with pytest.raises(DataMismatch, match="no such target"):
        datamodules.build("sprites", image_size=32, domain="orientation").setup()
    module = datamodules.build("sprites", image_size=32, domain="shape")
    roles = {spec.name: spec.role for spec in module.targets}
    assert roles.pop("shape") == "domain"
    assert {roles[spec.name] for spec in module.targets if spec.discrete and spec.name != "shape"} == {"content"}
    assert roles["orientation"] == "style"
    assert module.num_classes > 1
    with pytest.raises(DataMismatch, match="'a' is the only content of one"):
        with_domain((TargetSpec("a", "class", 2, "content"),), "a", "one")


SMALL = {"image_size": 32, "num_x": 4, "num_y": 4, "num_orientations": 6}


@pytest.mark.parametrize("correlation", [0.0, 0.75, 1.0])
def test_colours_go_with_shapes_in_training_as_often_as_asked_and_never_in_test(correlation):
    module = datamodules.build("sprites", correlation=correlation, **SMALL)
    agreed = {}
    for name, split in module.splits.items():
        shape, color = split.targets["shape"], split.targets["color"]
        agreed[name] = (shape == color).mean()
        made = split.images.values(split.rows)
        assert all(np.array_equal(made[key], split.targets[key]) for key in ("shape", "x", "y", "scale", "color"))
        assert split.weights is None
    chance = 1 / 6
    expected = correlation + (1 - correlation) * chance
    assert agreed["train"] == pytest.approx(expected, abs=0.05)
    assert agreed["val"] == pytest.approx(expected, abs=0.12)
    assert agreed["test"] == pytest.approx(chance, abs=0.06)
    assert agreed["probe"] == agreed["probe_val"] == pytest.approx(chance)  # every sprite in every colour
    assert {spec.name: spec.role for spec in module.targets}["color"] == "domain"
    sprites = [set((module.splits[name].rows // 6).tolist()) for name in ("train", "val", "test")]
    assert len(set.union(*sprites)) == sum(map(len, sprites)) == 3 * 4 * 6 * 4 * 4


def test_a_test_split_that_a_shift_fetched_out_of_correlated_images_is_weighted():
    module = datamodules.build("sprites", correlation=0.8, shift="hold_out:x=0", **SMALL)
    split = module.splits["test"]
    shape, color = split.targets["shape"], split.targets["color"]
    assert (shape == color).mean() > 0.5
    by_chance = sum((shape == n).mean() * (color == n).mean() for n in range(3))
    assert np.average(shape == color, weights=split.weights) == pytest.approx(by_chance, rel=1e-4)


def test_splits_do_not_depend_on_the_correlation_nor_do_whole_grids_on_there_being_one():
    one, other = (datamodules.build("sprites", correlation=c, **SMALL) for c in (0.1, 0.9))
    for name in ("train", "val", "test"):
        assert np.array_equal(one.splits[name].rows // 6, other.splits[name].rows // 6)
    assert np.array_equal(one.splits["test"].rows, other.splits["test"].rows)
    assert one.fingerprint != other.fingerprint
    assert sum(len(datamodules.build("sprites", **SMALL).splits[name]) for name in ("train", "val", "test")) == 6912


def test_a_correlation_that_means_nothing_is_refused():
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        datamodules.build("sprites", correlation=1.5)
    with pytest.raises(DataMismatch, match="not 'scale'"):
        datamodules.build("sprites", correlation=0.5, domain="scale")
    with pytest.raises(DataMismatch, match="held-out combination of shape, color: choose one"):
        datamodules.build("sprites", correlation=0.5, shift="hold_out:shape=square,color=red")
    with pytest.raises(DataMismatch, match="sprites has no colours"):
        datamodules.build("sprites", shift="correlation:0.5")
    shifted = datamodules.build("sprites", correlation=0.0, shift="correlation:1", **SMALL)
    test = shifted.splits["test"]
    assert (test.targets["shape"] == test.targets["color"]).all()
