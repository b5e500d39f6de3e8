"""The view that a method trains on: all that training needs, and nothing else to be reached."""

import gc
import types

import numpy as np
import pytest
import torch

from disentangle_bench import datamodules
from disentangle_bench.datamodules.errors import DataMismatch
from tests.datamodules import published_files

NONE = frozenset()


def batches(module):
    return list(module.train_dataloader())


def same(first, second):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)


def reachable(root):
    """Every object that attributes and containers lead to."""
    beyond = (type, types.ModuleType, types.FunctionType, types.FrameType)
    seen, waiting = {}, [root]
    while waiting:
        found = waiting.pop()
        if id(found) not in seen and not isinstance(found, beyond):
            seen[id(found)] = found
            waiting += gc.get_referents(found)
    return list(seen.values())


@pytest.mark.parametrize("roles", [NONE, frozenset({"domain"}), frozenset({"content", "domain"})])
def test_batches_are_those_of_the_data_set_without_undeclared_targets(roles):
    module = datamodules.build("colored_digits", batch_size=64)
    view = module.training_view(roles)
    declared = {spec.key for spec in module.targets if spec.role in roles}
    whole = [{k: b[k] for k in {"image", "index"} | declared} for b in batches(module)]
    same(batches(view), whole)
    same(
        list(view.eval_dataloader("train", 100)),
        [{k: b[k] for k in {"image", "index"} | declared} for b in module.eval_dataloader("train", 100)],
    )
    assert set(view.splits) == {"train"}
    assert set(view.splits["train"].targets) == {spec.name for spec in view.targets}
    assert view.describe() == module.describe()
    assert (view.num_classes, view.image_shape) == (module.num_classes, module.image_shape)


@pytest.mark.parametrize("split", ["val", "test", "probe", "probe_val", "training"])
def test_other_splits_are_refused(split):
    view = datamodules.build("colored_digits").training_view(NONE)
    with pytest.raises(LookupError, match=r"sees the images it is trained on"):
        view.eval_dataloader(split)


def test_nothing_hidden_can_be_reached():
    module = datamodules.build("colored_digits", batch_size=64)
    view = module.training_view(frozenset({"domain"}))
    held = view.train_dataloader(), view.eval_dataloader("train")
    found = reachable((view, held))
    assert not any(thing is module or isinstance(thing, type(module)) for thing in found)
    arrays = [np.asarray(thing) for thing in found if isinstance(thing, (np.ndarray, torch.Tensor))]
    assert max(len(array) for array in arrays if array.ndim == 4) == len(module.training)
    for split in module.splits.values():
        for name, values in split.targets.items():
            declared = split is module.training and name == "color"
            assert any(np.array_equal(values, array) for array in arrays) == declared


def test_a_changed_description_stays_with_the_one_who_changed_it():
    view = datamodules.build("digits").training_view(NONE)
    view.describe()["targets"].clear()
    assert view.describe()["targets"]


@pytest.mark.parametrize("domains", [False, True])
def test_where_files_are_sorted_by_class_the_index_does_not_tell_it(class_folders, domains):
    folders = [f"{d}/{c}" for d in ("art", "photo") for c in ("cat", "dog")] if domains else ["cat", "dog"]
    root = class_folders(*folders, count=50)
    options = {"root": str(root), "domains": domains, "batch_size": 8}
    module = datamodules.build("image_folder", **options)
    view = module.training_view(NONE)
    order = module.training_order
    hidden = module.training.targets["class"][order]
    assert abs(np.corrcoef(np.arange(len(hidden)), hidden)[0, 1]) < 0.3
    position = np.arange(len(order))
    assert np.array_equal(view.training.take(position), module.training.take(order))
    labelled = module.training_view(frozenset({"content"}))
    assert np.array_equal(labelled.training.targets["class"], hidden)
    assert sorted(order) == position.tolist()
    assert np.array_equal(order, datamodules.build("image_folder", seed=3, **options).training_order)
    assert view.training.names is None
    assert view.training.name_of(3) == "image 3"


def test_a_stream_is_decoded_by_workers_through_the_view_too(class_folders):
    root = class_folders("a", "b", count=20)
    options = {"root": str(root), "batch_size": 4, "feed": "stream"}
    view = datamodules.build("image_folder", **options).training_view(NONE)
    assert view.train_dataloader().num_workers > 0
    memory = datamodules.build("image_folder", **options | {"feed": "memory"}).training_view(NONE)
    same(batches(datamodules.build("image_folder", num_workers=2, **options).training_view(NONE)), batches(memory))


@pytest.mark.parametrize("balance", [None, "color"])
def test_an_epoch_goes_on_where_it_was_stopped(balance):
    def view():
        return datamodules.build("colored_digits", batch_size=60, balance=balance).training_view(frozenset({"domain"}))

    whole = batches(view())
    begun = view()
    iterator = iter(begun.train_dataloader())
    next(iterator), next(iterator)
    resumed = view()
    resumed.load_state_dict(begun.state_dict())
    same(batches(resumed), whole[2:])


def test_batches_are_not_balanced_by_what_is_not_declared():
    module = datamodules.build("colored_digits", batch_size=60, balance="domain")
    with pytest.raises(DataMismatch, match=r"balance 'domain': .*'color' tell it to a method that doesn't declare"):
        module.training_view(NONE)
    with pytest.raises(DataMismatch, match="content targets"):
        module.check_batches("class", None, {"domain"})
    module.check_batches("class", None)
    assert len(torch.bincount(batches(module.training_view(frozenset({"domain"})))[0]["target/color"])) == 10


def test_a_role_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"content, style, domain, got \['class'\]"):
        datamodules.build("digits").training_view(frozenset({"class"}))


def test_stl10_is_encoded_whole_for_training(tmp_path):
    """Partitions and cluster centres are learnt from all that is trained on: each position once, none left at zero."""
    made = published_files.write_stl10(tmp_path / "given")
    module = datamodules.build("stl10", root=str(tmp_path / "given"), batch_size=6, val_fraction=0.25)
    for roles in (NONE, frozenset({"content"})):
        view = module.training_view(roles)
        seen = [batch for rank in range(2) for batch in view.eval_dataloader("train", 8, rank=rank, num_replicas=2)]
        assert torch.cat([batch["index"] for batch in seen]).tolist() == list(range(60))
        assert np.array_equal(torch.cat([batch["image"] for batch in seen])[30:], made["unlabeled"])
        assert view.describe()["num_train"] == 60
        assert sorted(torch.cat([batch["index"] for batch in view.train_dataloader()]).tolist()) == list(range(60))
    assert (torch.cat([batch["target/class"] for batch in seen])[30:] == -100).all()


def test_factors_cannot_be_read_off_a_row_number(tmp_path):
    published_files.write_dsprites(tmp_path / "given")
    module = datamodules.build("dsprites", root=str(tmp_path / "given"), batch_size=4)
    view = module.training_view(NONE)
    assert not np.array_equal(view.training.take(np.arange(5)), module.training.take(np.arange(5)))
    assert np.array_equal(view.training.take(np.arange(5)), module.training.take(module.training_order[:5]))


@pytest.mark.parametrize("name", ["colored_digits", "stl10"])
def test_what_is_trained_on_is_a_setting_apart_from_the_probes(name, tmp_path):
    """Test images and what probes learn on, are chosen on and scored on stay what they are."""
    made = {"root": str(tmp_path / "given"), "val_fraction": 0.25} if name == "stl10" else {}
    if made:
        published_files.write_stl10(tmp_path / "given")
    plain = datamodules.build(name, batch_size=6, pretrain_on="train", **made)
    extra = {"train": [], "train+val": ["val"], "all": ["val"]}
    if name == "stl10":
        extra |= {"train+unlabeled": ["unlabeled"], "all": ["val", "unlabeled"]}
    for chosen, more in extra.items():
        module = datamodules.build(name, batch_size=6, pretrain_on=chosen, **made)
        module.setup()
        splits = dict(module.splits) | {"unlabeled": module.unlabeled}
        view = module.training_view(NONE)
        expected = np.concatenate([splits[part].take(np.arange(len(splits[part]))) for part in ("train", *more)])
        assert np.array_equal(view.training.take(np.arange(len(view.training))), expected)
        assert view.describe()["num_train"] == len(expected)
        for split, images in plain.splits.items():
            assert np.array_equal(
                module.splits[split].take(np.arange(len(images))), images.take(np.arange(len(images)))
            )
            assert np.array_equal(module.splits[split].targets["class"], images.targets["class"])
        assert (module.fingerprint == plain.fingerprint) == (chosen == "train")


@pytest.mark.parametrize("chosen", ["train", "train+val"])
def test_mean_and_deviation_are_those_of_the_images_that_are_trained_on(chosen):
    module = datamodules.build("colored_digits", pretrain_on=chosen)
    images = module.training.take(np.arange(len(module.training))) / 255
    described = module.training_view(NONE).describe()
    assert described["mean"] == pytest.approx(images.mean((0, 2, 3)), abs=1e-6)
    assert described["std"] == pytest.approx(images.std((0, 2, 3)), abs=1e-6)


def test_images_that_are_not_there_are_not_trained_on():
    with pytest.raises(DataMismatch, match=r"pretrain_on 'train\+unlabeled': digits has no unlabelled images"):
        datamodules.build("digits", pretrain_on="train+unlabeled").setup()
    with pytest.raises(DataMismatch, match=r"pretrain_on 'test' is none of train, train\+val"):
        datamodules.build("digits", pretrain_on="test")
