"""Scores of codes while one factor is held (IRS, FactorVAE, beta-VAE): reference figures and closed forms."""

import sys

import numpy as np
import pytest

from disentangle_bench.evaluation.metrics import disentanglement as dis
from disentangle_bench.evaluation.metrics.disentanglement.beta_vae import mean_differences
from tests.evaluation.metrics.made import KINDS, perfect_and_noise, world


@pytest.mark.parametrize("kind", KINDS)
def test_irs_meets_reference_figures(golden, kind):
    file = golden(f"metrics/irs_{kind}")
    z, factors, quantile = file["in_mus"].T, file["in_ys"].T, file.options["diff_quantile"]
    matrix = dis.irs_matrix(z, factors, quantile=quantile)
    np.testing.assert_allclose(matrix, file["out_irs_matrix"], rtol=1e-8, atol=1e-10)
    scores = dis.irs(z, factors, quantile=quantile)
    assert scores["irs"] == pytest.approx(file["out_irs"].item(), rel=1e-8, abs=1e-10)
    assert scores["active"] == file["out_active_count"].item()


def test_irs_closed_forms():
    perfect, noise = perfect_and_noise()
    assert dis.irs(*perfect[:2]) == pytest.approx({"irs": 1.0, "active": 3.0})
    assert dis.irs(*noise[:2])["irs"] < 0.3
    # a factor of many values is binned first: 40 in 20 bins are pairs
    many, z = np.arange(400)[:, None] % 40, np.random.default_rng(0).normal(size=(400, 2))
    assert dis.irs(z, many) == pytest.approx(dis.irs(z, many // 2))
    # a code that is a sum of two independent signs moves by one of its two units while one sign is held
    signs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert dis.irs((2 * signs - 1).sum(1, keepdims=True), signs)["irs"] == pytest.approx(0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_factor_vae_meets_reference_figures(golden, kind):
    file = golden(f"metrics/factor_vae_{kind}")
    local, held = (file[f"in_{name}_reps"].var(axis=1, ddof=1) for name in ("train", "eval"))
    overall = file["in_variance_reps"].var(axis=0, ddof=1)
    np.testing.assert_allclose(overall, file["out_global_variances"], rtol=1e-12)
    active = np.sqrt(overall) >= file.options["prune_threshold"]
    assert (dis.factor_vae_votes(local[:, active], overall[active]) == file["out_train_argmin"]).all()
    scores = dis.factor_vae(
        local, file["in_train_factor"], overall,
        eval_local_variances_z=held, eval_factor_index=file["in_eval_factor"],
        prune_threshold=file.options["prune_threshold"],
    )  # fmt: skip
    assert scores["train_accuracy"] == pytest.approx(file["out_train_accuracy"].item(), abs=1e-12)
    assert scores["eval_accuracy"] == pytest.approx(file["out_eval_accuracy"].item(), abs=1e-12)
    assert scores["active"] == active.sum()


@pytest.mark.parametrize("kind", KINDS)
def test_beta_vae_meets_reference_figures(golden, kind):
    file = golden(f"metrics/beta_vae_{kind}")
    np.testing.assert_allclose(mean_differences(file["in_pair_reps"], "pairs"), file["out_first_features"], rtol=1e-10)
    scores = dis.beta_vae(
        file["in_train_points"], file["in_train_labels"],
        eval_pairs_z=file["in_eval_points"], eval_factor_index=file["in_eval_labels"],
    )  # fmt: skip
    assert scores["train_accuracy"] == pytest.approx(file["out_train_accuracy"].item(), abs=0.02)
    assert scores["eval_accuracy"] == pytest.approx(file["out_eval_accuracy"].item(), abs=0.02)
    raw, labels = file["in_pair_reps"], file["in_train_labels"][:40]
    assert dis.beta_vae(raw, labels) == dis.beta_vae(file["out_first_features"], labels)


def test_sampled_votes_and_pairs_perfect_and_noise():
    perfect, noise = perfect_and_noise()
    for (z, factors, *_), low, high in ((perfect, 0.99, 1.0), (noise, 0.2, 0.5)):
        overall = z.var(axis=0, ddof=1)
        votes, factor = dis.sample_votes(z, factors, num_votes=600, batch_size=32)
        held, held_factor = dis.sample_votes(z, factors, num_votes=300, batch_size=32, seed=1)
        scores = dis.factor_vae(votes, factor, overall, eval_local_variances_z=held, eval_factor_index=held_factor)
        assert low <= scores["eval_accuracy"] <= high
        assert scores["active"] == (3 if low == 0.99 else 4)
        points, factor = dis.sample_pairs(z, factors, num_points=600, batch_size=32)
        held, held_factor = dis.sample_pairs(z, factors, num_points=300, batch_size=32, seed=1)
        scores = dis.beta_vae(points, factor, eval_pairs_z=held, eval_factor_index=held_factor)
        assert low <= scores["eval_accuracy"] <= high


def test_samplers_hold_one_factor_and_are_seeded_and_bounded(monkeypatch):
    factors = world(200)
    z = factors.astype(float)
    votes, factor = dis.sample_votes(z, factors, num_votes=90, batch_size=16, seed=3)
    held = np.take_along_axis(votes, factor[:, None], axis=1)
    assert (held == 0).all()
    assert (np.sort(votes, axis=1)[:, 1] > 0).all()  # the others move
    assert set(factor) == {0, 1, 2}
    points, shared = dis.sample_pairs(z, factors, num_points=90, batch_size=16, seed=3)
    assert (np.take_along_axis(points, shared[:, None], axis=1) == 0).all()
    assert (np.sort(points, axis=1)[:, 1] > 0).all()
    assert (dis.sample_votes(z, factors, num_votes=90, batch_size=16, seed=4)[0] != votes).any()
    free = np.random.default_rng(0).normal(size=(2000, 1))
    spread = dis.sample_votes(free, world(2000), num_votes=4000, batch_size=2)[0]
    assert spread.mean() == pytest.approx(free.var(), abs=0.1)  # unbiased even in pairs
    for sampler in (dis.sample_votes, dis.sample_pairs):
        monkeypatch.setattr(sys.modules[sampler.__module__], "CODES", 1)
    assert (dis.sample_votes(z, factors, num_votes=90, batch_size=16, seed=3)[0] == votes).all()
    assert (dis.sample_pairs(z, factors, num_points=90, batch_size=16, seed=3)[0] == points).all()
