"""Centres start from k-means of the training features, at the right time and once."""

import torch
from sklearn.cluster import KMeans
from torch.testing import assert_close

from disentangle_bench.methods.base import stream_seed


def features_of(method, module):
    with torch.no_grad():
        features = method.eval().backbone(method.prepare(torch.from_numpy(module.splits["train"].images)))
    method.train()
    return features


def test_centres_are_k_means_of_the_clean_training_features(data, make, trainer):
    module = data()
    method = make("contrastive_clustering", module, start=0.0, num_clusters=4, lr=1e-12)
    features = features_of(method, module)
    fitting = trainer(max_epochs=1, limit_train_batches=1)
    fitting.fit(method, datamodule=module)
    reference = KMeans(4, n_init=10, random_state=stream_seed(0, "centers") % 2**32).fit(features.numpy())
    assert_close(method.centers.detach(), torch.from_numpy(reference.cluster_centers_))
    method.eval()
    q = method.embed(torch.from_numpy(module.splits["train"].images))["assignment"]
    assert q.shape == (160, 4)
    assert_close(q.sum(1), torch.ones(160))
    assert {"clusters/empty", "clusters/largest_share", "loss/anchor"} <= set(fitting.callback_metrics)
    assert float(fitting.callback_metrics["clusters/largest_share"]) >= 0.25
    assert method.forward_passes == 3 * 32 + 160


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


def test_centres_have_no_weight_decay(make, data):
    method = make("contrastive_clustering", data())
    decayed = [p for group in method.param_groups() if group["weight_decay"] for p in group["params"]]
    assert not any(p is method.centers for p in decayed)
    assert any(p is method.projector[0].weight for p in decayed)
