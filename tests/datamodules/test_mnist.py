from pathlib import Path

import numpy as np
import pytest
import torchvision

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.datasets import mnist
from disentangle_bench.datamodules.errors import DataCorrupt, DataNotFound
from disentangle_bench.datamodules.storage import idx
from tests.datamodules.published_files import encode, write_mnist


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", [".", "raw", "FashionMNIST/raw"])
def test_published_files_are_read_back(tmp_path, packed, below):
    made = write_mnist(tmp_path / "given" / below, packed)
    module = datamodules.build("fashion_mnist", root=str(tmp_path / "given"), batch_size=16)
    images, labels = made["t10k"]
    test = module.splits["test"]
    taken = test.take(np.arange(50))
    assert taken.shape == (50, 3, 32, 32)
    assert np.array_equal(taken[:, 1, 2:30, 2:30], images)
    assert np.array_equal(taken[:, 0], taken[:, 2])
    assert taken[:, :, :2].max() == taken[:, :, :, 30:].max() == 0
    assert np.array_equal(test.targets["class"], labels)
    assert len(module.splits["train"]) == 180
    rows = np.concatenate([module.splits["train"].rows, module.splits["val"].rows])
    assert sorted(rows) == list(range(200))
    assert np.array_equal(
        module.splits["val"].take(np.arange(20))[:, 0, 2:30, 2:30], made["train"][0][module.splits["val"].rows]
    )
    assert module.value_names["class"][9] == "Ankle boot"


def test_files_are_looked_for_in_the_data_folder_then_on_the_system(tmp_path, monkeypatch):
    system = tmp_path / "system"
    monkeypatch.setattr(mnist.FashionMNIST, "SYSTEM", (system,))
    with pytest.raises(DataNotFound, match=r"^not in .*data/fashion_mnist.*no network in tests.*dataset-fashion-mnist"):
        datamodules.build("fashion_mnist").setup()
    assert list(tmp_path.iterdir()) == []
    write_mnist(system)
    assert len(datamodules.build("fashion_mnist", batch_size=16).splits["test"]) == 50
    write_mnist(tmp_path / "data" / "fashion_mnist", test=30)
    assert len(datamodules.build("fashion_mnist", batch_size=16).splits["test"]) == 30


def test_what_can_be_downloaded_is(tmp_path, monkeypatch):
    asked = []

    def download(root, download):
        asked.append((Path(root), download))
        write_mnist(Path(root) / "MNIST" / "raw", packed=False)

    monkeypatch.setattr("disentangle_bench.datamodules.storage.locate.unreachable", lambda url: None)
    monkeypatch.setattr(torchvision.datasets.MNIST, "__init__", lambda self, root, download: download_(root, download))
    download_ = download
    assert len(datamodules.build("mnist", batch_size=16).splits["test"]) == 50
    assert len(datamodules.build("mnist", batch_size=16).splits["test"]) == 50
    assert asked == [(tmp_path / "data" / "mnist" / "unfinished", True)]
    assert not asked[0][0].exists()


def test_a_failed_download_says_what_to_do(monkeypatch):
    def fail(self, root, download):
        raise RuntimeError("connection reset")

    monkeypatch.setattr("disentangle_bench.datamodules.storage.locate.unreachable", lambda url: None)
    monkeypatch.setattr(torchvision.datasets.MNIST, "__init__", fail)
    with pytest.raises(DataNotFound, match=r"download .* failed \(connection reset\); get mnist from .*lecun"):
        datamodules.build("mnist").setup()


def swap_magic(data):
    return bytes((0, 0, 8, 1)) + data[4:]


def another_type(data):
    return bytes((0, 0, 0x0D, 3)) + data[4:]


def cut(data):
    return data[:-7]


@pytest.mark.parametrize(
    ("change", "why"),
    [(swap_magic, "0x00000801"), (another_type, "0x00000d03"), (cut, "header promises"), (lambda d: b"", "magic")],
)
def test_a_wrong_images_file_is_named(tmp_path, change, why):
    write_mnist(tmp_path / "given", packed=False)
    path = tmp_path / "given" / "train-images-idx3-ubyte"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataCorrupt, match=f"train-images-idx3-ubyte: .*{why}"):
        datamodules.build("mnist", root=str(tmp_path / "given"), batch_size=16).setup()


def test_a_gzip_cut_short_is_named(tmp_path):
    write_mnist(tmp_path / "given")
    path = tmp_path / "given" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataCorrupt, match=r"t10k-images-idx3-ubyte\.gz: cut short or damaged"):
        datamodules.build("mnist", root=str(tmp_path / "given"), batch_size=16).setup()


def test_counts_and_labels_must_fit(tmp_path):
    write_mnist(tmp_path / "given", packed=False)
    (tmp_path / "given" / "train-labels-idx1-ubyte").write_bytes(encode(np.arange(150) % 10))
    with pytest.raises(DataCorrupt, match="its 150 labels ask for"):
        datamodules.build("mnist", root=str(tmp_path / "given"), batch_size=16).setup()
    (tmp_path / "given" / "train-labels-idx1-ubyte").write_bytes(encode(np.arange(200) % 11))
    with pytest.raises(DataCorrupt, match="labels go up to 10"):
        datamodules.build("mnist", root=str(tmp_path / "given"), batch_size=16).setup()


def test_idx_reads_what_it_wrote(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "x").write_bytes(encode(values))
    assert np.array_equal(idx.read(tmp_path / "x", 3), values)


@pytest.mark.parametrize("name", ["colored_mnist", "colored_fashion_mnist"])
def test_colours_go_with_the_class_in_training_only(tmp_path, name):
    write_mnist(tmp_path / "given", train=2000, test=500)
    build = {"root": str(tmp_path / "given"), "batch_size": 16}
    module = datamodules.build(name, correlation=0.9, **build)
    agree = {s: (module.splits[s].targets["color"] == module.splits[s].targets["class"]).mean() for s in SPLITS}
    assert agree["train"] == pytest.approx(0.91, abs=0.03)
    assert agree["test"] == pytest.approx(0.1, abs=0.05)
    assert [spec.role for spec in module.targets] == ["content", "domain"]
    part = module.splits["test"]
    red = np.flatnonzero(part.targets["color"] == 0)[:3]
    images = part.take(red)
    assert images[:, 0].max() > 200
    assert images[:, 1:].max() == 0
    full = datamodules.build(name, correlation=1.0, **build)
    assert (full.splits["train"].targets["color"] == full.splits["train"].targets["class"]).all()
    assert full.fingerprint != module.fingerprint
    assert np.array_equal(full.splits["train"].rows, module.splits["train"].rows)


def test_rotations_are_domains(tmp_path):
    write_mnist(tmp_path / "given", train=600)
    options = {"root": str(tmp_path / "given"), "batch_size": 16}
    module = datamodules.build("colored_mnist", domain_kind="rotation", **options)
    upright = datamodules.build("mnist", **options)
    train = module.splits["train"]
    assert module.targets[1].size == 6
    assert module.value_names["rotation"] == ("0", "15", "30", "45", "60", "75")
    same = [
        np.array_equal(a, b)
        for a, b in zip(train.take(np.arange(540)), upright.splits["train"].take(np.arange(540)), strict=True)
    ]
    assert np.array_equal(same, train.targets["rotation"] == 0)
    other = datamodules.build("colored_mnist", domain_kind="rotation", correlation=0.1, **options)
    assert other.fingerprint != module.fingerprint
