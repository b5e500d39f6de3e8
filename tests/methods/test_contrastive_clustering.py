"""Centres start from k-means of the training features, at the right time and once."""

import copy

import pytest
import torch
from torch.testing import assert_close

from disentangle_bench.methods import contrastive_clustering
from disentangle_bench.methods.base import stream_seed
from disentangle_bench.methods.objectives.kmeans import kmeans


def features_of(method, module, batches):
    """As the encoder gives them in train mode for these batches, or in eval mode; its running statistics stay."""
    images, state = torch.from_numpy(module.splits["train"].images), copy.deepcopy(method.state_dict())
    features = torch.zeros(len(images), method.num_features)
    with torch.no_grad():
        for rows in batches:
            features[rows] = method.backbone(method.prepare(images[rows]))
    method.load_state_dict(state)
    method.forward_passes = 0
    return features


def test_centres_are_k_means_of_the_clean_training_features(data, make, trainer, monkeypatch):
    """At the start in train mode, by random batches of which each image is in one; later in eval mode."""
    module, seed = data(), stream_seed(0, "centers")
    method = make("contrastive_clustering", module, start=0.0, num_clusters=4, lr=1e-12)
    order = torch.randperm(160, generator=torch.Generator().manual_seed(seed))
    features = features_of(method, module, order.split(10))
    fitting = trainer(max_epochs=1, limit_train_batches=1)
    fitting.fit(method, datamodule=module)
    assert_close(method.centers.detach(), kmeans(features, 4, torch.Generator().manual_seed(seed)))
    method.eval()
    q = method.embed(torch.from_numpy(module.splits["train"].images))["assignment"]
    assert q.shape == (160, 4)
    assert_close(q.sum(1), torch.ones(160))
    assert {"clusters/empty", "clusters/largest_share", "loss/anchor"} <= set(fitting.callback_metrics)
    assert float(fitting.callback_metrics["clusters/largest_share"]) >= 0.25
    assert method.forward_passes == 3 * 32 + 160

    monkeypatch.setattr(contrastive_clustering, "CALIBRATED", 0)
    later = make("contrastive_clustering", module, start=0.0, num_clusters=4, lr=1e-12)
    features = features_of(later.eval(), module, [torch.arange(160)])
    trainer(max_epochs=1, limit_train_batches=1).fit(later.train(), datamodule=module)
    assert_close(later.centers.detach(), kmeans(features, 4, torch.Generator().manual_seed(seed)))


def test_from_the_start_no_cluster_takes_most_images_and_none_is_empty(data, make, trainer):
    """Centres of features in eval mode of an untrained encoder lie elsewhere than those that training compares with."""
    module = data(batch_size=128, keep=None, correlation=0.0)
    method = make("contrastive_clustering", module, start=0.0, lr=1e-12)
    running = [value.clone() for name, value in method.named_buffers() if "running" in name]
    encode = method.encode_training_split

    def spy(*args, **kwargs):
        features = encode(*args, **kwargs)
        kept = [value for name, value in method.named_buffers() if "running" in name]
        assert all(torch.equal(a, b) for a, b in zip(running, kept, strict=True))
        assert not [name for name, part in method.named_modules() if not part.training]
        return features

    method.encode_training_split = spy
    fitting = trainer(max_epochs=1)
    fitting.fit(method, datamodule=module)
    assert float(fitting.callback_metrics["clusters/empty"]) == 0
    assert float(fitting.callback_metrics["clusters/largest_share"]) < 0.35


def test_cluster_losses_wait_for_the_start(data, make, trainer):
    module = data()
    method = make("contrastive_clustering", module, start=0.5)
    started = []

    def step(batch, batch_idx, original=method.training_step):
        started.append(bool(method.started))
        return original(batch, batch_idx)

    method.training_step = step
    trainer(limit_train_batches=4).fit(method, datamodule=module)
    assert started == [False] * 4 + [True] * 4


def test_adam_has_counted_no_step_of_the_centres_before_there_were_any(data, make, trainer):
    """Its bias correction would be over, and the first steps several times as long as the learning rate."""
    method = make("contrastive_clustering", module := data(), start=0.5)
    fitting = trainer(limit_train_batches=4)
    fitting.fit(method, datamodule=module)
    counted = {name: int(fitting.optimizers[0].state[value]["step"]) for name, value in method.named_parameters()}
    assert counted.pop("centers") == 4
    assert set(counted.values()) == {8}


def test_a_cluster_without_an_image_is_counted(data, make, trainer):
    module = data()
    method = make("contrastive_clustering", module, num_clusters=3)
    fitting = trainer(max_epochs=1, limit_train_batches=1)
    with torch.no_grad():
        method.centers[:2] = 1e4
        method.centers[2] = 0.0
    method.started.fill_(True)
    fitting.fit(method, datamodule=module)
    assert float(fitting.callback_metrics["clusters/empty"]) == 2
    assert float(fitting.callback_metrics["clusters/largest_share"]) == 1


def test_a_start_that_never_comes_is_refused(data, make):
    with pytest.raises(ValueError, match=r"start is 1, but centres .* must be below 1"):
        make("contrastive_clustering", data(), start=1.0)


def test_centres_have_no_weight_decay(make, data):
    method = make("contrastive_clustering", data())
    decayed = [p for group in method.param_groups() if group["weight_decay"] for p in group["params"]]
    assert not any(p is method.centers for p in decayed)
    assert any(p is method.projector[0].weight for p in decayed)
