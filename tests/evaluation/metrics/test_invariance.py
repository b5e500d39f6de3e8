"""Leakage, alignment, uniformity and transform invariance: figures, closed forms, undefined cases."""

import sys

import numpy as np
import pytest
import torch

from disentangle_bench.evaluation.metrics import MetricUndefined
from disentangle_bench.evaluation.metrics.invariance import alignment, domain_leakage, transform_invariance, uniformity


def domains(share: float = 0.75, n: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 6)), (rng.uniform(size=n) > share).astype(int)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_domain_leakage_is_one_when_the_domain_is_there_and_zero_at_chance():
    x, d = domains()
    told = np.c_[x, d * 10]
    scores = domain_leakage(told[:500], d[:500], told[500:], d[500:], num_domains=2)
    assert scores["linear"] == scores["mlp"] == scores["normalized"] == 1
    assert scores["chance"] == max((d[500:] == 0).mean(), (d[500:] == 1).mean())
    scores = domain_leakage(x[:500], d[:500], x[500:], d[500:], num_domains=2)
    assert scores["normalized"] < 0.03
    assert scores["linear"] == pytest.approx(scores["chance"], abs=0.02)


def test_domain_leakage_is_of_the_better_probe_on_a_scale_above_chance():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3))
    d = (x[:, 0] * x[:, 1] > 0).astype(int)
    scores = domain_leakage(x[:3000], d[:3000], x[3000:], d[3000:], num_domains=2)
    assert scores["linear"] < 0.6 < 0.9 < scores["mlp"]
    assert scores["normalized"] == pytest.approx((scores["mlp"] - scores["chance"]) / (1 - scores["chance"]))
    linear = domain_leakage(x[:3000], d[:3000], x[3000:], d[3000:], num_domains=2, mlp=False)
    assert set(linear) == {"linear", "chance", "normalized"}
    assert linear["linear"] == scores["linear"]
    assert linear["normalized"] == pytest.approx(max(0, (linear["linear"] - linear["chance"]) / (1 - linear["chance"])))


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
