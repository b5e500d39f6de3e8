"""CIFAR, STL-10, Tiny ImageNet and ImageNet: small files in the published layouts, read back."""

import os

import numpy as np
import pytest
import torch
import torchvision

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.datasets.imagenet import wnids_of
from disentangle_bench.datamodules.datasets.imagenet_subsets import SUBSETS
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch, DataNotFound
from tests.datamodules.published_files import dump, write_cifar, write_stl10


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    return lambda name, *layout: write_cifar(tmp_path / name, monkeypatch, *layout)


def test_cifar10(cifar):
    root, made = cifar("c10", torchvision.datasets.CIFAR10, ["labels"], [[f"class {i}" for i in range(10)]])
    module = datamodules.build("cifar10", root=str(root), batch_size=8)
    test = module.splits["test"]
    assert np.array_equal(test.take(np.arange(100)).reshape(100, -1), made["test_batch"]["data"])
    assert test.targets["class"].tolist() == made["test_batch"]["labels"]
    assert [len(module.splits[s]) for s in SPLITS] == [450, 50, 100]
    rows = module.splits["val"].rows
    stacked = np.concatenate([made[f"data_batch_{i}"]["data"] for i in range(1, 6)])
    assert np.array_equal(module.splits["val"].take(np.arange(50)).reshape(50, -1), stacked[rows])
    assert np.bincount(module.splits["val"].targets["class"]).tolist() == [5] * 10
    assert module.value_names == {"class": [f"class {i}" for i in range(10)]}


@pytest.mark.parametrize(("option", "value"), [("image_size", 64), ("feed", "stream"), ("unreadable", "skip")])
def test_cifar10_in_the_published_files_refuses_what_acts_on_image_files(cifar, option, value):
    root, _ = cifar("c10", torchvision.datasets.CIFAR10, ["labels"], [[f"class {i}" for i in range(10)]])
    with pytest.raises(DataMismatch, match=f"{option} {value!r}: the published files of cifar10 hold 32x32"):
        datamodules.build("cifar10", root=str(root), **{option: value}).setup()
    holds = datamodules.build("cifar10", root=str(root), batch_size=8, image_size=32, feed="memory")
    assert holds.image_shape == (3, 32, 32)


def test_cifar100_has_superclasses(cifar):
    names = [[f"class {i}" for i in range(10)], [f"super {i}" for i in range(5)]]
    root, made = cifar("c100", torchvision.datasets.CIFAR100, ["fine_labels", "coarse_labels"], names)
    module = datamodules.build("cifar100", root=str(root), batch_size=8)
    assert [(spec.name, spec.size, spec.role) for spec in module.targets] == [
        ("class", 10, "content"),
        ("superclass", 5, "content"),
    ]
    assert module.splits["test"].targets["superclass"].tolist() == made["test"]["coarse_labels"]
    assert module.num_classes == 10


def test_a_pickle_that_is_not_the_published_one_is_never_read(cifar, tmp_path):
    root, _ = cifar("c10", torchvision.datasets.CIFAR10, ["labels"], [[f"class {i}" for i in range(10)]])

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was run"), "w"))

    dump(root / "cifar-10-batches-py" / "data_batch_3", Evil())
    with pytest.raises(DataCorrupt, match=r"data_batch_3 is not the published file \(its MD5 differs\)"):
        datamodules.build("cifar10", root=str(root)).setup()
    assert not (tmp_path / "was run").exists()
    (root / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(DataCorrupt, match="data_batch_3 is missing"):
        datamodules.build("cifar10", root=str(root)).setup()


def test_cifar10_as_class_folders(class_folders):
    root = class_folders(*(f"{split}/{kind}" for split in ("train", "test") for kind in ("cat", "dog")))
    module = datamodules.build("cifar10", root=str(root), batch_size=8)
    assert [len(module.splits[s]) for s in SPLITS] == [36, 4, 40]
    assert module.fingerprint == datamodules.build("image_folder", root=str(root), batch_size=8).fingerprint
    with pytest.raises(DataNotFound, match="cifar100 is not in there"):
        datamodules.build("cifar100", root=str(root)).setup()


def test_stl10_trains_on_unlabelled_images_and_judges_on_labelled_ones(tmp_path):
    made = write_stl10(tmp_path / "given")
    options = {"root": str(tmp_path / "given"), "batch_size": 6, "val_fraction": 0.25}
    module = datamodules.build("stl10", **options)
    assert np.array_equal(module.splits["test"].take(np.arange(20)), made["test"])
    assert module.splits["test"].targets["class"].tolist() == [i % 10 for i in range(20)]
    assert [len(module.splits[s]) for s in SPLITS] == [30, 10, 20]
    seen = torch.cat([batch["target/class"] for batch in module.train_dataloader()])
    assert len(seen) == 60
    assert (seen == -100).sum() == 30
    assert np.array_equal(module.training.take(np.arange(30, 60)), made["unlabeled"])
    assert module.describe()["num_train"] == 60
    assert min(batch["target/class"].min() for batch in module.eval_dataloader("train")) == 0
    assert len(datamodules.build("stl10", pretrain_on="all", **options).training) == 70
    labelled = datamodules.build("stl10", pretrain_on="train", **options)
    assert len(labelled.training) == 30
    with pytest.raises(DataMismatch, match="balance 'class': 30 of the training images of stl10 have no label"):
        module.check_batches("class", 3)
    labelled.check_batches("class", 3)
    assert labelled.fingerprint != module.fingerprint


def test_a_file_that_was_written_again_is_read_again_though_it_is_as_long_as_before(tmp_path):
    made = write_stl10(tmp_path / "given")
    options = {"root": str(tmp_path / "given"), "batch_size": 6, "val_fraction": 0.25}
    assert np.array_equal(datamodules.build("stl10", **options).splits["test"].take(np.arange(20)), made["test"])
    file = tmp_path / "given" / "stl10_binary" / "test_X.bin"
    (255 - np.fromfile(file, np.uint8)).tofile(file)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))  # also where a clock ticks seldom
    assert np.array_equal(datamodules.build("stl10", **options).splits["test"].take(np.arange(20)), 255 - made["test"])


def test_stl10_files_that_do_not_fit_are_named(tmp_path):
    write_stl10(tmp_path / "given")
    home = tmp_path / "given" / "stl10_binary"
    (home / "test_y.bin").write_bytes(b"\x01" * 19)
    with pytest.raises(DataCorrupt, match=r"test_y\.bin: should hold 20 labels"):
        datamodules.build("stl10", root=str(home)).setup()
    (home / "train_X.bin").write_bytes((home / "train_X.bin").read_bytes()[:-5])
    with pytest.raises(DataCorrupt, match=r"train_X\.bin: .*not a whole number"):
        datamodules.build("stl10", root=str(home)).setup()


@pytest.fixture
def tiny(tmp_path, draw):
    root = tmp_path / "tiny-imagenet-200"
    for c, wnid in enumerate(("n01443537", "n01629819")):
        for i in range(20):
            draw(root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", 100 * c + i, (64, 64))
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("x")
    lines = []
    for i in range(6):
        draw(root / "val" / "images" / f"val_{i}.JPEG", 900 + i, (64, 64))
        lines.append(f"val_{i}.JPEG\t{('n01443537', 'n01629819')[i % 2]}\t0\t0\t62\t62")
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    draw(root / "test" / "images" / "test_0.JPEG")
    return root


def test_tiny_imagenet(tiny):
    for root in (tiny, tiny.parent):
        module = datamodules.build("tiny_imagenet", root=str(root), batch_size=8)
        assert [len(module.splits[s]) for s in SPLITS] == [36, 4, 6]
    test = module.splits["test"]
    assert [test.name_of(i) for i in range(6)] == [f"val/images/val_{i}.JPEG" for i in range(6)]
    assert test.targets["class"].tolist() == [0, 1] * 3
    assert module.image_shape == (3, 64, 64)


def drop(tiny):
    (tiny / "val" / "val_annotations.txt").unlink()


def garble(tiny):
    (tiny / "val" / "val_annotations.txt").write_text("val_0.JPEG n01443537\n")


def forget(tiny):
    path = tiny / "val" / "val_annotations.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def lose(tiny):
    (tiny / "val" / "images" / "val_3.JPEG").unlink()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (drop, r"val_annotations\.txt: missing; it holds the labels"),
        (garble, "line 1: should be a file, a tab"),
        (forget, r"has no line for val_0\.JPEG"),
        (lose, r"val_3\.JPEG: missing"),
    ],
)
def test_tiny_imagenet_with_spoilt_annotations(tiny, change, why):
    change(tiny)
    with pytest.raises(DataCorrupt, match=why):
        datamodules.build("tiny_imagenet", root=str(tiny)).setup()


def test_annotations_of_a_class_that_is_not_in_training_name_it(tiny):
    path = tiny / "val" / "val_annotations.txt"
    path.write_text(path.read_text().replace("n01629819", "n09999999"))
    with pytest.raises(DataMismatch, match=r"test images of class 'n09999999', which has no training images in"):
        datamodules.build("tiny_imagenet", root=str(tiny)).setup()


def test_imagenet_and_its_subsets(class_folders, tmp_path):
    wnids = [*SUBSETS["imagenette"].split()[:3], "n99999999"]
    root = class_folders(*(f"{split}/{wnid}" for split in ("train", "val") for wnid in wnids))
    options = {"root": str(root), "batch_size": 8, "image_size": 8}
    whole = datamodules.build("imagenet", **options)
    assert whole.value_names["class"] == sorted(wnids)
    assert [len(whole.splits[s]) for s in SPLITS] == [72, 8, 80]
    (tmp_path / "three.txt").write_text("\n".join(wnids[1:]))
    some = datamodules.build("imagenet", subset=str(tmp_path / "three.txt"), **options)
    assert some.value_names["class"] == sorted(wnids[1:])
    assert [len(some.splits[s]) for s in SPLITS] == [54, 6, 60]
    test = some.splits["test"]
    for i in range(60):
        split, wnid, _ = test.name_of(i).split("/")
        assert (split, sorted(wnids[1:])[test.targets["class"][i]]) == ("val", wnid)
    with pytest.raises(DataMismatch, match="7 of 10 classes have no folder there"):
        datamodules.build("imagenet", subset="imagenette", **options).setup()


def test_subsets_are_what_they_are_called():
    assert {name: len(set(wnids_of(name))) for name in SUBSETS} == {
        "imagenet-10": 10,
        "imagenet-dogs": 15,
        "imagenet-100": 100,
        "imagenette": 10,
    }


def test_a_subset_that_is_none_is_refused(tmp_path):
    with pytest.raises(DataMismatch, match=r"none of imagenet-10, .*, and no file"):
        datamodules.build("imagenet", subset="imagenet-11")
    (tmp_path / "x.txt").write_text("n01440764\ncat\n")
    with pytest.raises(DataMismatch, match="'cat' is no wnid"):
        wnids_of(str(tmp_path / "x.txt"))
