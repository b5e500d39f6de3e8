"""Leakage, alignment, uniformity and transform invariance: figures, closed forms, undefined cases."""

import sys

import numpy as np
import pytest
import torch

from disentangle_bench.evaluation.metrics import MetricUndefined
from disentangle_bench.evaluation.metrics.invariance import (
    adversaries,
    alignment,
    domain_leakage,
    transform_invariance,
    uniformity,
)


def domains(share: float = 0.75, n: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 6)), (rng.uniform(size=n) > share).astype(int)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_domain_leakage_is_one_when_the_domain_is_there_and_zero_at_chance():
    x, d = domains()
    told = np.c_[x, d * 10]
    scores = domain_leakage(told[:500], d[:500], told[500:], d[500:], num_domains=2)
    assert scores["linear"] == scores["mlp"] == scores["normalized"] == scores["strongest"] == 1
    assert scores["chance"] == max((d[500:] == 0).mean(), (d[500:] == 1).mean())
    scores = domain_leakage(x[:500], d[:500], x[500:], d[500:], num_domains=2)
    assert scores["normalized"] < 0.03
    assert scores["linear"] == pytest.approx(scores["chance"], abs=0.02)
    assert scores["strongest"] >= scores["chance"]


def test_domain_leakage_is_of_the_strongest_adversary_on_a_scale_above_chance():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3))
    d = (x[:, 0] * x[:, 1] > 0).astype(int)
    scores = domain_leakage(x[:3000], d[:3000], x[3000:], d[3000:], num_domains=2)
    assert scores["linear"] < 0.6 < 0.9 < scores["mlp"]
    assert scores["strongest"] == (scores["mlp"], scores["knn"])[int(scores["adversary"]) - 1]
    assert scores["normalized"] == pytest.approx((scores["strongest"] - scores["chance"]) / (1 - scores["chance"]))
    rows = np.arange(3000, 4000)  # small balls of one domain each: only neighbours see them
    spots = rng.normal(size=(200, 2)) * 10
    which = rng.integers(200, size=4000)
    x, d = spots[which] + 0.001 * rng.normal(size=(4000, 2)), (which * 7919 % 200) % 2
    found = domain_leakage(x[:3000], d[:3000], x[rows], d[rows], num_domains=2)
    assert (found["adversary"], found["knn"], found["normalized"]) == (2, 1, 1)


def test_the_adversary_is_picked_by_the_weighted_validation_samples_and_its_curve_is_of_parts(monkeypatch):
    """Each adversary here names other samples right; what they do on the test samples picks none of them."""
    x, d = np.zeros((80, 2)) + np.arange(80)[:, None], np.arange(80) % 2
    val, test = slice(40, 60), slice(60, 80)
    wrong = {
        "linear": (slice(0, 8), slice(0, 0)),
        "mlp": (slice(8, 14), slice(0, 4)),
        "knn": (slice(8, 20), slice(0, 2)),
    }
    rows = {name: [] for name in wrong}

    def named(truth, turned):
        guess = truth.copy()
        guess[turned] = 1 - guess[turned]
        return guess

    def adversary(name):
        def answer(task):
            rows[name].append(len(task.x))
            return adversaries.Predictions(*map(named, (d[val], d[test]), wrong[name]))

        return answer

    for name in wrong:
        monkeypatch.setitem(adversaries.ADVERSARIES, name, adversary(name))
    options = {"num_domains": 2, "val": (x[val], d[val])}
    found = domain_leakage(x[:40], d[:40], x[test], d[test], **options)
    assert (found["adversary"], found["strongest"], found["normalized"]) == (1, 0.8, pytest.approx(0.6))
    assert {name: counts[1:] for name, counts in rows.items()} == {"linear": [], "mlp": [10, 20], "knn": []}
    first = np.where(np.arange(20) < 8, 9.0, 1.0)  # on which the linear one alone is wrong
    heavy = domain_leakage(x[:40], d[:40], x[test], d[test], **options, weights=(None, 10 - first, None))
    assert heavy["adversary"] == 0


def test_every_adversary_heeds_the_weights_that_it_learns_under():
    """Of two kinds of rows one in five is of domain 1; among the first kind it has four fifths of the weight."""
    kind, d = np.arange(1800) % 2, (np.arange(1800) // 2 % 5 == 4).astype(int)
    x, weights = np.eye(2)[kind], np.where((kind == 0) & (d == 1), 16.0, 1.0)
    fit, val, test = slice(0, 1000), slice(1000, 1400), slice(1400, 1800)
    options = {"num_domains": 2, "val": (x[val], d[val]), "weights": tuple(weights[part] for part in (fit, val, test))}
    found = domain_leakage(x[fit], d[fit], x[test], d[test], **options)
    assert [found[name] for name in ("linear", "mlp", "knn")] == pytest.approx([0.8] * 3)
    assert found["chance"] == pytest.approx((4 * 0.8 + 0.2) / 5)


def hidden_hue(kind, count, seed=0):
    """A hue of ten behind a random network of two layers of width 64: [N, 64] and int [N]."""
    rng = np.random.default_rng(seed)
    hue = rng.integers(10, size=count)
    angle = 2 * np.pi * (hue + (rng.uniform(-0.45, 0.45, count) if kind == "jittered angle" else 0)) / 10
    raw = np.eye(10)[hue] if kind == "one-hot" else np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if kind == "among others":
        raw = np.concatenate([2 * raw, rng.normal(size=(count, 8))], axis=1)
    network = np.random.default_rng(5)
    first, bias = network.normal(size=(raw.shape[1], 64)) / np.sqrt(raw.shape[1]), network.normal(size=64) / 2
    return np.maximum(raw @ first + bias, 0) @ network.normal(size=(64, 64)) / 8, hue


@pytest.mark.parametrize(
    ("kind", "count"),
    [(kind, 1500) for kind in ("one-hot", "angle", "jittered angle", "among others")]
    + [("among others", 10_000)]  # the hardest
    + [pytest.param(kind, 10_000, marks=pytest.mark.slow) for kind in ("one-hot", "angle", "jittered angle")],
)
def test_a_hue_behind_a_random_network_is_found(kind, count):
    x, d = hidden_hue(kind, count + 500 + 1000)
    test, val = slice(count + 500, None), slice(count, count + 500)
    scores = domain_leakage(x[:count], d[:count], x[test], d[test], num_domains=10, val=(x[val], d[val]))
    assert scores["strongest"] >= 0.99
    assert scores["mlp"] >= 0.985
    assert abs(scores["rising"]) < 0.02


@pytest.mark.parametrize("what", ["noise", "constant"])
def test_a_space_without_the_domain_leaks_nothing(what):
    x, d = np.random.default_rng(1).normal(size=(5000, 20)), np.random.default_rng(2).integers(10, size=5000)
    x = x if what == "noise" else np.ones_like(x)
    scores = domain_leakage(x[:4000], d[:4000], x[4000:], d[4000:], num_domains=10)
    assert scores["strongest"] == pytest.approx(scores["chance"], abs=0.02)
    assert scores["normalized"] == pytest.approx(0, abs=0.02)
    assert max(scores["linear"], scores["mlp"], scores["knn"]) < 0.14


def test_weights_that_leave_one_domain_leave_nothing_to_tell():
    x, d = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    with pytest.raises(MetricUndefined, match="all test images of weight are of one domain"):
        domain_leakage(x, d, x, d, num_domains=2, weights=(None, None, (d == 0).astype(float)))


def test_too_few_samples_are_seen_in_the_curve():
    rng = np.random.default_rng(0)
    which = rng.integers(800, size=3000)
    x, d = rng.normal(size=(800, 16))[which], (rng.permutation(800) % 8)[which]
    scores = domain_leakage(x[:1000], d[:1000], x[2000:], d[2000:], num_domains=8, val=(x[1000:2000], d[1000:2000]))
    assert scores["rising"] > 0.05


def test_weights_of_samples_make_domains_independent_of_what_is_seen():
    rng = np.random.default_rng(0)
    seen = rng.integers(2, size=6000)
    d = np.where(rng.random(6000) < 0.8, seen, 1 - seen)
    x = seen[:, None] + 0.1 * rng.normal(size=(6000, 2))
    weights = np.where(d == seen, 0.25 / 0.4, 0.25 / 0.1)
    parts = [slice(0, 3000), slice(3000, 4000), slice(4000, None)]
    fit, val, test = parts
    options = {"num_domains": 2, "val": (x[val], d[val])}
    assert domain_leakage(x[fit], d[fit], x[test], d[test], **options)["normalized"] > 0.4
    by_part = tuple(weights[part] for part in parts)
    assert domain_leakage(x[fit], d[fit], x[test], d[test], **options, weights=by_part)["normalized"] < 0.1
    whole = (np.ones(3000), np.ones(1000), np.ones(2000))
    even, plain = (domain_leakage(x[fit], d[fit], x[test], d[test], **options, weights=w) for w in (whole, None))
    assert even["linear"] == pytest.approx(plain["linear"], abs=1e-6)
    with pytest.raises(ValueError, match=r"\(5,\) but domains \(3000,\)"):
        domain_leakage(x[fit], d[fit], x[test], d[test], **options, weights=(np.ones(5), None, None))
    with pytest.raises(ValueError, match="zero or more"):
        domain_leakage(x[fit], d[fit], x[test], d[test], **options, weights=(-by_part[0], None, None))


def test_domain_leakage_does_not_depend_on_threads():
    x, d = hidden_hue("among others", 1000)
    found = []
    for threads in (1, 2, 8):
        torch.set_num_threads(threads)
        found.append(domain_leakage(x[:700], d[:700], x[700:], d[700:], num_domains=10))
    assert found[0] == found[1] == found[2]


def test_domain_leakage_undefined():
    x, d = domains()
    with pytest.raises(MetricUndefined, match="training samples are all of 0"):
        domain_leakage(x, 0 * d, x, d, num_domains=2)
    with pytest.raises(MetricUndefined, match="test samples are all of 1"):
        domain_leakage(x, d, x, 0 * d + 1, num_domains=2)
    with pytest.raises(ValueError, match=r"\(999,\) but test_x \(1000, 6\)"):
        domain_leakage(x, d, x, d[1:], num_domains=2)


@pytest.mark.parametrize("case", ["a", "b"])
def test_alignment_and_uniformity_meet_the_figures(golden, case):
    file = golden(f"metrics/align_uniform_{case}")
    x, y = file["in_x"], file["in_y"]
    options = {"rel": 1e-9, "abs": 1e-12}
    assert alignment(x, y, alpha=file.options["alpha"]) == pytest.approx(file["out_align"].item(), **options)
    assert uniformity(x, t=file.options["t"]) == pytest.approx(file["out_unif_x"].item(), **options)
    assert uniformity(y, t=file.options["t"]) == pytest.approx(file["out_unif_y"].item(), **options)


def test_alignment_and_uniformity_closed_forms():
    z = unit(np.random.default_rng(0).normal(size=(30, 5)))
    assert alignment(z, z) == 0
    assert alignment(z, -z) == pytest.approx(4)
    assert uniformity(np.tile(z[:1], (7, 1))) == pytest.approx(0, abs=1e-12)
    assert uniformity([[1.0, 0.0], [-1.0, 0.0]], t=2) == pytest.approx(-8)
    assert uniformity([[1.0, 0.0], [-1.0, 0.0]], t=500) == pytest.approx(-2000)  # the kernel itself is 0
    assert uniformity(z[::-1]) == pytest.approx(uniformity(z), abs=1e-12)


@pytest.mark.parametrize("pairs", [1, 64, 100])
def test_uniformity_does_not_depend_on_blocks(monkeypatch, pairs):
    z = unit(np.random.default_rng(0).normal(size=(31, 5)))
    first, second = np.triu_indices(31, k=1)
    expected = np.log(np.exp(-2 * ((z[first] - z[second]) ** 2).sum(1)).mean())
    monkeypatch.setattr(sys.modules[uniformity.__module__], "PAIRS", pairs)
    assert uniformity(z) == pytest.approx(expected, abs=1e-12)


def test_alignment_and_uniformity_undefined():
    z = unit(np.random.default_rng(0).normal(size=(30, 5)))
    with pytest.raises(MetricUndefined, match="one row"):
        uniformity(z[:1])
    with pytest.raises(MetricUndefined, match="5 non-finite"):
        alignment(z, z * np.where(np.arange(30) == 3, np.nan, 1)[:, None])
    with pytest.raises(ValueError, match=r"\(30, 5\) but z2 \(29, 5\)"):
        alignment(z, z[1:])


def test_transform_invariance_scale_from_another_image_to_the_same():
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(400, 6)))

    def another(x: torch.Tensor) -> torch.Tensor:
        return x.roll(1, 0)

    transforms = {"same": lambda x: x, "longer": lambda x: 3 * x, "another": another, "opposite": lambda x: -x}
    scores = transform_invariance(lambda x: x + 1, images, {"same": transforms["same"]})
    assert scores == {"same": pytest.approx(1)}
    scores = transform_invariance(lambda x: x, images, transforms)
    assert scores["same"] == scores["longer"] == pytest.approx(1)
    assert scores["another"] == pytest.approx(0, abs=0.05)
    # with mean cosine r of all pairs (c - r) / (1 - r)
    rows = unit(images.numpy())
    cosines = rows @ rows.T
    r = (cosines.sum() - 400) / (400 * 399)
    assert scores["opposite"] == pytest.approx((-1 - r) / (1 - r))


def test_transform_invariance_seeds_what_a_transform_draws():
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 6)))
    noisy = {"a": lambda x: x + torch.randn_like(x), "b": lambda x: x + torch.randn_like(x)}
    state = torch.random.get_rng_state()
    scores = transform_invariance(lambda x: x, images, noisy, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    assert scores["a"] == scores["b"]
    assert 0.3 < scores["a"] < 0.95
    assert scores != transform_invariance(lambda x: x, images, noisy, seed=2)


def test_transform_invariance_undefined():
    images = np.random.default_rng(0).normal(size=(20, 6))
    with pytest.raises(MetricUndefined, match="same embedding"):
        transform_invariance(np.ones_like, images, {})
    with pytest.raises(MetricUndefined, match="there is one"):
        transform_invariance(lambda x: x, images[:1], {})
    with pytest.raises(MetricUndefined, match="under broken: features contain 120 non-finite"):
        transform_invariance(lambda x: x, images, {"broken": lambda x: x * np.nan})
    with pytest.raises(ValueError, match=r"\(20, 6\) but under half \(10, 6\)"):
        transform_invariance(lambda x: x, images, {"half": lambda x: x[:10]})
