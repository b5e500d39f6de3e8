"""What every data set promises, by name."""

import inspect

import jsonargparse
import numpy as np
import pytest
import torch

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import DataNotFound, ImageDataModule, Split

NAMES = [
    *("digits", "colored_digits", "sprites", "mnist", "fashion_mnist", "colored_mnist", "colored_fashion_mnist"),
    *("cifar10", "cifar100", "stl10", "tiny_imagenet", "imagenet", "image_folder", "pacs"),
    *("imagenet10", "imagenet_dogs", "imagenet100"),
    *("dsprites", "shapes3d", "smallnorb", "cars3d", "celeba", "edges2shoes"),
    *("mpi3d", "causal3dident", "3diebench", "waterbirds"),
]
IN_PACKAGE = ("digits", "colored_digits", "sprites")


@pytest.fixture(autouse=True)
def _no_system_data(monkeypatch):
    monkeypatch.setattr("disentangle_bench.datamodules.datasets.mnist.FashionMNIST.SYSTEM", ())


def test_all_names_are_there():
    assert set(NAMES) <= set(datamodules.available())


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_documents_itself(name):
    cls = datamodules.find(name)
    assert cls.name == name
    for text in (cls.source, cls.layout, cls.licence):
        assert len(text) >= 3
        assert "\n" not in text
    assert inspect.getdoc(cls) != inspect.getdoc(ImageDataModule)


@pytest.mark.parametrize("name", NAMES)
def test_options_are_typed_for_the_command_line(name):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(datamodules.find(name), "data")
    values = parser.parse_args(["--data.batch_size=16", "--data.shift=leave_out:x", "--data.balance=class"])
    assert values.data.batch_size == 16
    with pytest.raises(jsonargparse.ArgumentError):
        parser.parse_args(["--data.batch_size=none"])
    helped = parser.format_help()
    assert "domains_per_batch" in helped
    if name not in IN_PACKAGE:
        assert "DISENTANGLE_BENCH_CACHE" in helped


@pytest.mark.parametrize("name", [name for name in NAMES if name not in IN_PACKAGE])
def test_missing_data_say_what_to_get_and_where_to_put_it(name, tmp_path):
    module = datamodules.build(name)
    with pytest.raises(DataNotFound) as caught:
        module.load()
    message = str(caught.value)
    assert "\n" not in message
    name_of_files = getattr(module, "published_as", None) or name
    for part in (name_of_files, module.source, module.layout, str(tmp_path / "data" / name_of_files)):
        assert part in message
    with pytest.raises(DataNotFound, match="nowhere: no such folder"):
        datamodules.build(name, root=str(tmp_path / "nowhere")).load()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataNotFound, match=f"empty: {name_of_files} is not in there"):
        datamodules.build(name, root=str(tmp_path / "empty")).load()
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]  # nothing has been written


@pytest.mark.parametrize("name", IN_PACKAGE)
def test_batches(name):
    module = datamodules.build(name, batch_size=32)
    batch = next(iter(module.train_dataloader()))
    assert batch["image"].dtype == torch.uint8
    assert batch["image"].shape == (32, *module.image_shape)
    assert batch["index"].dtype == torch.int64
    assert set(batch) == {"image", "index", *(spec.key for spec in module.targets)}
    split: Split = module.splits["train"]
    positions = batch["index"].numpy()
    assert np.array_equal(batch["image"].numpy(), split.take(positions))
    for spec in module.targets:
        values = batch[spec.key]
        assert np.allclose(values.numpy(), split.targets[spec.name][positions])
        assert values.dtype == (torch.int64 if spec.discrete else torch.float32)
        if spec.discrete:
            assert 0 <= values.min() <= values.max() < spec.size
    assert sum(len(b["index"]) for b in module.eval_dataloader("val")) == len(module.splits["val"])


def test_the_batch_is_shared_out_over_devices_and_must_divide():
    class Trainer:
        global_rank, world_size = 1, 2

    whole, part = datamodules.build("digits", batch_size=32), datamodules.build("digits", batch_size=32)
    part.trainer = Trainer()
    one, half = next(iter(whole.train_dataloader())), next(iter(part.train_dataloader()))
    assert torch.equal(one["index"][16:], half["index"])
    odd = datamodules.build("digits", batch_size=33)
    odd.trainer = Trainer()
    with pytest.raises(ValueError, match="not a multiple of the 2 devices"):
        odd.train_dataloader()
