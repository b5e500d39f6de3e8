"""MPI3D, Causal3DIdent, 3DIEBench, Waterbirds: small files in the published layouts, read back; faults are named."""

import math

import numpy as np
import pytest
from PIL import Image

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import PROBES, SPLITS
from disentangle_bench.datamodules.datasets.factors import causal3dident, mpi3d, threediebench
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch, DataNotFound
from disentangle_bench.datamodules.storage import npz


def build(name, root, **options):
    return datamodules.build(name, root=str(root), **{"batch_size": 4} | options)


def every(module):
    """All images and targets in the order of the files."""
    splits = [module.splits[s] for s in SPLITS]
    order = np.argsort(np.concatenate([split.rows for split in splits]))
    images = np.concatenate([split.take(np.arange(len(split))) for split in splits])[order]
    return images, {k: np.concatenate([split.targets[k] for split in splits])[order] for k in splits[0].targets}


def roles(module):
    return {spec.name: (spec.kind, spec.size, spec.role) for spec in module.targets}


def plain(path, level):
    """An image of one level, which JPEG keeps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(path)


SMALL = dict(zip(mpi3d.FACTORS, (2, 3, 2, 2, 2, 2, 2), strict=True))


@pytest.fixture
def arm(tmp_path, monkeypatch):
    """MPI3D with few values of each factor: the published file unpacks to 12.7 GB."""
    monkeypatch.setattr(mpi3d, "FACTORS", SMALL)
    images = np.random.default_rng(0).integers(0, 256, (math.prod(SMALL.values()), 64, 64, 3), dtype=np.uint8)
    np.savez_compressed(tmp_path / "mpi3d_toy.npz", images=images)
    return tmp_path, images


def test_mpi3d_is_every_combination_in_the_published_order(arm):
    root, images = arm
    module = build("mpi3d", root)
    found, targets = every(module)
    assert np.array_equal(found, images.transpose(0, 3, 1, 2))
    grid = images.reshape(*SMALL.values(), 64, 64, 3)
    at = {name: size - 1 for name, size in SMALL.items()} | {"object_shape": 1, "vertical_axis": 0}
    row = np.flatnonzero(np.logical_and.reduce([targets[name] == value for name, value in at.items()]))
    assert np.array_equal(found[row[0]], grid[tuple(at[name] for name in SMALL)].transpose(2, 0, 1))
    assert module.targets[0].name == "object_shape"
    assert roles(module)["horizontal_axis"] == ("ordinal", 2, "style")
    assert module.value_names["object_shape"][2] == "cylinder"
    assert all(module.splits[name].weights is None for name in PROBES)
    as_domain = build("mpi3d", root, domain="background_color")
    assert roles(as_domain)["background_color"] == ("class", 2, "domain")


def test_mpi3d_of_another_variant_or_shape_is_named(arm):
    root, images = arm
    with pytest.raises(DataNotFound, match=r"mpi3d is not in there.*mpi3d_real\.npz"):
        build("mpi3d", root, variant="real").setup()
    path = root / "mpi3d_toy.npz"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataCorrupt, match=r"mpi3d_toy\.npz: cut short or not the published file"):
        build("mpi3d", root).setup()
    np.savez(path, images=images[:-1])
    with pytest.raises(DataCorrupt, match=r"images is uint8 \(191, 64, 64, 3\), not uint8 \(192, 64, 64, 3\)"):
        build("mpi3d", root).setup()


def write_solids(root):
    latents = []
    for part, count in (("trainset", 12), ("testset", 3)):
        for k in range(len(causal3dident.OBJECTS)):
            values = np.random.default_rng([count, k]).uniform(-1, 1, (count, 10))
            for row in range(count):
                number = f"{row:02}" if count > 10 else str(row)
                plain(root / part / f"images_{k}" / f"{number}.png", 10 * k + row)
            np.save(root / part / f"raw_latents_{k}.npy", values)
            latents.append(values)
    return np.concatenate(latents)


def test_causal3dident(tmp_path):
    latents = write_solids(tmp_path / "c")
    module = build("causal3dident", tmp_path / "c", image_size=8)
    found, targets = every(module)
    numbers = [np.repeat(np.arange(7), count) for count in (12, 3)]
    assert np.array_equal(targets["object"], np.concatenate(numbers))
    rows = np.concatenate([np.tile(np.arange(count), 7) for count in (12, 3)])
    assert np.array_equal(found[:, 0, 0, 0], 10 * targets["object"] + rows)
    for column, name in enumerate(causal3dident.LATENTS):
        assert np.allclose(targets[name], latents[:, column])
    assert module.splits["test"].rows.tolist() == list(range(84, 105))
    assert roles(module)["object"] == ("class", 7, "content")
    assert roles(module)["spotlight_hue"] == ("continuous", 1, "style")


@pytest.mark.parametrize("spoilt", [np.zeros((12, 9)), np.zeros(12), np.zeros((12, 10), np.int64), None])
def test_causal3dident_with_other_latents_is_named(tmp_path, spoilt):
    write_solids(tmp_path / "c")
    file = tmp_path / "c" / "trainset" / "raw_latents_3.npy"
    if spoilt is None:
        file.write_bytes(file.read_bytes()[:-9])
    else:
        np.save(file, spoilt)
    with pytest.raises(DataCorrupt, match=r"raw_latents_3\.npy: (cut short|latents are .* not numbers \(N, 10\))"):
        build("causal3dident", tmp_path / "c").setup()


def write_objects(root, views=3):
    latents = []
    for part, count in (("train", 20), ("val", 4)):
        names = [f"/0269{k % 2}/{part}{k:02}a-b/" for k in range(count)]
        for k, name in enumerate(names):
            for view in range(views):
                folder = root / name.strip("/")
                plain(folder / f"image_{view}.jpg", (8 * k + 2 * view) % 250)
                latents.append(np.random.default_rng([count, k, view]).uniform(0, 0.7, 7))
                np.save(folder / f"latent_{view}.npy", latents[-1])
        np.save(root / f"{part}_images.npy", np.array(names))
        np.save(root / f"{part}_labels.npy", np.arange(count) % 2)
    return np.array(latents)


def test_3diebench(tmp_path):
    latents = write_objects(tmp_path / "o")
    module = build("3diebench", tmp_path / "o", views=3, image_size=8)
    found, targets = every(module)
    number = np.concatenate([np.repeat(np.arange(count), 3) for count in (20, 4)])
    assert np.array_equal(targets["class"], number % 2)
    assert np.abs(found[:, 0, 0, 0].astype(int) - (8 * number + 2 * np.tile(np.arange(3), 24))).max() <= 2  # JPEG
    assert np.allclose(targets["rotation_z"], latents[:, 2])
    assert np.allclose(targets["light_phi"], latents[:, 5])
    assert np.allclose(targets["floor_hue"], latents[:, 3] * 2 * math.pi)
    assert roles(module)["light_hue"] == ("circular", 1, "style")
    objects = [set((module.splits[name].rows // 3).tolist()) for name in SPLITS]
    assert objects[2] == set(range(20, 24))
    assert len(objects[0]) == 18
    assert not objects[0] & objects[1]
    one = build("3diebench", tmp_path / "o", views=1)
    assert [len(one.splits[name]) for name in SPLITS] == [18, 2, 4]


def test_3diebench_that_is_something_else_is_named(tmp_path):
    root = tmp_path / "o"
    write_objects(root)
    with pytest.raises(DataMismatch, match="views 51: there are 50 of each object"):
        build("3diebench", root, views=51)
    with pytest.raises(DataCorrupt, match=r"image_3\.jpg is missing"):
        build("3diebench", root).setup()
    (root / "02690" / "train00a-b" / "latent_1.npy").unlink()
    with pytest.raises(DataCorrupt, match=r"latent_1\.npy: missing"):
        build("3diebench", root, views=2).setup()
    np.save(root / "train_images.npy", np.array(["/../secret/"] * 20))
    with pytest.raises(DataCorrupt, match=r"train_images\.npy: names '/\.\./secret/', not SYNSET/OBJECT"):
        build("3diebench", root, views=1).setup()
    np.save(root / "train_labels.npy", np.zeros(3))
    with pytest.raises(DataCorrupt, match="not a name and a number each"):
        build("3diebench", root, views=1).setup()
    assert threediebench.OBJECT.fullmatch("/02691156/dc8d9003cde43b66c8727b27ee96a4b7/")


def write_birds(root):
    lines, k = ["img_id,img_filename,y,split,place,place_filename"], 0
    for split, groups in ((0, (9, 1, 2, 8)), (1, (2, 2, 2, 2)), (2, (3, 3, 2, 2))):
        for group, count in enumerate(groups):
            for _ in range(count):
                name = f"{group:03}.A_bird/{k:04}.png"
                plain(root / name, k)
                lines.append(f'{k},{name},{group // 2},{split},{group % 2},"/o/ocean, calm/1.jpg"')
                k += 1
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return lines


def test_waterbirds(tmp_path):
    lines = write_birds(tmp_path / "w" / "waterbird_complete95_forest2water2")
    module = build("waterbirds", tmp_path / "w")
    found, targets = every(module)
    assert np.array_equal(found[:, 0, 0, 0], np.arange(38))
    assert [len(module.splits[name]) for name in SPLITS] == [20, 8, 10]
    assert np.array_equal(targets["bird"], [int(line.split(",")[2]) for line in lines[1:]])
    assert np.array_equal(targets["place"], [int(line.split(",")[4]) for line in lines[1:]])
    assert roles(module) == {"bird": ("class", 2, "content"), "place": ("class", 2, "domain")}
    probe = module.splits["probe"]
    bird, place, weights = probe.targets["bird"], probe.targets["place"], probe.weights
    water = [np.average(place[bird == kind], weights=weights[bird == kind]) for kind in (0, 1)]
    assert water == pytest.approx([0.45, 0.45])  # the same before both, as often as there is water
    assert module.splits["test"].weights is None  # each kind of bird is half and half there
    assert module.describe()["num_classes"] == 2
    assert module.value_names == {"bird": ("landbird", "waterbird"), "place": ("land", "water")}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("y,split", "y,fold", r"each line should have img_filename, y, place, split \(KeyError\('split'\)\)"),
        (",0,0,0,", ",zero,0,0,", "each line should have"),
        (",0,0,0,", ",2,0,0,", r"y of 000\.A_bird/0000\.png is 2"),
        ("0,000.A_bird/0000.png", "0,../0000.png", r"names '\.\./0000\.png', which is not below it"),
        ("0,000.A_bird/0000.png", "0,000.A_bird/none.png", r"none\.png is missing"),
    ],
)
def test_waterbirds_with_another_table_is_named(tmp_path, old, new, why):
    write_birds(tmp_path)
    table = tmp_path / "metadata.csv"
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(DataCorrupt, match=why):
        build("waterbirds", tmp_path).setup()


def test_members_of_a_file_are_read_piece_by_piece(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (11, 2, 3), dtype=np.uint8)
    np.savez_compressed(tmp_path / "one.npz", values=values)
    out = np.zeros_like(values)
    sizes = []
    for rows, part in npz.read_chunks(tmp_path / "one.npz", "values", values.shape, rows=4):
        out[rows] = part
        sizes.append(len(part))
    assert np.array_equal(out, values)
    assert sizes == [4, 4, 3]
    with pytest.raises(DataCorrupt, match=r"There is no item named 'others\.npy'"):
        list(npz.read_chunks(tmp_path / "one.npz", "others", values.shape))
