"""No label reaches a training step that did not declare its role."""

import lightning as L
import pytest
import torch

from disentangle_bench import datamodules, methods
from disentangle_bench.methods.base import FirewalledBatch, LabelFirewallError, Method

SELF_SUPERVISED = [name for name in methods.available() if methods.find(name).trains]


@pytest.fixture(scope="module")
def data():
    return datamodules.build("colored_digits", batch_size=16)


def fit(method: Method, data) -> None:
    trainer = L.Trainer(
        max_steps=1,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        accelerator="cpu",
    )
    trainer.fit(method, datamodule=data)


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


def test_other_keys_behave_as_in_a_dict():
    batch = FirewalledBatch({"image": torch.zeros(1), "target/class": torch.ones(1)}, {"target/class": "content"}, "M")
    assert batch.get("target/other") is None
    assert "target/class" not in batch
    with pytest.raises(KeyError, match="nothing"):
        batch["nothing"]
