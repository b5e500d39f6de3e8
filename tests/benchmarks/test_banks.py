"""Banks of a data set's features hold the weights of every split, and are those of their encoder and data alone."""

import numpy as np
import pytest
import torch
from torch import nn

from disentangle_bench import datamodules
from disentangle_bench.benchmarks.execution.measure import encode_splits, images_of
from disentangle_bench.benchmarks.execution.pretrained.features import read_bank
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.datamodules.base import PROBES, SPLITS

SPRITES = {"image_size": 32, "num_x": 3, "num_y": 3, "num_orientations": 4, "shift": "hold_out:color=red,shape=square"}


class Means(nn.Module):
    """The mean of each channel, times a number."""

    image_shape = (3, 8, 8)

    def __init__(self, factor: float = 1.0):
        super().__init__()
        self.factor = factor

    def embed(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"features": self.factor * images.float().mean((2, 3))}


def digits(shift: str):
    return datamodules.build("colored_digits", image_size=8, shift=shift)


@pytest.fixture
def run(tmp_path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def as_files(bank, data, folder):
    """The bank's features as somebody else would hand them in."""
    folder.mkdir()
    for split in bank.targets.keys() - images_of(data).keys():
        np.save(folder / f"{split}.npy", bank.features["features"][split])
    return folder


@pytest.mark.parametrize(
    ("make", "weighted", "same"),
    [
        (lambda: digits("hold_out:color=red,class=3"), {"probe", "probe_val"}, set()),
        (lambda: digits("correlation:0.5"), {"test"}, set()),
        (lambda: datamodules.build("sprites", **SPRITES), {"probe", "probe_val"}, {"probe", "probe_val"}),
    ],
    ids=["drawn anew", "test", "of the training images"],
)
def test_each_split_has_its_own_rows_labels_and_weights(make, weighted, same, run, tmp_path):
    data = make()
    assert images_of(data).keys() == same
    encoded = encode_splits(Means(), data, run, "a")
    given, _ = read_bank(as_files(encoded, data, tmp_path / "theirs"), data)
    for bank in (encoded, given):
        assert {split for split in (*SPLITS, *PROBES) if bank.weights[split] is not None} == weighted
        for split, part in data.splits.items():
            if split in weighted:
                np.testing.assert_array_equal(bank.weights[split], part.weights)
            some = np.arange(0, len(part), 101)
            expected = Means().embed(torch.from_numpy(part.take(some)))["features"]
            np.testing.assert_allclose(bank.features["features"][split][some], expected, rtol=1e-6)
            for spec in data.targets:
                np.testing.assert_array_equal(bank.targets[split][spec.name], part.targets[spec.name])


def test_features_of_another_encoder_or_of_other_data_are_not_taken_for_these(run):
    data, other = digits("correlation:0.5"), digits("correlation:0.2")

    def first(*what):
        return encode_splits(*what).features["features"]["train"][0].tolist()

    once = first(Means(), data, run, "a")
    assert first(Means(2.0), data, run, "a") == once, "encoded again"
    assert first(Means(2.0), data, run, "b") == [2 * value for value in once]
    bank = encode_splits(Means(2.0), other, run, "b")
    np.testing.assert_array_equal(bank.targets["test"]["color"], other.splits["test"].targets["color"])


def test_the_hash_of_given_features_changes_with_any_value(run, tmp_path):
    data = digits("correlation:0.5")
    folder = as_files(encode_splits(Means(), data, run, "a"), data, tmp_path / "theirs")
    (bank, before), (_, again) = read_bank(folder, data), read_bank(folder, data)
    assert again == before
    for split in bank.features["features"]:
        rows = np.load(folder / f"{split}.npy")
        rows[-1, -1] += 1
        np.save(folder / f"{split}.npy", rows)
        _, after = read_bank(folder, data)
        assert after != before
        before = after
