"""Measures that feed the encoder images of their own, or train on top of it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from disentangle_bench.evaluation import augmentation, protocol, sgd_probe
from disentangle_bench.evaluation.features import FeatureBank
from disentangle_bench.evaluation.measures import encoder as encoder_measures
from disentangle_bench.evaluation.measures.base import Space
from disentangle_bench.evaluation.measures.encoder import recovery, transforms
from disentangle_bench.evaluation.network import Network
from disentangle_bench.evaluation.transforms import TRANSFORMS, transforms_for
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


def test_a_sample_is_drawn_and_its_rows_are_told():
    _, encoder = network()
    rows = encoder.rows("test", 50)
    assert rows.tolist() == sorted(set(rows))
    assert not np.array_equal(rows, np.arange(50))
    assert not np.array_equal(rows, encoder.rows("test", 50, seed=1))
    (whole,) = encoder.load("test", [torch.from_numpy(rows)])
    assert torch.equal(encoder.sample("test", 50), whole["image"])


@pytest.mark.parametrize(
    "measure", [partial(transforms, images=50), partial(recovery, train_images=90, test_images=50)]
)
def test_the_mean_is_over_the_images_that_were_drawn(measure):
    features, encoder = network()
    found = measure(Space("features", features.features["features"], features.targets, encoder)).scores
    changes = [value for name, value in found.items() if name in TRANSFORMS]
    assert found["mean"] == pytest.approx(np.mean(changes))


def test_what_is_drawn_for_some_rows_is_drawn_for_no_others():
    """Images in blocks under the same noise would be closer to each other than they are."""
    grey, strengths = torch.full((4, 3, 8, 8), 0.5), np.full(8, 0.1, np.float32)
    first, again, second, other = (
        encoder_measures._change(TRANSFORMS["noise"], strengths, key, grey, slice(start, start + 4))
        for key, start in (((0,), 0), ((0,), 0), ((0,), 4), ((1,), 0))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


class Colour(nn.Module):
    """Tells the mean of each channel."""

    def embed(self, images):
        return {"features": images.float().mean((2, 3))}


def test_recovery_of_the_hue_knows_that_it_is_a_circle(monkeypatch):
    """Red, turned by half a turn to either side, is the same colour: a line through all turns would miss it."""
    red = torch.tensor([200, 60, 60], dtype=torch.uint8)[:, None, None].expand(300, 3, 4, 4)
    module, strengths = Colour(), {}

    def load(split, batches):
        return ({"image": red[rows]} for rows in batches)

    def encode_once(encoder, key, images, change=None):
        strengths[key] = change.args[1]
        return once(encoder, key, images, change)

    once = Network.encode_once
    monkeypatch.setattr(Network, "encode_once", encode_once)
    encoder = Network(module, module.embed, load, {"train": 300, "test": 300}, False)
    assert recovery(Space("features", {}, {}, encoder)).scores["hue"] > 0.9
    first = {tuple(np.round(values[:5] / np.abs(values).max(), 3)) for values in strengths.values()}
    assert len(first) == len(strengths) == 14, "training and test images share no strengths, nor do two changes"


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


@pytest.mark.parametrize("tuned", [False, True])
def test_a_classifier_is_trained_on_the_views_that_were_drawn_for_each_step_alone(tuned, monkeypatch):
    """In two epochs of 21 images, ten at a time: a batch of one has no statistics to learn by, but counts as a step."""
    _, encoder = network(21)
    draws, rates, modes, weights = [], [], [], []
    crops, step, head = augmentation.crops, torch.optim.SGD.step, sgd_probe._head
    monkeypatch.setattr(
        augmentation, "crops", lambda images, key, mirror: draws.append(key) or crops(images, key, mirror)
    )

    def stepped(optimizer, *given):
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *given)

    def watched(*given):
        made = head(*given)
        made.register_forward_hook(lambda *_: modes.append((made.training, encoder.module.training)))
        made.register_forward_hook(lambda *_: weights.append(encoder.module.linear.weight.detach().clone()))
        return made

    monkeypatch.setattr(torch.optim.SGD, "step", stepped)
    monkeypatch.setattr(sgd_probe, "_head", watched)
    space = protocol.Space("features", {}, {}, encoder)
    encoder_measures.trained_on(space, PATTERN[0], tune_encoder=tuned, epochs=2, batch_size=10, lr=0.1, seed=3)
    assert draws == [[3, number] for number in (1, 2, 4, 5)]
    assert rates == pytest.approx([0.05 * (1 + np.cos(np.pi * number / 6)) for number in (0, 1, 3, 4)])
    assert modes == [(True, tuned)] * 4 + [(False, False)]
    assert torch.equal(weights[0], weights[-1]) != tuned, "a frozen encoder stays, another learns"


def test_batches_of_each_epoch_are_all_images_in_an_order_of_its_own():
    _, encoder = network(23)
    taken = []
    watched = replace(encoder, load=lambda split, batches: taken.append(list(batches)))
    for epoch in (0, 1):
        watched.training_batches("train", 10, 0, epoch)
    assert [[len(batch) for batch in epoch] for epoch in taken] == [[10, 10, 3]] * 2
    assert [sorted(torch.cat(epoch).tolist()) for epoch in taken] == [list(range(23))] * 2
    assert taken[0][0].tolist() != taken[1][0].tolist()


def test_without_the_network_its_measures_say_so():
    features, _ = network(100)
    titles = [title for title, measure in protocol.MEASURES.items() if measure.name in NEED_ENCODER]
    for row in measured(features, titles, PATTERN).values():
        assert row["scores"] is None
        assert "needs the encoder itself" in row["reason"]
