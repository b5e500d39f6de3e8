"""No label reaches a method that did not declare its role, nor any image that is not for training.

Each way that leads there through the objects that a method is handed has its own hostile method here. One that reads
the files of the data set by itself is beyond this: a method is code.
"""

import gc
import types

import lightning as L
import numpy as np
import pytest
import torch

from disentangle_bench import datamodules, methods
from disentangle_bench.methods.base import Method
from disentangle_bench.methods.batches.firewall import FirewallBreachError, FirewalledBatch, LabelFirewallError

SELF_SUPERVISED = [name for name in methods.available() if methods.find(name).trains]


@pytest.fixture(scope="module")
def data():
    return datamodules.build("colored_digits", batch_size=16)


def fit(method: Method, data, view: bool = False) -> None:
    trainer = L.Trainer(
        max_steps=1,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        accelerator="cpu",
    )
    trainer.fit(method, datamodule=data.training_view(type(method).uses_targets) if view else data)


@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_only_declared_targets_reach_the_step(name, data, monkeypatch):
    cls, seen = methods.find(name), {}
    real_step = cls.training_step

    def spy(self, batch, batch_idx):
        seen.update(batch)
        return real_step(self, batch, batch_idx)

    monkeypatch.setattr(cls, "training_step", spy)
    fit(methods.build(name, image_shape=data.image_shape, data=data.describe()), data)
    roles = {"target/class": "content", "target/color": "domain"}
    assert {"image", "index"} <= seen.keys()
    assert {key for key in seen if key.startswith("target/")} == {k for k, r in roles.items() if r in cls.uses_targets}


@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_no_undeclared_label_goes_to_the_device(name, data):
    """Neither of this suite's batches, nor of a loader that has labels which the data set never described."""
    method = methods.build(name, image_shape=data.image_shape, data=data.describe())
    batch = next(iter(data.train_dataloader())) | {"target/other": torch.zeros(16)}
    roles = {"target/class": "content", "target/color": "domain"}
    sent = method.on_before_batch_transfer(batch, 0)
    assert {key for key in sent if key.startswith("target/")} == {
        k for k, r in roles.items() if r in method.uses_targets
    }


@pytest.mark.parametrize("read", [lambda batch: batch["target/class"], lambda batch: batch.get("target/class")])
def test_reading_an_undeclared_label_names_the_firewall_and_the_fix(read, data):
    class Peeking(Method):
        name, source = "peeking", "none"

        def training_step(self, batch, batch_idx):
            return read(batch)

    method = Peeking(image_shape=data.image_shape, data=data.describe())
    with pytest.raises(
        LabelFirewallError, match=r"label firewall.*'target/class'.*uses_targets = frozenset\(\{'content'\}\)"
    ):
        fit(method, data)


def test_a_batch_knows_its_positions_on_the_processor(data):
    class Looking(Method):
        name, source = "looking", "none"

        def training_step(self, batch, batch_idx):
            assert self.positions(batch) is batch.positions
            assert torch.equal(batch.positions, batch["index"])
            assert torch.equal(self.positions(dict(batch)), batch["index"])
            return self.backbone(self.prepare(batch["image"])).sum()

    fit(Looking(image_shape=data.image_shape, data=data.describe()), data, view=True)


def test_other_keys_behave_as_in_a_dict():
    batch = FirewalledBatch({"image": torch.zeros(1), "target/class": torch.ones(1)}, {"target/class": "content"}, "M")
    assert batch.get("target/other") is None
    assert "target/class" not in batch
    with pytest.raises(KeyError, match="nothing"):
        batch["nothing"]


def first_batch(loader):
    return next(iter(loader))


WAYS = {
    "the batch": lambda m, batch: batch["target/class"],
    "the batch's default": lambda m, batch: batch.get("target/class"),
    "the batch as a plain dict": lambda m, batch: dict(batch)["target/class"],
    "the data module's training split": lambda m, batch: m.trainer.datamodule.splits["train"].targets["class"],
    "its test split": lambda m, batch: m.trainer.datamodule.splits["test"].targets["class"],
    "its test images": lambda m, batch: m.trainer.datamodule.splits["test"].images,
    "its validation images": lambda m, batch: first_batch(m.trainer.datamodule.eval_dataloader("val")),
    "what it trains on": lambda m, batch: m.trainer.datamodule.training.targets["class"],
    "what it has loaded": lambda m, batch: m.trainer.datamodule._loaded,
    "loading again": lambda m, batch: m.trainer.datamodule.load(),
    "another training loader": lambda m, batch: first_batch(m.trainer.datamodule.train_dataloader())["target/class"],
    "a loader in order": lambda m, batch: first_batch(m.trainer.datamodule.eval_dataloader("train"))["target/class"],
    "the trainer's loader": lambda m, batch: first_batch(m.trainer.train_dataloader)["target/class"],
    "its data set": lambda m, batch: m.trainer.train_dataloader.dataset[torch.arange(4)]["target/class"],
    "its data set's split": lambda m, batch: m.trainer.train_dataloader.dataset.split.targets["class"],
    "the fit loop's source": lambda m, batch: m.trainer.fit_loop._data_source.instance.splits["test"],
    "the fit loop's loaders": lambda m, batch: m.trainer.fit_loop._combined_loader.flattened[0].dataset.targets[
        "target/class"
    ],
    "a wider declaration": lambda m, batch: setattr(m, "uses_targets", frozenset({"content", "domain"})),
    "a wider declaration of the class": lambda m, batch: setattr(type(m), "uses_targets", frozenset({"content"})),
    "hiding nothing": lambda m, batch: setattr(m, "hidden_targets", {}),
    "hiding nothing, by the class": lambda m, batch: setattr(type(m), "hidden_targets", {}),
    "another hook": lambda m, batch: setattr(m, "on_after_batch_transfer", lambda batch, index: batch),
    "another hook of the class": lambda m, batch: setattr(type(m), "on_before_batch_transfer", lambda *a: a[1]),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_to_a_label_or_an_image_that_is_not_for_training(way, data):
    class Hostile(Method):
        name, source = "hostile", "none"
        reached = None

        def training_step(self, batch, batch_idx):
            type(self).reached = WAYS[way](self, batch)
            return self.backbone(self.prepare(batch["image"])).sum()

    with pytest.raises((LookupError, AttributeError, FirewallBreachError)):
        fit(Hostile(image_shape=data.image_shape, data=data.describe()), data, view=True)
    assert Hostile.reached is None


def reachable(root: object) -> list[object]:
    """Every object that attributes, containers and closures lead to; not what a function's module knows."""
    beyond = (type, types.ModuleType, types.FrameType, types.TracebackType)
    seen, waiting = {}, [root]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, beyond):
            continue
        seen[id(found)] = found
        if isinstance(found, types.FunctionType):
            waiting += [*(found.__closure__ or ()), *(found.__defaults__ or ())]
        else:
            waiting += gc.get_referents(found)
    return list(seen.values())


@pytest.mark.timeout(0)  # whose handler knows the fixtures, and Lightning keeps the handlers of all signals
@pytest.mark.parametrize("roles", [frozenset(), frozenset({"domain"})])
def test_nothing_that_a_trainer_leads_to_holds_undeclared_labels_or_other_images(roles, data):
    class Looking(Method):
        name, source, uses_targets = "looking", "none", roles
        arrays = ()

        def training_step(self, batch, batch_idx):
            found = reachable(self.trainer)
            type(self).arrays = [o for o in found if isinstance(o, np.ndarray)]
            type(self).arrays += [o.detach().numpy() for o in found if isinstance(o, torch.Tensor)]
            return self.backbone(self.prepare(batch["image"])).sum()

    fit(Looking(image_shape=data.image_shape, data=data.describe()), data, view=True)
    role_of = {spec.name: spec.role for spec in data.targets}
    images, labels = [a for a in Looking.arrays if a.ndim == 4], [a for a in Looking.arrays if a.ndim == 1]
    assert max(map(len, images)) == len(data.training)
    for split in data.splits.values():
        for target, values in split.targets.items():
            found = any(np.array_equal(values, array) for array in labels)
            assert found == (split is data.training and role_of[target] in roles), target


HOOKS = ["on_before_batch_transfer", "on_after_batch_transfer", "hidden_targets", "__setattr__"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_class_that_overrides_the_firewall_is_refused(hook):
    with pytest.raises(FirewallBreachError, match=f"Direct overrides {hook}, which belongs to the label firewall"):
        type(Method)("Direct", (Method,), {hook: lambda self, *args: args[0]})
    mixin = type("Mixin", (), {hook: lambda self, *args: args[0]})
    with pytest.raises(FirewallBreachError, match="Mixed overrides"):
        type(Method)("Mixed", (mixin, methods.find("simclr")), {})


@pytest.mark.parametrize("declared", [{"content"}, "content", property(lambda self: frozenset())])
def test_only_a_frozen_set_of_roles_is_a_declaration(declared):
    with pytest.raises(FirewallBreachError, match="uses_targets must be a frozenset of roles"):
        type(Method)("Odd", (Method,), {"uses_targets": declared})


def test_a_role_that_is_none_is_named():
    with pytest.raises(FirewallBreachError, match="uses_targets names 'class'; roles are content, domain, style"):
        type(Method)("Odd", (Method,), {"uses_targets": frozenset({"class", "domain"})})


def test_a_refused_class_is_no_method_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "own_breach.py").write_text(
        "from disentangle_bench.methods.base import Method\n"
        "class Breach(Method):\n    def on_after_batch_transfer(self, batch, i):\n        return batch\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LookupError, match=r"no method at 'own_breach\.Breach': .*Breach overrides on_after_"):
        methods.find("own_breach.Breach")
