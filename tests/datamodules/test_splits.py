"""Splits and fingerprints: the same for ever, and sensitive to every change."""

import hashlib

import numpy as np
import pytest

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS, ImageDataModule, Split
from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.datamodules.splits.stratified import joint_labels, random_split, stratified_split
from disentangle_bench.datamodules.targets import TargetSpec


def digest(*arrays):
    return hashlib.blake2b(
        b"".join(np.ascontiguousarray(a, "<i8").tobytes() for a in arrays), digest_size=8
    ).hexdigest()


def test_splits_are_the_same_on_every_machine():
    labels = np.arange(1000) % 7
    assert digest(*stratified_split(labels, 0.2, 0)) == "cabf775d6e5ebfa4"
    assert digest(*random_split(1000, 0.2, 0)) == "777e52a4e20e9e36"


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("digits", {}, "327b88560dcbd56a7aada67491c199f0"),
        ("colored_digits", {}, "55a52a02ca28af0d2547395fa6424ce7"),
        ("colored_digits", {"split_seed": 1}, "21aac9a22190ca30648ed2e860eb14d0"),
        ("sprites", {"image_size": 32}, "cf09d45cbbd81a49c72c3d2928135ab6"),
    ],
)
def test_fingerprints_are_the_same_on_every_machine(name, options, expected):
    assert datamodules.build(name, **options).fingerprint == expected


@pytest.mark.parametrize("fraction", [0.1, 0.37])
def test_stratified_parts_are_disjoint_complete_and_in_proportion(fraction):
    labels = np.random.default_rng(0).choice(5, 900, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    first, second = stratified_split(labels, fraction, 3)
    assert sorted([*first, *second]) == list(range(900))
    for value in range(5):
        assert abs((labels[second] == value).sum() - fraction * (labels == value).sum()) <= 1
    assert not np.array_equal(second, stratified_split(labels, fraction, 4)[1])


def test_random_parts_are_disjoint_and_complete():
    first, second = random_split(50, 0.2, 0)
    assert len(second) == 10
    assert sorted([*first, *second]) == list(range(50))


def test_a_class_of_one_image_cannot_be_in_both_parts():
    with pytest.raises(DataMismatch, match="every class in both parts"):
        stratified_split(np.array([0] * 10 + [1]), 0.2, 0)


def test_joint_labels_tell_combinations_apart():
    assert joint_labels(np.array([0, 0, 1, 1]), np.array([5, 9, 5, 5])).tolist() == [0, 1, 2, 2]


class Made(ImageDataModule):
    """Images and targets as given; with or without a digest of the images."""

    name = "made"
    source = licence = "none"

    def __init__(self, images, labels, digest=None, rows=None, **kwargs):
        super().__init__(batch_size=2, **kwargs)
        self.given = (images, labels, digest, rows)

    def load(self):
        images, labels, digest, rows = self.given
        rows = rows or {"train": np.arange(4), "val": np.arange(4, 6), "test": np.arange(6, 8)}
        splits = {name: Split(images, {"class": labels[at]}, at, digest) for name, at in rows.items()}
        return splits, (TargetSpec("class", "class", 2, "content"),)


def made(change=lambda images, labels, rows: None, **options):
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 4, 4), dtype=np.uint8)
    labels = np.arange(8) % 2
    rows = {"train": np.arange(4), "val": np.arange(4, 6), "test": np.arange(6, 8)}
    change(images, labels, rows)
    return Made(images, labels, rows=rows, **options).fingerprint


def one_pixel(images, labels, rows):
    images[7, 2, 3, 3] ^= 1


def one_label(images, labels, rows):
    labels[5] = 0


def order(images, labels, rows):
    rows["train"] = np.array([2, 1, 0, 3])


def another_cut(images, labels, rows):
    rows["train"], rows["val"] = np.arange(3), np.arange(3, 6)


@pytest.mark.parametrize("change", [one_pixel, one_label, order, another_cut])
def test_any_change_changes_the_fingerprint(change):
    assert made() == made()
    assert made(change) != made()


@pytest.mark.parametrize("change", [one_label, order, another_cut])
def test_any_change_changes_the_fingerprint_that_uses_a_digest_of_the_images(change):
    assert made(digest="x") == made(digest="x")
    assert made(change, digest="x") != made(digest="x")
    assert made(digest="y") != made(digest="x")


def test_statistics_are_those_of_the_training_images():
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 5, 5), dtype=np.uint8)  # an odd number of bytes
    module = Made(
        images, np.arange(8) % 2, rows={"train": np.arange(3), "val": np.arange(3, 6), "test": np.arange(6, 8)}
    )
    mean, std = module.statistics
    train = images[:3].astype(float).transpose(1, 0, 2, 3).reshape(3, -1) / 255
    assert np.allclose(mean, train.mean(1), rtol=1e-12)
    assert np.allclose(std, train.std(1), rtol=1e-12)


def test_a_channel_of_one_value_has_a_deviation_to_divide_by():
    images = np.full((6, 3, 5, 5), 7, np.uint8)
    module = Made(images, np.arange(6) % 2, rows={name: np.arange(6) for name in SPLITS})
    assert np.allclose(module.statistics, [[7 / 255] * 3, [1 / 255] * 3])


@pytest.mark.parametrize("name", ["digits", "colored_digits", "sprites"])
def test_built_in_splits_are_disjoint_and_stratified(name):
    module = datamodules.build(name)
    content = module.targets[0]
    shares = [np.bincount(module.splits[s].targets[content.name], minlength=content.size) for s in SPLITS]
    for counts in shares:
        assert np.allclose(counts / counts.sum(), sum(shares) / sum(map(sum, shares)), atol=0.01)
    if name == "sprites":
        rows = [module.splits[split].rows for split in SPLITS]
        assert sorted(np.concatenate(rows)) == list(range(len(module.splits["train"].images)))


def test_fewer_training_images_keep_classes_and_leave_the_test_split_alone():
    whole = datamodules.build("digits", batch_size=8)
    part = datamodules.build("digits", batch_size=100, train_images=100)  # a batch of all of them
    whole.setup()
    part.setup()
    assert len(part.splits["train"]) == 100
    share = 100 / len(whole.splits["train"])
    assert len(part.splits["val"]) == pytest.approx(share * len(whole.splits["val"]), abs=1)
    given = {image.tobytes() for image in whole.splits["train"].take(np.arange(len(whole.splits["train"])))}
    assert {image.tobytes() for image in part.splits["train"].take(np.arange(100))} <= given
    assert set(np.bincount(part.splits["train"].targets["class"])) <= {9, 10, 11}
    assert np.array_equal(part.splits["test"].targets["class"], whole.splits["test"].targets["class"])
    again = datamodules.build("digits", batch_size=8, train_images=100, seed=5)
    assert again.fingerprint == part.fingerprint  # seeds of runs share their images
    with pytest.raises(DataMismatch, match="train_images 100000"):
        datamodules.build("digits", train_images=100_000, batch_size=8).setup()


def test_splits_are_of_the_same_images_only_where_their_rows_are():
    """Features of one then stand for the other's: of equal length alone would be test images for validation images."""
    images, other, labels = np.zeros((6, 3, 2, 2), np.uint8), np.zeros((6, 3, 2, 2), np.uint8), {"class": np.zeros(3)}
    low, high = np.arange(3), np.arange(3, 6)
    assert Split(images, labels, low).same_images(Split(images, labels, low.copy()))
    assert not Split(images, labels, low).same_images(Split(images, labels, high))
    assert not Split(images, labels, low).same_images(Split(images, labels, low[::-1]))
    assert not Split(images, labels, low).same_images(Split(other, labels, low))
    assert not Split(images, labels, np.arange(6)[::-1]).same_images(Split(images, labels))
