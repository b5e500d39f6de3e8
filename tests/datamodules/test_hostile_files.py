"""Files that lie about themselves, or are no files: one line that names them; nothing is shifted, hung or filled."""

import gzip
import os
import struct
import tarfile
import zipfile
import zlib

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import ImageDataModule, Split
from disentangle_bench.datamodules.datasets.factors import cars3d, dsprites, shapes3d, smallnorb
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.storage import archives, decode, idx, image_files
from disentangle_bench.datamodules.targets import TargetSpec
from tests.datamodules import published_files


def refused(name, root, why):
    with pytest.raises(DataCorrupt, match=why) as caught:
        datamodules.build(name, root=str(root), batch_size=4).setup()
    assert "\n" not in str(caught.value)


class Made(ImageDataModule):
    name = "made"
    source = licence = "none"

    def __init__(self, spec, values):
        super().__init__(batch_size=2)
        self.spec, self.values = spec, values

    def load(self):
        images = np.zeros((4, 3, 4, 4), np.uint8)
        return {s: Split(images, {self.spec.name: self.values}) for s in ("train", "val", "test")}, (self.spec,)


class WithoutTest(Made):
    def load(self):
        splits, specs = super().load()
        return splits | {"test": splits["test"].select(np.arange(0))}, specs


def test_a_split_without_an_image_is_refused_before_anything_is_trained():
    with pytest.raises(DataMismatch, match=r"^no image in the test split; each of train, val, test needs some"):
        WithoutTest(TargetSpec("y", "class", 3, "content"), np.array([0, 1, 2, 1])).setup()


@pytest.mark.parametrize(
    ("kind", "size", "values", "why"),
    [
        ("class", 3, [0, 1, 2, 3], "target 'y' of image 3 is 3, not a whole number from 0 to 2"),
        ("class", 3, [0, -1, 2, -1], r"image 1 is -1, .*\(2 such values\)"),
        ("ordinal", 3, [0, 0.5, 1, 2], "image 1 is 0.5"),
        ("class", 3, [0, np.nan, 1, 2], "image 1 is nan"),
        ("continuous", 1, [0, np.inf, 1, 2], "image 1 is inf, not a finite number"),
        ("class", 3, [0, 1, 2], r"4 images, but values of target 'y' are \(3,\)"),
        ("class", 3, ["a", "b", "c", "a"], "values of target 'y' are <U1, numbers are needed"),
        ("continuous", 1, ["a", "b", "c", "a"], "values of target 'y' are <U1, numbers are needed"),
    ],
)
def test_targets_are_what_their_specification_says(kind, size, values, why):
    with pytest.raises(DataCorrupt, match=f"^train split: .*{why}"):
        Made(TargetSpec("y", kind, size, "style"), np.array(values)).setup()


Y = TargetSpec("y", "class", 2, "content")
SPLIT = Split(np.zeros((4, 3, 4, 4), np.uint8), {"y": np.zeros(4, int)})
SPLITS = {"train": SPLIT, "val": SPLIT, "test": SPLIT}


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        (None, "a NoneType"),
        ({"train": None}, "a dict"),
        ((None, (Y,)), "a NoneType"),
        (({"train": SPLIT, "test": SPLIT}, (Y,)), "splits 'train', 'test'"),
        ((SPLITS | {"val": 1}, (Y,)), "a int for 'val'"),
        ((SPLITS, [Y]), "a list for the targets"),
        ((SPLITS, ()), "no target"),
        ((SPLITS | {"test": Split(SPLIT.images, {})}, (Y,)), "no values of target 'y' in its test split"),
    ],
)
def test_a_class_that_loads_something_else_is_told_what_was_expected(returned, what, monkeypatch):
    monkeypatch.setattr(Made, "load", lambda self: returned)
    with pytest.raises(DataMismatch, match=rf"^load\(\) returns {what}; it should return .*'train'.*TargetSpec"):
        Made(None, None).setup()


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (np.zeros((4, 3, 4, 4)), r"float64 \(4, 3, 4, 4\), uint8 \[N, C, H, W\] is needed$"),
        (np.zeros((4, 8, 8), np.uint8), r"uint8 \(4, 8, 8\), uint8 \[N, C, H, W\] is needed$"),
        (np.zeros((4, 8, 8, 3), np.uint8), r"uint8 \(4, 8, 8, 3\), .* is needed: images.transpose\(0, 3, 1, 2\)$"),
        ([np.zeros((3, 8, 8), np.uint8)] * 4, "a list, uint8"),
    ],
)
def test_images_of_another_form_are_refused(images, found, monkeypatch):
    splits = dict.fromkeys(SPLITS, Split(images, SPLIT.targets))
    monkeypatch.setattr(Made, "load", lambda self: (splits, (Y,)))
    with pytest.raises(DataMismatch, match=f"^train split: its images are {found}"):
        Made(None, None).setup()


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("dat", lambda v: v[:-1], r"holds uint8 \(59, 2, 96, 96\), not uint8 \(60, 2, 96, 96\)"),
        ("dat", lambda v: v[:, :, :90], r"\(60, 2, 90, 96\)"),
        ("info", lambda v: v[:-1], "of 59 images, the categories of 60"),
        ("info", lambda v: v[:, :3], r"factors are int32 \(60, 3\)"),
        ("info", lambda v: v * 2, "instance of image .* is .*, not a whole number from 0 to 9"),
        ("cat", lambda v: v + 1, "category of image 4 is 5"),
        ("cat", lambda v: v - 1, "category of image 0 is -1"),
    ],
)
def test_smallnorb_that_does_not_fit_together_is_named_and_nothing_is_shifted(tmp_path, kind, change, why):
    published_files.write_norb(tmp_path / "n")
    path = tmp_path / "n" / f"smallnorb-{smallnorb.PARTS[0]}-{kind}.mat"
    values = change(smallnorb.read(path))
    path.write_bytes(published_files.norb(np.ascontiguousarray(values), 0x1E3D4C55 if kind == "dat" else 0x1E3D4C54))
    refused("smallnorb", tmp_path / "n", f"training-{kind}.mat: .*{why}")


def test_a_norb_header_of_many_dimensions_is_named(tmp_path):
    (tmp_path / "x").write_bytes(np.array([0x1E3D4C55, 10**9, 1, 1, 1], "<i4").tobytes())
    with pytest.raises(DataCorrupt, match="promises 1000000000 dimensions"):
        smallnorb.read(tmp_path / "x")


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        (1, 4, "shape of image 7 is 4.0"),
        (1, 1.5, "shape of image 7 is 1.5, not a whole number"),
        (2, -1, "scale of image 7"),
        (3, np.nan, "orientation of image 7"),
        (5, 7, "y of image 7"),
    ],
)
def test_latents_of_dsprites_out_of_range_are_named(tmp_path, column, value, why):
    images, latents = published_files.write_dsprites(tmp_path / "d")
    latents[7, column] = value
    np.savez(tmp_path / "d" / dsprites.FILE, imgs=images, latents_values=latents)
    refused("dsprites", tmp_path / "d", f"npz: {why}")


@pytest.mark.parametrize(("column", "value"), [(0, 1.5), (4, 4), (4, 0.5), (5, 90), (3, np.inf)])
def test_labels_of_shapes3d_out_of_range_are_named(tmp_path, column, value):
    published_files.write_shapes3d(tmp_path / "s")
    with h5py.File(tmp_path / "s" / shapes3d.FILE, "r+") as file:
        file["labels"][9, column] = value
    refused("shapes3d", tmp_path / "s", f"h5: {shapes3d.COLUMNS[column]} of image 9 is {float(value)}")


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        ("list_attr_celeba.txt", "jpg  1", "jpg  3"),
        ("list_eval_partition.txt", " 2", " 7"),
        ("list_eval_partition.txt", "0", "\xe9"),
    ],
)
def test_tables_of_celeba_out_of_range_are_named(tmp_path, draw, table, old, new):
    published_files.write_celeba(tmp_path / "f", draw)
    path = tmp_path / "f" / table
    path.write_bytes(path.read_text().replace(old, new).encode("latin1"))
    refused("celeba", tmp_path / "f", rf"{table}: (holds other values than|not UTF-8)")


def test_a_png_of_too_many_pixels_is_refused_before_it_is_decoded(class_folders):
    root = class_folders("a", "b")

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 13_000, 13_000, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")
    (root / "a" / "bomb.png").write_bytes(bomb)
    with pytest.warns(Image.DecompressionBombWarning):  # Pillow's own, from 90 million on
        refused("image_folder", root, r"a/bomb\.png: .*13000 x 13000 pixels, at most 50 million")


def test_a_large_jpeg_is_decoded_at_a_reduced_scale(tmp_path, monkeypatch):
    Image.new("RGB", (800, 600), (255, 0, 0)).save(tmp_path / "x.jpg")
    data = (tmp_path / "x.jpg").read_bytes()
    monkeypatch.setattr(decode, "MOST_PIXELS", 100_000)
    assert decode.decode(data, 32).shape == (3, 32, 32)
    with pytest.raises(decode.UnreadableImage, match="800 x 600 pixels"):
        decode.decode(data)


def test_a_file_that_is_far_too_large_is_not_read_whole(class_folders, monkeypatch):
    root = class_folders("a", "b")
    with (root / "a" / "huge.png").open("wb") as file:
        file.truncate(5000)
    monkeypatch.setattr(image_files, "MOST_BYTES", 4000)
    refused("image_folder", root, r"a/huge\.png: larger than 0 MB")


def test_a_pipe_among_images_is_named_and_not_waited_for(class_folders, draw, tmp_path):
    root = class_folders("a", "b")
    os.mkfifo(root / "a" / "pipe.png")
    refused("image_folder", root, r"a/pipe\.png: a pipe or a device")
    (root / "a" / "pipe.png").unlink()
    (root / "a" / "zero.png").symlink_to("/dev/zero")
    refused("image_folder", root, r"a/zero\.png: a pipe or a device")
    published_files.write_celeba(tmp_path / "f", draw)
    (tmp_path / "f" / "img_align_celeba" / "000007.jpg").unlink()
    os.mkfifo(tmp_path / "f" / "img_align_celeba" / "000007.jpg")
    refused("celeba", tmp_path / "f", r"000007\.jpg: a folder, a pipe or a device")
    published_files.write_cars(tmp_path / "c")
    os.mkfifo(tmp_path / "c" / "cars" / "car_999_mesh.mat")
    assert datamodules.build("cars3d", root=str(tmp_path / "c"), batch_size=4).targets[2].size == 2


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_that_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_UNCHECKED", 1 << 20)
    (tmp_path / "zeros").write_bytes(bytes(4 << 20))
    archive = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.write(tmp_path / "zeros", "a/1.png")
    else:
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(tmp_path / "zeros", "a/1.png")
    with pytest.raises(DataCorrupt, match=r"would unpack to 0\.0 GB, \d+ times its size.*; nothing unpacked"):
        archives.unpacked(archive, tmp_path / "below")
    assert list((tmp_path / "below").rglob("*.png")) == []


def test_a_gzip_bomb_is_read_no_further_than_a_published_file_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "MOST_BYTES", 1 << 20)
    published_files.write_mnist(tmp_path / "m")
    labels = tmp_path / "m" / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 1 << 22) + bytes(1 << 22)))
    refused("mnist", tmp_path / "m", r"train-labels-idx1-ubyte\.gz: more than 1 MB")


def test_variables_of_another_size_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(dsprites, "MOST_BYTES", 1000)
    published_files.write_dsprites(tmp_path / "d")
    refused("dsprites", tmp_path / "d", r"latents of 0\.0 GB")
    published_files.write_cars(tmp_path / "c")
    larger = np.zeros((256, 128, 3, 24, 4), np.uint8)
    savemat(tmp_path / "c" / "cars" / "car_000_mesh.mat", {"im": larger}, do_compression=True)
    monkeypatch.setattr(cars3d, "loadmat", lambda *_, **__: pytest.fail("unpacked"))
    refused("cars3d", tmp_path / "c", "car_000_mesh.mat: .*not `im` of")


def test_too_large_a_batch_is_refused_before_any_image_is_decoded(class_folders, cache):
    root = class_folders("a", "b")
    for options, count in (({}, 28), ({"train_images": 20}, 20)):
        module = datamodules.build("image_folder", root=str(root), batch_size=300, **options)
        with pytest.raises(DataMismatch, match=f"batch_size 300 is larger than the {count} training images"):
            module.setup()
    assert not list(cache.rglob("*.npy"))
