from types import SimpleNamespace

import numpy as np
import pytest
import torch

from disentangle_bench import datamodules
from disentangle_bench.datamodules.batches.samplers import BalancedBatches
from disentangle_bench.datamodules.batches.split import Split
from disentangle_bench.datamodules.batches.training import TrainingBatches
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.splits.colouring import EqualChannels
from disentangle_bench.datamodules.storage import on_demand
from disentangle_bench.datamodules.targets import TargetSpec


@pytest.fixture
def root(class_folders):
    return str(class_folders("a", "b", "c", size=(12, 9)))


def build(root, **options):
    return datamodules.build("image_folder", root=root, batch_size=8, image_size=6, **options)


def same(first, second):
    first, second = list(first), list(second)
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert value.dtype == other[key].dtype
            assert torch.equal(value, other[key])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_gives_the_batches_of_memory_whatever_the_number_of_workers(root, workers):
    memory, stream = build(root, feed="memory"), build(root, feed="stream", num_workers=workers)
    same(memory.train_dataloader(), stream.train_dataloader())
    for split in ("train", "val", "test"):
        same(memory.eval_dataloader(split, batch_size=5), stream.eval_dataloader(split, batch_size=5))
    assert memory.fingerprint == stream.fingerprint
    assert memory.statistics == stream.statistics
    assert stream.train_dataloader().num_workers == workers


def test_memory_needs_no_workers_and_a_stream_gets_some(root):
    assert build(root, feed="memory").train_dataloader().num_workers == 0
    assert build(root, feed="stream").train_dataloader().num_workers > 0


def test_auto_goes_by_the_share_of_ram(root, monkeypatch):
    assert not getattr(build(root).splits["train"].images, "on_demand", False)
    monkeypatch.setattr(on_demand, "MEMORY_SHARE", 1e-9)
    assert build(root).splits["train"].images.on_demand
    assert not getattr(build(root, feed="memory").splits["train"].images, "on_demand", False)


def test_a_stream_decodes_nothing_ahead_and_keeps_its_digest(root, cache, monkeypatch):
    stream = build(root, feed="stream")
    fingerprint = stream.fingerprint
    assert list(cache.rglob("*.npy")) == []
    monkeypatch.setattr(
        "disentangle_bench.datamodules.storage.image_files.FileImages.digest", lambda self: pytest.fail("read again")
    )
    assert build(root, feed="stream").fingerprint == fingerprint


def test_a_stream_notices_changed_files(root, draw, tmp_path):
    before = build(root, feed="stream").fingerprint
    draw(tmp_path / "images" / "a" / "000.png", seed=77, size=(12, 9))
    assert build(root, feed="stream").fingerprint != before


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stream_names_the_file_it_cannot_read(root, tmp_path, workers):
    stream = build(root, feed="stream", num_workers=workers)
    stream.setup()
    (tmp_path / "images" / "b" / "007.png").write_bytes(b"")
    holds = next(s for s, part in stream.splits.items() if "b/007.png" in map(part.name_of, range(len(part))))
    with pytest.raises(DataCorrupt, match=r"b/007\.png"):
        list(stream.eval_dataloader(holds))


def test_a_stream_cannot_skip(root):
    with pytest.raises(DataMismatch, match="needs feed=memory"):
        build(root, feed="stream", unreadable="skip").setup()


def test_statistics_of_a_stream_come_from_a_sample(root, monkeypatch):
    stream = build(root, feed="stream")
    asked = []
    take = Split.take
    monkeypatch.setattr("disentangle_bench.datamodules.batches.statistics.SAMPLE", 10)
    monkeypatch.setattr(Split, "take", lambda self, positions: asked.extend(positions) or take(self, positions))
    _ = stream.statistics
    assert len(asked) == 10
    assert max(asked) - min(asked) == len(stream.splits["train"]) - 1


def test_equal_channels_repeat_the_grey_one():
    grey = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4)
    images = EqualChannels(grey)
    assert images.shape == (2, 3, 4, 4)
    assert np.array_equal(images[np.array([1, 0])], np.stack([grey[[1, 0], 0]] * 3, axis=1))


def test_images_that_are_made_on_demand_are_all_made_for_the_memory():
    class Numbers(on_demand.OnDemand):
        shape = (2050, 1, 1, 1)

        def __getitem__(self, rows):
            return (rows % 251).astype(np.uint8)[:, None, None, None] + 1

    out = np.zeros(Numbers.shape, np.uint8)
    Numbers().fill(out)
    assert np.array_equal(out.reshape(-1), np.arange(2050) % 251 + 1)


def test_select_and_take_agree():
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    split = Split(images, {"class": np.arange(5)}, np.array([9, 7, 5, 3, 1]))
    chosen = split.select(np.array([4, 0]))
    assert chosen.take(np.arange(2)).reshape(-1).tolist() == [1, 9]
    assert chosen.targets["class"].tolist() == [4, 0]
    assert Split(images, {}).select(np.array([2])).take(np.array([0])).item() == 2


def test_balance_makes_balanced_batches(class_folders):
    root = class_folders("photo/cat", "photo/dog", count=40)
    class_folders("sketch/cat", "sketch/dog", count=10)
    module = datamodules.build("image_folder", root=str(root), domains=True, batch_size=8, balance="domain")
    loader = module.train_dataloader()
    seen = set()
    for batch in loader:
        assert torch.bincount(batch["target/domain"]).tolist() == [4, 4]
        seen |= set(batch["index"].tolist())
    assert seen == set(range(len(module.splits["train"])))
    with pytest.raises(DataMismatch, match="no such target"):
        datamodules.build("image_folder", root=str(root), domains=True, batch_size=8, balance="x").train_dataloader()
    with pytest.raises(DataMismatch, match=r"balanced by 'domain'.*there are 2"):
        datamodules.build(
            "image_folder", root=str(root), domains=True, batch_size=9, balance="domain", domains_per_batch=3
        ).train_dataloader()


@pytest.mark.parametrize(("given", "expected"), [(None, [2] * 4), (2, [4] * 2), (1, [8])])
def test_a_batch_has_two_images_or_more_of_each_domain_however_many_there_are(class_folders, given, expected):
    """One image a domain leaves a contrast inside of domains without negatives: its loss is 0 and nothing is learnt."""
    root = class_folders(*(f"model{n}/{view}" for n in range(9) for view in ("front", "back")), count=10)
    options = {"root": str(root), "domains": True, "batch_size": 8, "balance": "domain", "val_fraction": 0.25}
    module = datamodules.build("image_folder", domains_per_batch=given, **options)
    for batch in module.train_dataloader():
        counts = torch.bincount(batch["target/domain"])
        assert counts[counts > 0].tolist() == expected


def test_a_target_that_is_named_as_a_role_goes_before_one_that_has_it():
    targets = TargetSpec("place", "class", 2, "domain"), TargetSpec("domain", "class", 2, "style")
    data = SimpleNamespace(name="made", targets=targets)
    assert TrainingBatches._balanced_target(data, "domain") == targets[1]
    assert TrainingBatches._balanced_target(data, "style") == targets[1]
    assert TrainingBatches._balanced_target(data, "place") == targets[0]


def test_one_image_of_a_domain_is_refused(class_folders):
    root = class_folders(*(f"model{n}/{view}" for n in range(9) for view in ("front", "back")), count=10)
    options = {"root": str(root), "domains": True, "batch_size": 8, "balance": "domain", "val_fraction": 0.25}
    module = datamodules.build("image_folder", domains_per_batch=8, **options)
    with pytest.raises(DataMismatch, match=r"8 groups in a batch of 8 are 1 image of each, at least 2 .* at most 4"):
        module.train_dataloader()
    with pytest.raises(DataMismatch, match="at most 4"):
        module.check_batches("domain", 8)


def test_a_domain_of_one_image_is_refused():
    with pytest.raises(ValueError, match="1 of 3 groups have one image"):
        BalancedBatches(np.array([0, 0, 1, 1, 2]), 4, 2, 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_goes_on_in_mid_epoch_whatever_the_number_of_workers(root, workers):
    """As Lightning does: it asks for the iterator first, and tells the epoch afterwards."""

    def loader_of_epoch(epoch, place=None):
        made = build(root, feed="stream", num_workers=workers).train_dataloader()
        if place:
            made.load_state_dict(place)
        batches = iter(made)
        made.sampler.set_epoch(epoch)
        return made, batches

    whole = list(loader_of_epoch(1)[1])
    begun, batches = loader_of_epoch(1)
    next(batches), next(batches)
    place = begun.state_dict()
    assert place == {"epoch": 1, "batches": 2}
    resumed, rest = loader_of_epoch(1, place)
    same(rest, whole[2:])
    same(resumed, whole)  # the pass after that is a whole one
    again, rest = loader_of_epoch(1, place)
    assert torch.equal(next(rest)["index"], whole[2]["index"])
    assert again.state_dict() == {"epoch": 1, "batches": 3}, "of the epoch, not of what was done since"
    assert len(list(loader_of_epoch(2, place)[1])) == len(whole)  # the place was an epoch's end


def test_looking_at_the_data_leaves_the_global_stream_alone(root):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(build(root).train_dataloader())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_processes_that_judge_together_take_every_image_once(processes):
    """Seven batches, which no number of these processes but one shares out evenly."""
    module = datamodules.build("digits", batch_size=8)
    size = -(-len(module.splits["val"]) // 7)
    parts = [module.eval_dataloader("val", size, rank=rank, num_replicas=processes) for rank in range(processes)]
    seen = [batch["index"] for part in parts for batch in part]
    assert len(seen) == 7
    assert torch.cat(seen).tolist() == list(range(len(module.splits["val"])))
