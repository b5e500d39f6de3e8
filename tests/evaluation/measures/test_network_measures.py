"""Measures that feed the encoder images of their own, or train on top of it."""

import numpy as np
import pytest
import torch
from torch import nn

from disentangle_bench.evaluation import protocol
from disentangle_bench.evaluation.features import FeatureBank
from disentangle_bench.evaluation.network import Network
from disentangle_bench.evaluation.transforms import transforms_for
from tests.evaluation.measures.planted import NEED_ENCODER, PATTERN, measured, network, scores


def test_transforms_are_felt_where_the_encoder_looks():
    features, encoder = network()
    found = scores(features, "transforms@2", "", PATTERN, encoder)
    assert found["noise 0.05"] > 0.9
    assert found["blur 0.5"] > 0.95
    assert found["brightness 0.2"] < found["brightness 0.8"] < 1
    assert "hue" not in found  # grey images have none
    assert "hue" in transforms_for(torch.tensor([0, 1, 2], dtype=torch.uint8)[None, :, None, None])


def test_recovery_of_what_is_told_and_of_what_is_not():
    features, encoder = network()
    found = scores(features, "recovery@2", "", PATTERN, encoder)
    assert found["brightness"] > 0.95
    assert found["rotation"] < 0.05  # which leaves each half as bright as it was
    assert "hue" not in found
    assert found["mean"] == pytest.approx(np.mean([v for k, v in found.items() if k != "mean"]))


def test_noise_is_no_pattern_that_can_be_learnt():
    """On grey images of one brightness; a pattern that training and test images share would give its strength away."""
    images = torch.full((1300, 3, 8, 8), 128, dtype=torch.uint8)

    class Pixels(nn.Module):
        def embed(self, images):
            return {"features": images.float().flatten(1)}

    def load(split, batches):
        return ({"image": images[rows]} for rows in batches)

    module, splits = Pixels(), ("train", "val", "test")
    encoder = Network(module, module.embed, load, dict.fromkeys(splits, len(images)), False)
    flat = module.embed(images)["features"].numpy()
    y = {split: {"class": np.zeros(len(images), int)} for split in splits}
    found = scores(FeatureBank({"features": dict.fromkeys(splits, flat)}, y), "recovery@2", "", PATTERN, encoder)
    assert found["noise"] < 0.1


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
    titles = [title for title, measure in protocol.MEASURES.items() if measure.name in NEED_ENCODER]
    for row in measured(features, titles, PATTERN).values():
        assert row["scores"] is None
        assert "needs the encoder itself" in row["reason"]
