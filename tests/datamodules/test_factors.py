"""dSprites, 3D Shapes, smallNORB, Cars3D, edges2shoes: small files in the published formats, read back."""

import math
import os

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.datasets.factors import dsprites, shapes3d, smallnorb
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.families.factors import resized
from tests.datamodules.published_files import (
    build,
    every,
    write_cars,
    write_dsprites,
    write_norb,
    write_shapes3d,
)


def test_dsprites(tmp_path):
    images, values = write_dsprites(tmp_path / "d")
    module = build("dsprites", tmp_path / "d")
    found, targets = every(module)
    assert np.array_equal(found, np.repeat(images[:, None] * 255, 3, axis=1))
    assert np.array_equal(targets["shape"], values[:, 1] - 1)
    assert np.array_equal(targets["scale"], values[:, 2] * 2 - 1)
    assert np.allclose(targets["orientation"], values[:, 3])
    assert np.array_equal(targets["x"], values[:, 4] * 2)
    assert np.array_equal(targets["y"], values[:, 5])
    assert {spec.name: (spec.kind, spec.size) for spec in module.targets} == {
        "shape": ("class", 3),
        "scale": ("ordinal", 2),
        "orientation": ("circular", 1),
        "x": ("ordinal", 3),
        "y": ("ordinal", 2),
    }


def test_a_file_that_was_replaced_by_another_of_its_size_is_read_anew(tmp_path):
    images, _ = write_dsprites(tmp_path / "d")
    file = tmp_path / "d" / dsprites.FILE
    with np.load(file, allow_pickle=True) as stored:
        rest = dict(stored) | {"metadata": np.array(0)}
    sizes = set()
    for when, now in enumerate((images, 1 - images)):
        np.savez(file, **rest | {"imgs": now})
        os.utime(file, (when, when))
        sizes.add(file.stat().st_size)
        found, _ = every(build("dsprites", tmp_path / "d"))
        assert np.array_equal(found[:, 0], now * 255)
    assert len(sizes) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch_size": 109}, "109 is larger than the 108 images"),
        ({"train_images": 3}, "4 is larger than the 3 training"),
    ],
)
def test_a_batch_beyond_a_file_is_refused_before_it_is_decoded(options, told, tmp_path, monkeypatch):
    write_dsprites(tmp_path / "d")
    decoded = []
    monkeypatch.setattr(dsprites, "_read_images", lambda file, out: decoded.append(file))
    module = datamodules.build("dsprites", root=str(tmp_path / "d"), **{"batch_size": 4} | options)
    with pytest.raises(DataMismatch, match=f"batch_size {told}"):
        module.setup()
    assert not decoded


def test_dsprites_in_colours(tmp_path, monkeypatch):
    images, _ = write_dsprites(tmp_path / "dsprites")
    monkeypatch.setenv("DISENTANGLE_BENCH_DATA", str(tmp_path))
    module = datamodules.build("color_dsprites", batch_size=4)
    found, targets = every(module)
    assert np.bincount(targets["color"], minlength=10).min() > 0
    for row in range(len(found)):
        assert np.array_equal(found[row], images[row] * dsprites.PALETTE[targets["color"][row]][:, None, None])
    assert dsprites.PALETTE[1].tolist() == [255, 127, 14]
    assert [(s.name, s.role) for s in module.targets if s.name in ("shape", "color")] == [
        ("shape", "content"),
        ("color", "style"),
    ]
    again, other = (build("color_dsprites", tmp_path / "dsprites", split_seed=seed) for seed in (0, 1))
    assert again.fingerprint == module.fingerprint != other.fingerprint
    assert not np.array_equal(every(other)[1]["color"], targets["color"])


def test_dsprites_cut_short_or_without_images_is_named(tmp_path):
    write_dsprites(tmp_path / "d")
    path = tmp_path / "d" / dsprites.FILE
    data = path.read_bytes()
    path.write_bytes(data[:-300])
    with pytest.raises(DataCorrupt, match=r"\.npz: cut short"):
        build("dsprites", tmp_path / "d").setup()
    np.savez(path, latents_values=np.ones((5, 6)), imgs=np.zeros((4, 64, 64), np.uint8))
    with pytest.raises(DataCorrupt, match="not uint8"):
        build("dsprites", tmp_path / "d").setup()


def test_shapes3d(tmp_path):
    images, labels = write_shapes3d(tmp_path / "s")
    module = build("shapes3d", tmp_path / "s", domain="wall_hue")
    found, targets = every(module)
    assert np.array_equal(found, images.transpose(0, 3, 1, 2))
    assert np.array_equal(targets["shape"], labels[:, 4])
    assert np.allclose(targets["floor_hue"] / 10, labels[:, 0])
    assert np.allclose(targets["wall_hue"] / 10, labels[:, 1])
    assert np.allclose(targets["object_hue"] / 10, labels[:, 2])
    assert np.allclose(targets["scale"] / 2 + 0.75, labels[:, 3])
    assert np.allclose(targets["orientation"] * 30 - 30, labels[:, 5])
    roles = {spec.name: spec.role for spec in module.targets}
    assert roles.pop("wall_hue") == "domain"
    assert roles.pop("shape") == "content"
    assert set(roles.values()) == {"style"}
    assert module.num_classes == 4


def test_shapes3d_that_is_something_else_is_named(tmp_path):
    write_shapes3d(tmp_path / "s")
    path = tmp_path / "s" / shapes3d.FILE
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataCorrupt, match=r"3dshapes\.h5: cut short"):
        build("shapes3d", tmp_path / "s").setup()
    with h5py.File(path, "w") as file:
        file["images"], file["labels"] = np.zeros((5, 64, 64, 1), np.uint8), np.zeros((5, 6))
    with pytest.raises(DataCorrupt, match="are not those of 3D Shapes"):
        build("shapes3d", tmp_path / "s").setup()


@pytest.mark.parametrize("packed", [False, True])
def test_smallnorb(tmp_path, packed):
    images, category, info = write_norb(tmp_path / "n", packed)
    module = build("smallnorb", tmp_path / "n", image_size=96)
    found, targets = every(module)
    assert np.array_equal(found, np.repeat(images[:, :1], 3, axis=1))  # the left camera's
    assert np.array_equal(targets["category"], category)
    assert np.array_equal(targets["instance"], info[:, 0])
    assert np.array_equal(targets["elevation"], info[:, 1])
    assert np.allclose(targets["azimuth"], np.deg2rad(info[:, 2] * 10))
    assert np.array_equal(targets["lighting"], info[:, 3])
    assert module.splits["test"].rows.tolist() == list(range(60, 120))
    assert build("smallnorb", tmp_path / "n").image_shape == (3, 64, 64)


def test_smallnorb_whose_domain_is_the_object(tmp_path):
    images, category, info = write_norb(tmp_path / "n", count=200)
    module = build("smallnorb", tmp_path / "n", image_size=96, domain="object")
    found, targets = every(module)
    assert np.array_equal(found, np.repeat(images[:, :1], 3, axis=1))
    toys = [
        f"{('animal', 'human', 'airplane', 'truck', 'car')[c]} {i}" for c, i in zip(category, info[:, 0], strict=True)
    ]
    assert [module.value_names["object"][number] for number in targets["object"]] == toys
    assert [(spec.name, spec.role) for spec in module.targets] == [
        *((name, "content") for name in ("elevation", "azimuth", "lighting")),
        ("object", "domain"),
    ]
    for split in SPLITS:
        assert set(module.splits[split].targets["object"]) == set(targets["object"]), "every toy is in every split"


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("dat", lambda d: b"\x17" + d[1:], "magic number is 0x1E3D4C17, not 0x1E3D4C55 or 0x1E3D4C54"),
        ("cat", lambda d: d[:-3], "header promises"),
        ("info", lambda d: d[:3], "magic"),
    ],
)
def test_smallnorb_with_a_spoilt_file_names_it(tmp_path, kind, change, why):
    write_norb(tmp_path / "n")
    path = tmp_path / "n" / f"smallnorb-{smallnorb.PARTS[1]}-{kind}.mat"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataCorrupt, match=f"testing-{kind}.mat: .*{why}"):
        build("smallnorb", tmp_path / "n").setup()


def test_cars3d(tmp_path):
    made = write_cars(tmp_path / "c")
    module = build("cars3d", tmp_path / "c", image_size=128)
    found, targets = every(module)
    for row in (0, 5, 95, 96, 150):
        model, azimuth = targets["model"][row], round(targets["azimuth"][row] * 24 / (2 * math.pi))
        expected = made[model][:, :, :, azimuth, targets["elevation"][row]]
        assert np.array_equal(found[row], expected.transpose(2, 0, 1))
    combinations = set(zip(targets["model"], targets["azimuth"], targets["elevation"], strict=True))
    assert len(combinations) == 2 * 24 * 4
    assert {spec.name: spec.role for spec in module.targets} == {
        "elevation": "content",
        "azimuth": "content",
        "model": "domain",
    }
    assert build("cars3d", tmp_path / "c").image_shape == (3, 64, 64)
    assert {s.name: s.role for s in build("cars3d", tmp_path / "c", domain="elevation").targets} == {
        "elevation": "domain",
        "azimuth": "content",
        "model": "style",
    }


def test_cars3d_by_views(tmp_path):
    write_cars(tmp_path / "c")
    _, targets = every(build("cars3d", tmp_path / "c"))
    module = build("cars3d", tmp_path / "c", views=True)
    _, by_views = every(module)
    azimuth = np.rint(targets["azimuth"] * 24 / (2 * math.pi)).astype(int)
    assert np.array_equal(by_views["view"], targets["elevation"] * 24 + azimuth)
    assert [(s.name, s.size, s.role) for s in module.targets] == [("view", 96, "content"), ("model", 2, "domain")]


def test_cars3d_with_a_spoilt_file_names_it(tmp_path):
    write_cars(tmp_path / "c")
    path = tmp_path / "c" / "cars" / "car_001_mesh.mat"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataCorrupt, match=r"car_001_mesh\.mat: cut short"):
        build("cars3d", tmp_path / "c").setup()
    savemat(path, {"im": np.zeros((4, 4, 3), np.uint8)})
    with pytest.raises(DataCorrupt, match=r"holds \{'im': \(4, 4, 3\)\}, not `im` of \(128, 128, 3, 24, 4\)"):
        build("cars3d", tmp_path / "c").setup()


@pytest.mark.parametrize("feed", ["memory", "stream"])
def test_edges2shoes(tmp_path, feed):
    made = {}
    for split, count in (("train", 20), ("val", 4)):
        (tmp_path / "e" / split).mkdir(parents=True)
        for i in range(count):
            pixels = np.random.default_rng(100 * count + i).integers(0, 256, (8, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "e" / split / f"{i}_AB.png")
            made[f"{split}/{i}_AB.png"] = pixels.transpose(2, 0, 1)
    module = build("edges2shoes", tmp_path / "e", image_size=8, feed=feed)
    assert [len(module.splits[s]) for s in SPLITS] == [36, 4, 8]
    for split in SPLITS:
        part = module.splits[split]
        assert (np.bincount(part.targets["pair"])[np.unique(part.targets["pair"])] == 2).all()
        for i in range(len(part)):
            both, right = made[part.name_of(i)], part.targets["domain"][i]
            assert np.array_equal(part.take(np.array([i]))[0], both[:, :, 8 * right : 8 * right + 8])
    assert {part.name_of(i).split("/")[0] for i in range(8)} == {"val"}
    assert build("edges2shoes", tmp_path / "e", image_size=5).image_shape == (3, 5, 5)
    drawn = build("edges2shoes", tmp_path / "e", image_size=8, test_fraction=0.25, feed=feed)
    pairs = [set(drawn.splits[s].targets["pair"]) for s in SPLITS]
    assert [len(drawn.splits[s]) for s in SPLITS] == [32, 4, 12]
    assert len(set.union(*pairs)) == sum(map(len, pairs)) == 24, "no pair is in two splits"
    seen = [one for s in SPLITS for one in zip(*(drawn.splits[s].targets[t] for t in ("pair", "domain")), strict=True)]
    assert sorted(seen) == [(pair, side) for pair in range(24) for side in (0, 1)], "each half once"
    assert drawn.value_names["domain"] == ("edges", "photo")


def test_images_are_made_smaller_by_means_and_not_by_single_pixels():
    """Anti-aliased: stripes of one pixel are grey then."""
    stripes = np.tile(np.array([0, 255], np.uint8), (2, 32, 16))
    assert np.abs(resized(stripes, 8).astype(int) - 127).max() <= 12
    assert resized(np.stack([stripes] * 3, -1), 8).shape == (2, 3, 8, 8)
