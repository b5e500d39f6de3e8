"""When partitions are found, on what, and what is kept of them."""

import pytest
import torch
from torch.testing import assert_close

from disentangle_bench.methods import ip_irm
from disentangle_bench.methods.batches import training_split
from disentangle_bench.methods.ip_irm import IPIRM


@pytest.fixture
def found(monkeypatch):
    """Epochs at which a partition was found, with the training state of the encoder then and after."""
    calls, original = [], IPIRM.find_partition

    def record(self):
        before = {key: value.clone() for key, value in self.state_dict().items()}
        result = original(self)
        unchanged = all(torch.equal(value, before[key]) for key, value in self.state_dict().items())
        calls.append((self.current_epoch, self.global_step, unchanged, self.training and self.backbone.training))
        return result

    monkeypatch.setattr(IPIRM, "find_partition", record)
    return calls


@pytest.mark.parametrize(("retain", "kept"), [(None, 3), (1, 1), (2, 2)])
def test_partitions_come_before_training_and_then_every_so_many_epochs(data, make, trainer, found, retain, kept):
    module = data()
    method = make("ip_irm", module, partition_every=2, partition_epochs=2, retain=retain)
    fitting = trainer(max_epochs=5, limit_train_batches=1, val_check_interval=1)
    fitting.fit(method, datamodule=module)
    assert found == [(0, 0, True, True), (2, 2, True, True), (4, 4, True, True)]
    assert len(method.partitions) == kept
    assert all(logits.shape == (160, 2) for logits in method.partitions)
    assert method.forward_passes == 5 * 2 * 32 + 3 * 2 * 160  # two views a step, two of the whole split a partition
    sizes = [float(fitting.callback_metrics[f"partition/size_{k}"]) for k in range(2)]
    assert sizes == method.partitions[-1].argmax(1).bincount(minlength=2).tolist()
    assert fitting.callback_metrics["partition/risk"].isfinite()


def test_partitions_use_fresh_views_and_no_label(data, make, trainer, monkeypatch):
    module = data(keep=64)

    class OnlyImages(dict):
        def __getitem__(self, key):
            assert key in ("image", "index"), f"the partition looked at {key}"
            return super().__getitem__(key)

    loader = training_split.DataLoader
    monkeypatch.setattr(training_split, "DataLoader", lambda *a, **k: map(OnlyImages, loader(*a, **k)))
    method, seen = make("ip_irm", module, partition_every=1, partition_epochs=2), []
    original = method._two_codes
    monkeypatch.setattr(
        method, "_two_codes", lambda image, generator: seen.append(generator.get_state()) or original(image, generator)
    )
    trainer(limit_train_batches=1).fit(method, datamodule=module)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert len(first) == len(second) > 0
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(*method.partitions)


def test_a_run_without_a_data_module_says_what_is_missing(data, make, trainer):
    module = data()
    with pytest.raises(RuntimeError, match="needs all training images between its steps"):
        trainer(max_epochs=1).fit(make("ip_irm", module), module.train_dataloader())


@pytest.mark.parametrize("mixup", [False, True])
def test_subsets_without_or_with_one_image_are_no_obstacle(data, make, trainer, monkeypatch, mixup):
    module = data(batch_size=8)
    method = make("ip_irm", module, num_subsets=3, mixup=mixup)
    lonely = torch.zeros(160, 3)
    lonely[:, 0], lonely[0, 1] = 1.0, 2.0
    monkeypatch.setattr(method, "find_partition", lambda: (lonely, 0.0))
    trainer(max_epochs=1).fit(method, datamodule=module)
    assert all(value.isfinite().all() for value in method.state_dict().values())


def test_partitions_are_broadcast_from_the_first_process(data, make, trainer, monkeypatch):
    module = data()
    method, fitting = make("ip_irm", module, partition_epochs=2), trainer(max_epochs=1, limit_train_batches=1)
    sent = torch.arange(320.0).view(160, 2)
    monkeypatch.setattr(ip_irm, "from_first", lambda value: sent)
    fitting.fit(method, datamodule=module)
    assert_close(method.partitions[0], sent)


def test_a_random_partition_costs_no_pass_over_the_images(data, make, trainer):
    module = data()
    method = make("ip_irm", module, partition_every=1, partition_epochs=0)
    trainer(max_epochs=2, limit_train_batches=1).fit(method, datamodule=module)
    first, second = method.partitions
    assert first.shape == (160, 2)
    assert not torch.equal(first, second)
    assert method.forward_passes == 2 * 2 * 32
    again = make("ip_irm", module, partition_every=1, partition_epochs=0)
    trainer(max_epochs=1, limit_train_batches=1).fit(again, datamodule=module)
    assert torch.equal(again.partitions[0], first)


def test_each_image_of_a_batch_goes_by_its_own_subset(data, make, trainer, monkeypatch):
    module, given = data(), []
    method = make("ip_irm", module)
    logits = torch.nn.functional.one_hot(torch.arange(160) * 7 % 160 // 80, 2).float()
    monkeypatch.setattr(method, "find_partition", lambda: (logits, 0.0))
    monkeypatch.setattr(ip_irm, "invariant_loss", lambda z1, z2, subsets, **_: given.extend(subsets) or z1.sum())
    step = method.training_step
    monkeypatch.setattr(
        method, "training_step", lambda batch, batch_idx: given.append(batch["index"]) or step(batch, batch_idx)
    )
    trainer(max_epochs=1, limit_train_batches=2).fit(method, datamodule=module)
    assert len(given) == 4
    for index, subset in zip(given[::2], given[1::2], strict=True):
        assert_close(subset, index * 7 % 160 // 80)


def test_all_partitions_found_so_far_are_in_the_checkpoint(data, make):
    """A run that is resumed after the third goes on with three: two epochs of a test have found but one by then."""
    module, checkpoint = data(), {}
    method, resumed = make("ip_irm", module), make("ip_irm", module)
    method.partitions, method.partitioned_epoch = list(torch.randn(3, 160, 2)), 20
    method.on_save_checkpoint(checkpoint)
    resumed.on_load_checkpoint(checkpoint)
    assert_close(resumed.partitions, method.partitions)
    assert resumed.partitioned_epoch == 20
