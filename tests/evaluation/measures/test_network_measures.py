"""Measures that feed the encoder images of their own, or train on top of it."""

import numpy as np
import pytest
import torch

from disentangle_bench.evaluation import protocol
from tests.evaluation.measures.planted import NEED_ENCODER, PATTERN, measured, network, scores


def test_transforms_are_felt_where_the_encoder_looks():
    features, encoder = network()
    found = scores(features, "transforms@1", "", PATTERN, encoder)
    assert found["noise 0.05"] > 0.9
    assert found["blur 0.5"] > 0.95
    assert found["brightness 0.2"] < found["brightness 0.8"] < 1
    assert found["hue"] > 0.9  # grey images have none


def test_recovery_of_what_is_told_and_of_what_is_not():
    features, encoder = network()
    found = scores(features, "recovery@1", "", PATTERN, encoder)
    assert found["brightness"] > 0.95
    assert found["hue"] < 0.05
    assert found["mean"] == pytest.approx(np.mean([v for k, v in found.items() if k != "mean"]))


def test_alignment_is_nought_for_an_encoder_that_sees_nothing():
    features, encoder = network()
    seen = scores(features, "alignment@1", "", PATTERN, encoder)["alignment"]
    encoder.module.linear.weight.data[:, :2] = 0
    encoder._known.clear()
    assert scores(features, "alignment@1", "", PATTERN, encoder)["alignment"] == pytest.approx(0, abs=1e-12)
    assert seen > 0.01


@pytest.mark.parametrize("title", ["linear_augmented@1", "linear_ip_irm@1", "finetune@1"])
def test_training_on_top_leaves_the_encoder_as_it_was(title, monkeypatch):
    features, encoder = network(200)
    short = protocol.MEASURES[title].run.func
    keywords = protocol.MEASURES[title].run.keywords | {"epochs": 8, "batch_size": 50}
    keywords |= {"lr": 0.05} if title == "linear_ip_irm@1" else {}  # 32 steps instead of 1,000
    before = {name: value.clone() for name, value in encoder.module.state_dict().items()}
    encoder.module.train()
    space = protocol.Space("features", features.features["features"], features.targets, encoder)
    state = torch.get_rng_state()
    found, again = (short(space, PATTERN[0], **keywords) for _ in range(2))
    assert found.scores == again.scores
    assert found.scores["top1"] > 0.9
    assert torch.equal(state, torch.get_rng_state())
    assert encoder.module.training
    after = encoder.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.requires_grad and p.grad is None for p in encoder.module.parameters())


def test_without_the_network_its_measures_say_so():
    features, _ = network(100)
    for row in measured(features, [f"{name}@1" for name in sorted(NEED_ENCODER)], PATTERN).values():
        assert row["scores"] is None
        assert "needs the encoder itself" in row["reason"]
