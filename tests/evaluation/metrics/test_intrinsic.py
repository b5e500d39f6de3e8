"""Effective rank, variance and collapse: closed forms."""

import numpy as np
import pytest

from disentangle_bench.evaluation.metrics import MetricUndefined
from disentangle_bench.evaluation.metrics.intrinsic import effective_rank, intrinsic_quality


def test_effective_rank_closed_forms():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 50)))[0]
    assert effective_rank(basis) == pytest.approx(50, rel=1e-3)  # equal singular values
    assert effective_rank(np.outer(np.arange(1.0, 40), np.ones(8))) == pytest.approx(1, abs=1e-4)
    sigma = np.array([4.0, 2.0, 1.0, 1.0])
    p = sigma / sigma.sum() + 1e-7
    x = basis[:, :4] * sigma @ np.linalg.qr(basis[:4, :4])[0]
    for features in (x, x * 1e-4, x[::-1], -x[:, ::-1]):
        assert effective_rank(features) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-3)
    assert effective_rank(np.zeros((5, 3))) == 0
    wide = np.random.default_rng(1).normal(size=(7, 30))
    s = np.linalg.svd(wide, compute_uv=False)
    p = s / s.sum() + 1e-7
    assert effective_rank(wide) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-6)


def test_effective_rank_adds_blocks_up():
    x = np.random.default_rng(0).normal(size=(9000, 6)) * [5, 3, 2, 1, 0.5, 0.1]
    s = np.linalg.svd(x, compute_uv=False)
    p = s / s.sum() + 1e-7
    assert effective_rank(x) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-9)


def test_variances():
    x = np.random.default_rng(0).normal(size=(9000, 3)) * [1, 2, 3] + 1000
    scores = intrinsic_quality(x)
    assert scores["mean_variance"] == pytest.approx(x.var(axis=0).mean(), rel=1e-9)
    assert scores["min_variance"] == pytest.approx(x.var(axis=0).min(), rel=1e-9)


def test_collapse_flag():
    rng = np.random.default_rng(0)
    assert intrinsic_quality(rng.normal(size=(100, 8)))["collapsed"] == 0
    assert intrinsic_quality(1 + 0.1 * rng.normal(size=(100, 8)))["collapsed"] == 0
    assert intrinsic_quality(1 + 1e-3 * rng.normal(size=(100, 8)))["collapsed"] == 1
    assert intrinsic_quality(np.outer(rng.uniform(1, 9, size=100), np.ones(8)))["collapsed"] == 1  # one direction
    assert intrinsic_quality(np.zeros((100, 8))) == {
        "rankme": 0, "mean_variance": 0, "min_variance": 0, "collapsed": 1,
    }  # fmt: skip


def test_undefined():
    with pytest.raises(MetricUndefined, match="1 non-finite"):
        intrinsic_quality(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match=r"\[N, D\], got \(3,\)"):
        effective_rank(np.ones(3))
