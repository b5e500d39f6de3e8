"""k-means: as good as scikit-learn's, the same in pieces, and no cluster stays empty."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from disentangle_bench.methods.objectives import kmeans as module
from disentangle_bench.methods.objectives.kmeans import kmeans, lloyd, spread_out


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def spread(features, centers):
    return float(torch.cdist(features, centers).amin(1).square().sum())


@pytest.fixture(scope="module")
def digits():
    return torch.from_numpy(load_digits().data.astype(np.float32))


def test_as_good_as_scikit_learns(digits):
    ours = [spread(digits, kmeans(digits, 10, generator(seed))) for seed in range(3)]
    theirs = KMeans(10, n_init=10, random_state=0).fit(digits.numpy()).inertia_
    assert max(ours) < 1.002 * theirs


def test_iterations_from_the_same_centres_are_scikit_learns(digits):
    start = digits[:10]
    ours, _ = lloyd(digits, start, 300, torch.tensor(0.0))
    theirs = KMeans(10, init=start.numpy(), n_init=1, tol=0.0).fit(digits.numpy()).cluster_centers_
    torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-4, atol=1e-3)


def test_pieces_change_nothing(digits, monkeypatch):
    whole = kmeans(digits, 10, generator(), starts=2)
    assert torch.equal(whole, kmeans(digits, 10, generator(), starts=2))
    monkeypatch.setattr(module, "PIECE", 10 * 100)
    torch.testing.assert_close(kmeans(digits, 10, generator(), starts=2), whole, rtol=1e-4, atol=1e-3)


def test_starts_are_compared_on_a_part_and_all_images_are_learnt_from(digits, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "IMAGES_A_CLUSTER", 30)
    monkeypatch.setattr(module, "lloyd", lambda part, *rest: seen.append(len(part)) or lloyd(part, *rest))
    centers = kmeans(digits, 10, generator())
    assert seen == [300] * 10 + [len(digits)]
    assert spread(digits, centers) < 1.02 * KMeans(10, n_init=10, random_state=0).fit(digits.numpy()).inertia_


def test_a_cluster_without_images_starts_again_from_the_one_that_is_worst_off():
    features = torch.tensor([[5.0], [6.0], [15.0]])
    centers, _ = lloyd(features, torch.tensor([[5.5], [100.0], [200.0]]), 50, torch.tensor(0.0))
    assert centers.flatten().sort().values.tolist() == [5.0, 6.0, 15.0]


def test_starts_lie_apart():
    features = torch.cat([torch.zeros(1000, 2), torch.full((1, 2), 50.0), torch.full((1, 2), -50.0)])
    for seed in range(5):
        assert len(spread_out(features, 3, generator(seed)).unique(dim=0)) == 3


def test_half_precision_and_too_few_images(digits):
    assert kmeans(digits.bfloat16(), 10, generator(), starts=1).dtype == torch.float32
    with pytest.raises(ValueError, match="features is"):
        kmeans(digits[:3], 10, generator())
