"""Banks of features: every image once, in order, whoever encodes them and in whatever batches."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from disentangle_bench.datamodules.base import BatchDataset
from disentangle_bench.datamodules.batches.loader import loader
from disentangle_bench.datamodules.batches.split import Split
from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation import features, protocol

TARGETS = (TargetSpec("class", "class", 3, "content"), TargetSpec("color", "class", 2, "domain"))
COUNTS = {"train": 230, "val": 40, "test": 130}
KEY = {"encoder": "e", "data": "d"}


class Network(nn.Module):
    """Two spaces, batch norm between."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.head = nn.Linear(32, 4)

    def embed(self, images):
        assert not self.training
        body = self.body(images.float() / 255)
        return {"features": body, "style/color": self.head(body)}


def loaders(batch_size=16, rank=0, processes=1, num_workers=0):
    made = {}
    for number, (split, count) in enumerate(COUNTS.items()):
        rng = np.random.default_rng(number)
        y = rng.integers(3, size=count)
        images = rng.integers(0, 256, (count, 3, 8, 8)) // 2 + 60 * (
            y[:, None, None, None] == np.arange(3)[:, None, None]
        )
        labels = {"class": y, "color": rng.integers(2, size=count)}
        dataset = BatchDataset(Split(images.astype(np.uint8), labels), TARGETS)
        batches = torch.arange(count).split(batch_size)
        first, last = (len(batches) * part // processes for part in (rank, rank + 1))
        made[split] = loader(dataset, batches[first:last], num_workers)
    return made


def encode(folder, key=KEY, **how):
    network = Network()
    return features.encode(network, network.embed, loaders(**how), folder, key)


def measured(bank):
    rows, _ = protocol.evaluate(bank, TARGETS, ["linear@1", "knn@1", "kmeans@2", "intrinsic@1"])
    return {(r["space"], r["measure"], r["target"]): r["scores"] for r in rows}


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    bank = encode(Path(folder) / "two", rank=rank, processes=2, batch_size=64)
    assert len(bank.features["features"]["train"]) == COUNTS["train"]  # every process sees the whole bank
    dist.destroy_process_group()


def test_two_processes_encode_every_image_once_in_order(tmp_path):
    one = encode(tmp_path / "one", batch_size=64)
    mp.start_processes(_process, (str(tmp_path),), nprocs=2, start_method="fork")
    two = features.open_bank(tmp_path / "two", list(COUNTS))
    assert one.features.keys() == two.features.keys() == {"features", "style/color"}
    for split, count in COUNTS.items():  # val has one batch: none for the first process
        for space in one.features:
            assert one.features[space][split].shape[0] == count
            np.testing.assert_array_equal(one.features[space][split], two.features[space][split])
        for target in ("class", "color"):
            np.testing.assert_array_equal(one.targets[split][target], two.targets[split][target])
    assert measured(one) == measured(two)
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_parts_of_three_processes_are_put_together_in_the_order_of_their_ranks(tmp_path, monkeypatch):
    one = encode(tmp_path / "one", batch_size=64)
    folder = tmp_path / "three" / "train"
    for rank in range(3):
        network, part = Network(), loaders(64, rank, 3)["train"]
        features._encode_part(network, network.embed, part, features._part(folder, rank))
    monkeypatch.setattr(features, "_processes", lambda: 3)
    features._put_together(folder, KEY, None)
    three = features.open_bank(tmp_path / "three", ["train"])
    for space, splits in three.features.items():
        np.testing.assert_array_equal(splits["train"], one.features[space]["train"])
    np.testing.assert_array_equal(three.targets["train"]["class"], one.targets["train"]["class"])


def test_rows_are_those_of_the_images(tmp_path):
    bank, network = encode(tmp_path), Network().eval()
    dataset = loaders()["test"].dataset
    whole = dataset[torch.arange(len(dataset))]
    torch.testing.assert_close(
        torch.from_numpy(bank.features["features"]["test"].copy()), network.embed(whole["image"])["features"]
    )
    np.testing.assert_array_equal(bank.targets["test"]["class"], whole["target/class"])


@pytest.mark.parametrize("how", [{"batch_size": 7}, {"num_workers": 2}], ids=["batch size", "workers"])
def test_figures_do_not_depend_on_how_images_are_fed(tmp_path, how):
    plain, other = measured(encode(tmp_path / "a")), measured(encode(tmp_path / "b", **how))
    for key, scores in plain.items():
        assert other[key] == pytest.approx(scores, abs=1e-6), key


def test_a_bank_is_opened_again_only_for_the_same_encoder_and_data(tmp_path):
    before = encode(tmp_path).features["features"]["test"][:].copy()

    def refuse(images):
        raise AssertionError("encoded again")

    again = features.encode(Network(), refuse, loaders(), tmp_path, KEY)
    np.testing.assert_array_equal(before, again.features["features"]["test"])
    for other in ("encoder", "data"):
        with pytest.raises(AssertionError, match="encoded again"):
            features.encode(Network(), refuse, loaders(), tmp_path, KEY | {other: "another"})
    assert features.open_bank(tmp_path, ["test"]).features  # the old one is there until the new one is whole


def test_the_network_is_left_as_it_was(tmp_path):
    network = Network()
    network.train()
    network.head.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    features.encode(network, network.embed, loaders(), tmp_path, KEY)
    assert network.training
    assert not network.head.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_weights_lie_beside_the_features_and_a_split_of_the_same_images_is_not_encoded_again(tmp_path):
    network, weights = Network(), np.linspace(0, 2, COUNTS["test"]).astype(np.float32)
    bank = features.encode(network, network.embed, loaders(), tmp_path, KEY, weights={"test": weights, "val": None})
    again = features.open_bank(tmp_path, list(COUNTS))
    for found in (bank, again):
        np.testing.assert_array_equal(found.weights["test"], weights)
        assert found.weights["train"] is None
        assert found.weights["val"] is None
    more = again.with_split("probe", "train", np.ones(COUNTS["train"], np.float32))
    assert more.features["features"]["probe"] is again.features["features"]["train"]
    np.testing.assert_array_equal(more.targets["probe"]["class"], again.targets["train"]["class"])
    assert more.weights["probe"].sum() == COUNTS["train"]
    assert "probe" not in again.weights


def test_encoding_rounds_no_product_to_tf32_or_bfloat16(tmp_path):
    network, seen = Network(), []

    def embed(images):
        seen.append(
            (
                torch.get_float32_matmul_precision(),
                torch.backends.cudnn.allow_tf32,
                torch.is_autocast_enabled("cpu"),
                torch.is_autocast_enabled("cuda"),
            )
        )
        return network.embed(images)

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features.encode(network, embed, loaders(), tmp_path, KEY)
        assert torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.backends.cudnn.allow_tf32 = before
        torch.set_float32_matmul_precision("highest")
    assert set(seen) == {("highest", False, False, False)}


@pytest.mark.parametrize("name", ["spaces/features.f32", "targets.npz", features.WEIGHTS, "note.json"])
def test_a_bank_with_a_flipped_byte_is_made_anew(tmp_path, name):
    def make():
        network, weights = Network(), {"test": np.linspace(0, 2, COUNTS["test"])}
        return features.encode(network, network.embed, loaders(), tmp_path, KEY, weights=weights)

    before = {path: path.read_bytes() for path in _files(make() and tmp_path)}
    file = tmp_path / "test" / name
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    make()
    assert {path: path.read_bytes() for path in _files(tmp_path)} == before


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
