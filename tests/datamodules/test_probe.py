"""Probe splits: never test images, content and domain independent in them, and nothing else moved by them."""

import hashlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import PROBES, SPLITS
from disentangle_bench.datamodules.inspection import check, contact_sheet
from disentangle_bench.datamodules.splits import probe
from disentangle_bench.datamodules.splits.colouring import paint
from tests.datamodules import published_files

SPRITES = {"image_size": 32, "num_x": 3, "num_y": 3, "num_orientations": 4}
FILES = {
    "mnist": published_files.write_mnist,
    "colored_mnist": published_files.write_mnist,
    "dsprites": published_files.write_dsprites,
    "shapes3d": published_files.write_shapes3d,
}


def make(name, tmp_path, **options):
    if name not in FILES:
        return datamodules.build(name, **options)
    FILES[name](tmp_path / "given")
    return datamodules.build(name, root=str(tmp_path / "given"), batch_size=4, **options)


def images_of(split):
    return split.take(np.arange(len(split)))


def table_of(split, first, second):
    table = np.zeros((split.targets[first].max() + 1, split.targets[second].max() + 1))
    np.add.at(table, (split.targets[first], split.targets[second]), 1 if split.weights is None else split.weights)
    return table


def hashes(images):
    return {image.tobytes() for image in images}


@pytest.mark.parametrize(
    ("name", "options", "before"),
    [
        ("digits", {}, "3925ff67a59c2e9bc0fef575963a6fe1"),
        ("colored_digits", {}, "235943797c985564ef032ab0e42da16e"),
        ("colored_digits", {"split_seed": 1, "shift": "correlation:0.5"}, "96b4a3fe954dd54f321e849dbb285398"),
        ("colored_digits", {"shift": "leave_out:red"}, "2a7233b537ea7995bdf85118acae8f84"),
        ("sprites", SPRITES, "e96568f10a8ee59ce73891bac7276eee"),
        ("sprites", SPRITES | {"shift": "hold_out:color=red,shape=square"}, "ceb95beb7106bed2a2e720ed7c3c1597"),
        ("mnist", {}, "7bb76dfc977a1c25503a59ed85c366ac"),
        ("colored_mnist", {}, "6dc5eb4ee2bf4b469af79c324d31bf6b"),
        ("colored_mnist", {"domain_kind": "rotation"}, "51b4675d9fae500c3f819212189952be"),
        ("dsprites", {}, "5fbcb4c6260f02ab547986193f0f02f2"),
        ("shapes3d", {}, "527a686983e7eea4a281d54fb49d5c70"),
    ],
)
def test_the_other_splits_are_what_they_were_before_there_were_probe_splits(name, options, before, tmp_path):
    module = make(name, tmp_path, **options)
    digest = hashlib.blake2b(digest_size=16)
    for split in map(module.splits.get, SPLITS):
        digest.update(np.ascontiguousarray(images_of(split)).data)
        for spec in module.targets:
            digest.update(np.ascontiguousarray(split.targets[spec.name]).data)
    assert digest.hexdigest() == before


def test_every_digit_is_painted_in_all_hues_so_that_they_say_nothing_of_its_class():
    module = datamodules.build("colored_digits")
    learn, choose = (module.splits[name] for name in PROBES)
    assert len(learn) == 10 * len(module.splits["train"])
    assert len(choose) == 10 * len(module.splits["val"])
    for split in (learn, choose):
        assert np.ptp(table_of(split, "class", "color"), axis=1).max() == 0  # independent exactly
    assert chi2_contingency(table_of(module.splits["train"], "class", "color")).pvalue < 1e-10
    for name, origin in zip(PROBES, ("train", "val"), strict=True):
        grey = hashes(images_of(module.splits[origin]).max(1))
        split = module.splits[name]
        images = images_of(split)
        assert hashes(images.max(1)) == grey
        assert len(hashes(images)) == len(images)  # no digit twice in one hue
        for i in (0, 1, 700):
            again = paint(images[i].max(0)[None], split.targets["color"][[i]], 10)
            assert np.array_equal(again[0], images[i])  # as a test image is painted
        assert not hashes(images) & hashes(images_of(module.splits["test"]))
        seen = torch.cat([batch["target/color"] for batch in module.eval_dataloader(name)])
        assert np.array_equal(seen, split.targets["color"])


def test_the_draw_is_the_same_each_time_and_follows_the_seed_alone():
    def drawn(**options):
        split = datamodules.build("colored_digits", **options).splits["probe"]
        return split.targets["color"].tolist(), hashlib.blake2b(images_of(split)).hexdigest()

    first = drawn()
    assert drawn() == first
    assert drawn(correlation=0.1) == first
    assert drawn(seed=5, batch_size=16) == first
    assert drawn(split_seed=1) != first
    assert drawn(shift="correlation:0.5") == first


def test_each_probe_split_has_random_numbers_of_its_own():
    module = datamodules.build("colored_digits")
    learn, choose = (module.probe_generator(name).random() for name in PROBES)
    assert learn != choose


@pytest.mark.parametrize(("kind", "values"), [("color", 10), ("rotation", 6)])
def test_mnist_is_drawn_once_where_there_are_enough_and_looks_as_in_test(tmp_path, kind, values, monkeypatch):
    monkeypatch.setitem(probe.LEAST, "probe", 1_000)
    published_files.write_mnist(tmp_path / "given", train=2000, test=100)
    options = {"root": str(tmp_path / "given"), "batch_size": 16, "domain_kind": kind}
    module = datamodules.build("colored_mnist", **options)
    split = module.splits["probe"]
    assert len(split) == len(module.splits["train"]) == 1800
    assert np.array_equal(split.targets["class"], module.splits["train"].targets["class"])
    assert chi2_contingency(table_of(split, "class", kind)).pvalue > 0.01
    assert len(module.splits["probe_val"]) == values * 200 if values < 8 else 1600
    train = module.splits["train"]
    same = split.targets[kind] == train.targets[kind]  # drawn as it was: then the image is that one, bit for bit
    assert 0.05 < same.mean() < 0.3
    assert np.array_equal(images_of(split)[same], images_of(train)[same])
    assert not (images_of(split)[~same] == images_of(train)[~same]).all((1, 2, 3)).any()
    assert not hashes(images_of(split).max(1)) & hashes(images_of(module.splits["test"]).max(1))


@pytest.mark.parametrize("name", ["sprites", "dsprites", "shapes3d"])
def test_any_part_of_a_grid_of_factors_will_do(name, tmp_path):
    module = make(name, tmp_path, **(SPRITES if name == "sprites" else {}))
    assert module.splits["probe"].same_images(module.splits["train"])
    assert module.splits["probe_val"].same_images(module.splits["val"])
    assert [split.weights for split in module.splits.values()] == [None] * 5
    assert not set(module.splits["probe"].rows) & set(module.splits["test"].rows)
    assert "all combinations" in module.describe()["probe"]["how"]
    first, *others = [spec.name for spec in module.targets if spec.discrete]
    for other in others:
        assert chi2_contingency(table_of(module.splits["probe"], first, other)).pvalue > 0.01


def test_a_held_out_combination_leaves_its_class_out(tmp_path):
    held = {"shift": "hold_out:color=red,shape=square"}
    module = datamodules.build("sprites", **SPRITES, **held)
    assert module.describe()["probe"]["left_out"] == {"probe": [0], "probe_val": [0]}
    weights = module.splits["probe"].weights
    assert (weights == 0).sum() == (module.splits["probe"].targets["shape"] == 0).sum() > 0
    assert module.splits["test"].weights is None  # one shape, one hue
    assert datamodules.build("sprites", **SPRITES, shift="hold_out:color=red").splits["probe"].weights is None


def test_images_drawn_anew_lack_what_the_shift_holds_out_too():
    """Options are chosen on `probe_val`, and must not be on the condition that the test asks about."""
    whole = datamodules.build("colored_digits").splits
    module = datamodules.build("colored_digits", shift="leave_out:red")
    for name, origin in (("probe", "train"), ("probe_val", "val")):
        split = module.splits[name]
        assert set(split.targets["color"]) == set(range(1, 10))
        assert len(split) == 9 * len(module.splits[origin])  # every digit in the nine others
        assert split.weights is None
        assert len(whole[name]) == 10 * len(whole[origin])
    provenance = module.probe_provenance
    assert provenance.how.endswith("without what the shift holds out")
    before = datamodules.build("colored_digits", shift="leave_out:red")
    before.__dict__["_loaded"] = (module.splits, module.targets, replace(provenance, held_out=0))
    assert before.fingerprint != module.fingerprint

    painted = datamodules.build("colored_digits", shift="hold_out:color=red,class=3")
    cells = np.zeros((10, 10), int)
    np.add.at(cells, (painted.splits["probe"].targets["class"], painted.splits["probe"].targets["color"]), 1)
    assert (cells == 0).sum() == 1
    assert cells[3, 0] == 0
    assert painted.describe()["probe"]["left_out"] == {"probe": [3], "probe_val": [3]}


@pytest.fixture
def uneven(class_folders):
    """Two classes in three domains: class and domain go together; each cell has images in each split."""

    def build(**options):
        counts = {"art": (60, 20), "photo": (20, 60), "sketch": (30, 30)}
        for domain, (cats, dogs) in counts.items():
            class_folders(f"{domain}/cat", count=cats)
            root = class_folders(f"{domain}/dog", count=dogs)
        return datamodules.build("image_folder", root=str(root), domains=True, batch_size=4, **options)

    return build


def test_images_that_cannot_be_drawn_again_are_weighted(uneven):
    module = uneven()
    for name, origin in (("probe", "train"), ("probe_val", "val"), ("test", "test")):
        split = module.splits[name]
        assert split.same_images(module.splits[origin])
        assert split.weights.dtype == np.float32
        weighted, plain = table_of(split, "class", "domain"), np.zeros((2, 3))
        np.add.at(plain, (split.targets["class"], split.targets["domain"]), 1)
        assert np.allclose(weighted.sum(0), plain.sum(0))
        assert np.allclose(weighted.sum(1), plain.sum(1))
        assert np.allclose(weighted, np.outer(plain.sum(1), plain.sum(0)) / plain.sum(), rtol=1e-6)
    assert module.splits["train"].weights is None
    assert module.describe()["probe"]["how"].endswith("weighted by p(class) p(domain) / p(class, domain)")
    assert uneven(shift="leave_out:sketch").splits["test"].weights is None  # one domain only


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_test_images_whose_hue_goes_with_the_class_are_weighted(correlation):
    split = datamodules.build("colored_digits", shift=f"correlation:{correlation}").splits["test"]
    assert (split.weights is None) == (correlation == 0)
    if correlation:
        table = table_of(split, "class", "color")
        assert np.allclose(table, np.outer(table.sum(1), table.sum(0)) / table.sum(), rtol=1e-5)


def test_a_class_that_a_domain_lacks_is_left_out_and_named(class_folders, tmp_path):
    for folder in ("art/cat", "art/dog", "art/fox", "photo/cat", "photo/dog"):
        root = class_folders(folder, count=20)
    module = datamodules.build("image_folder", root=str(root), domains=True, batch_size=4)
    assert module.describe()["probe"]["left_out"] == {"probe": [2], "probe_val": [2], "test": [2]}
    split = module.splits["test"]
    assert ((split.weights == 0) == (split.targets["class"] == 2)).all()
    assert split.weights.sum() == pytest.approx((split.targets["class"] != 2).sum())
    report = check(datamodules.build("image_folder", root=str(root), domains=True, batch_size=4))
    assert "test: weight 0 for fox" in report.text()
    assert "weighted by p(class) p(domain)" in report.text()
    assert report.images["probe"] == report.images["train"]
    assert contact_sheet(module).startswith(b"\x89PNG")


def test_nothing_is_left_where_no_class_is_in_all_domains():
    weights, lost = probe.independence_weights(np.array([0, 0, 1, 1]), np.array([5, 6, 6, 7]))
    assert weights.tolist() == [0, 0, 0, 0]
    assert lost.tolist() == [0, 1]


def test_weights_of_several_domains_go_by_their_combinations():
    content = np.array(list(itertools.product(range(2), range(2), range(3))) * 2)[:, 0]
    weights, lost = probe.independence_weights(content, np.tile(np.arange(6), 4))
    assert weights.tolist() == [1] * 24
    assert lost.tolist() == []


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_without_a_domain_the_training_images_are_the_probe_split(name, tmp_path):
    module = make(name, tmp_path)
    assert module.splits["probe"] is module.splits["train"]
    assert module.splits["probe_val"] is module.splits["val"]
    assert "no domain" in module.describe()["probe"]["how"]


def test_a_probe_split_of_stl10_is_labelled(tmp_path):
    published_files.write_stl10(tmp_path / "given")
    module = datamodules.build("stl10", root=str(tmp_path / "given"), batch_size=6, val_fraction=0.25)
    assert module.splits["probe"] is module.splits["train"]


def test_another_way_of_making_probe_splits_is_another_fingerprint(monkeypatch):
    before = datamodules.build("colored_digits").fingerprint
    monkeypatch.setattr(probe, "VERSION", probe.VERSION + 1)
    assert datamodules.build("colored_digits").fingerprint != before


@pytest.mark.parametrize("name", ["digits", "colored_digits"])
def test_digits_come_in_three_sizes(name):
    small, large = (datamodules.build(name, image_size=size) for size in (8, 32))
    assert small.image_shape == (3, 8, 8)
    grey = images_of(small.splits["test"]).max(1)
    assert set(np.unique(grey)) <= {round(n * 255 / 16) for n in range(17)}  # as scanned
    assert np.array_equal(small.splits["test"].targets["class"], large.splits["test"].targets["class"])
    assert datamodules.build(name, image_size=16).splits["probe"].take(np.arange(3)).shape == (3, 3, 16, 16)
    with pytest.raises(ValueError, match="8, 16 or 32"):
        datamodules.build(name, image_size=20)
