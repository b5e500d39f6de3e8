"""Real images, where they are at hand: CIFAR-10 as files, PACS, Fashion-MNIST from Debian."""

from pathlib import Path

import numpy as np
import pytest
import torch

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS
from disentangle_bench.datamodules.inspection import check
from disentangle_bench.datamodules.storage import image_files as files

FASHION = Path("/usr/share/datasets/fashion-mnist")


def test_cifar10_as_an_image_folder_and_as_cifar10(cifar10_files, monkeypatch):
    module = datamodules.build("image_folder", root=str(cifar10_files))
    assert [len(module.splits[s]) for s in SPLITS] == [4500, 500, 1000]
    assert module.image_shape == (3, 32, 32)
    assert module.value_names["class"][:2] == ["airplane", "automobile"]
    assert np.bincount(module.splits["val"].targets["class"]).tolist() == [50] * 10
    mean, std = module.statistics  # those of CIFAR-10 in the literature
    assert mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.01)
    assert std == pytest.approx((0.2470, 0.2435, 0.2616), abs=0.01)
    assert module.fingerprint == "77fb72e959ba5bbb335337777a51ce53"
    named = datamodules.build("cifar10", root=str(cifar10_files))
    assert named.fingerprint == module.fingerprint
    monkeypatch.setattr(files.decode, "decode", lambda *_: pytest.fail("decoded again"))
    again = datamodules.build("image_folder", root=str(cifar10_files))
    assert again.fingerprint == module.fingerprint


def test_batches_from_memory_hold_each_image_once(cifar10_files):
    module = datamodules.build("image_folder", root=str(cifar10_files), batch_size=500)
    assert sorted(torch.cat([batch["index"] for batch in module.train_dataloader()]).tolist()) == list(range(4500))


def test_pacs_from_its_archive(pacs_archive, tmp_path):
    module = datamodules.build("pacs", root=str(pacs_archive), balance="domain", batch_size=128)
    assert [len(module.splits[s]) for s in SPLITS] == [7192, 800, 1999]
    assert module.image_shape == (3, 64, 64)
    assert module.fingerprint == "6dbf068305b0c5659653707b6b3a5943"
    assert module.describe()["probe"]["left_out"] == {}  # all seven classes are in all four domains, in each split
    for split in (module.splits[name] for name in ("probe", "probe_val", "test")):
        of_domain = [split.weights[split.targets["domain"] == number] for number in range(4)]
        share = np.bincount(split.targets["class"]) / len(split)
        for number, weights in enumerate(of_domain):
            classes = split.targets["class"][split.targets["domain"] == number]
            assert np.bincount(classes, weights) / weights.sum() == pytest.approx(share, rel=1e-4)
    for batch in module.train_dataloader():
        assert torch.bincount(batch["target/domain"]).tolist() == [32] * 4
    report = check(datamodules.build("pacs", root=str(pacs_archive)))
    assert report.clean
    assert {domain: sum(row.values()) for domain, row in report.cross.items()} == {
        "art_painting": 2048,
        "cartoon": 2344,
        "photo": 1670,
        "sketch": 3929,
    }
    left_out = datamodules.build("pacs", root=str(pacs_archive), shift="leave_out:sketch")
    assert len(left_out.splits["test"]) == 3929
    assert set(left_out.splits["train"].targets["domain"]) == {0, 1, 2}


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_fashion_mnist_from_debian():
    module = datamodules.build("fashion_mnist")
    assert [len(module.splits[s]) for s in SPLITS] == [54000, 6000, 10000]
    assert np.bincount(module.splits["test"].targets["class"]).tolist() == [1000] * 10
    assert module.fingerprint == "6f7347422c4e0a3bf70aa681c47113df"
    mean, std = (np.array(values[0]) for values in module.statistics)
    shown = (28 / 32) ** 2  # the literature's figures are for images without the border
    assert mean / shown == pytest.approx(0.2860, abs=0.001)
    assert (std**2 + mean**2) / shown == pytest.approx(0.3530**2 + 0.2860**2, abs=0.001)
    coloured = datamodules.build("colored_fashion_mnist")
    assert {spec.name: spec.size for spec in coloured.targets} == {"class": 10, "color": 10}
