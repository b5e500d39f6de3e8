"""Disentanglement scores against the reference figures, closed forms and their undefined cases."""

import sys
from typing import Any

import numpy as np
import pytest

from disentangle_bench.evaluation.metrics import MetricUndefined
from disentangle_bench.evaluation.metrics import disentanglement as dis
from disentangle_bench.evaluation.metrics.disentanglement.beta_vae import mean_differences

KINDS = ["perfect", "mixed", "noise"]
Arrays = tuple[np.ndarray, ...]


def splits(file: Any) -> Arrays:
    """The reference's arrays are (codes, points) and (factors, points)."""
    return tuple(file[f"in_{name}"].T for name in ("mus_train", "ys_train", "mus_test", "ys_test"))


def world(n: int = 600, sizes: tuple[int, ...] = (3, 4, 5), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(size, size=n) for size in sizes], axis=1)


def perfect_and_noise() -> tuple[Arrays, Arrays]:
    """One code a factor and one dead one; four codes of noise."""
    train, test = world(), world(seed=1)
    codes = [np.c_[f.astype(float), np.full(len(f), 0.3)] for f in (train, test)]
    rng = np.random.default_rng(2)
    noise = [rng.normal(size=(len(f), 4)) for f in (train, test)]
    return (codes[0], train, codes[1], test), (noise[0], train, noise[1], test)


# ---- DCI


@pytest.mark.parametrize("kind", KINDS)
def test_dci_meets_reference_figures(golden, kind):
    file = golden(f"metrics/dci_{kind}")
    scores = dis.dci(*splits(file), seed=5)
    names = ("disentanglement", "completeness", "informativeness_train", "informativeness_test")
    margin = 0.06 if kind == "noise" else 0.01
    for name, column in zip(names, file["out_seed_scores"].T, strict=True):
        assert column.min() - margin <= scores[name] <= column.max() + margin, name


@pytest.mark.parametrize("case", ["dci_perfect", "dci_mixed", "dci_noise", "dci_matrix_random", "dci_matrix_identity"])
def test_dci_of_an_importance_matrix_meets_reference_figures(golden, case):
    file = golden(f"metrics/{case}")
    scores = dis.dci_from_importance(file["in_importance" if "in_importance" in file else "out_importance"])
    options = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(scores["disentanglement"], file["out_disentanglement"], **options)
    np.testing.assert_allclose(scores["completeness"], file["out_completeness"], **options)
    np.testing.assert_allclose(scores["per_code"], file["out_disentanglement_per_code"], **options)
    np.testing.assert_allclose(scores["per_factor"], file["out_completeness_per_factor"], **options)


def test_dci_of_importance_closed_forms():
    uniform = dis.dci_from_importance(np.ones((4, 3)))
    assert uniform["disentanglement"] == pytest.approx(0, abs=1e-9)
    assert uniform["completeness"] == pytest.approx(0, abs=1e-9)
    nothing = dis.dci_from_importance(np.zeros((4, 3)))
    assert nothing["disentanglement"] == pytest.approx(0, abs=1e-9)
    # two codes share a factor: each is pure, the factor is split
    shared = dis.dci_from_importance([[0.5, 0.0], [0.5, 0.0], [0.0, 1.0]])
    assert shared["disentanglement"] == pytest.approx(1, abs=1e-8)
    assert shared["completeness"] == pytest.approx((2 - np.log(2) / np.log(3)) / 2, abs=1e-8)
    matrix = np.random.default_rng(0).uniform(size=(5, 3))
    base, scaled = dis.dci_from_importance(matrix), dis.dci_from_importance(matrix[::-1, [2, 0, 1]] * 7)
    assert base["disentanglement"] == pytest.approx(scaled["disentanglement"], abs=1e-9)
    assert base["completeness"] == pytest.approx(scaled["completeness"], abs=1e-9)


def test_dci_perfect_and_noise():
    perfect, noise = perfect_and_noise()
    scores = dis.dci(*perfect)
    assert all(value == pytest.approx(1, abs=1e-3) for value in scores.values())
    scores = dis.dci(*noise)
    assert scores["disentanglement"] < 0.05
    assert scores["completeness"] < 0.05
    assert scores["informativeness_test"] == pytest.approx((1 / 3 + 1 / 4 + 1 / 5) / 3, abs=0.05)


# ---- MIG, SAP, modularity, explicitness


@pytest.mark.parametrize("kind", KINDS)
def test_mig_meets_reference_figures(golden, kind):
    file = golden(f"metrics/mig_{kind}")
    z, factors, bins = file["in_mus"].T, file["in_ys"].T, file.options["num_bins"]
    assert (dis.discretize(z, bins=bins) == file["out_discretized"].T).all()
    np.testing.assert_allclose(dis.mutual_information(z, factors, bins=bins), file["out_mi"], rtol=1e-8, atol=1e-10)
    assert dis.mig(z, factors, bins=bins)["mig"] == pytest.approx(file["out_mig"].item(), rel=1e-8, abs=1e-10)


def test_discretize_puts_edges_in_the_bin_on_their_right_and_the_maximum_in_the_last():
    assert dis.discretize([[0.0, 3.0], [1.0, 3.0], [2.0, 3.0], [4.0, 3.0]], bins=4)[:, 0].tolist() == [1, 2, 3, 4]
    assert len(set(dis.discretize([[0.0, 3.0], [4.0, 3.0]], bins=4)[:, 1])) == 1


@pytest.mark.parametrize("case", ["sap_perfect_discrete", "sap_noise_discrete", "sap_mixed_continuous"])
def test_sap_meets_reference_figures(golden, case):
    file = golden(f"metrics/{case}")
    continuous = file.options["continuous_factors"]
    options = {"rtol": 1e-8, "atol": 1e-10} if continuous else {"rtol": 0, "atol": 0.02}
    scores = dis.sap_matrix(*splits(file), continuous=continuous)
    np.testing.assert_allclose(scores, file["out_score_matrix"], **options)
    np.testing.assert_allclose(dis.sap(*splits(file), continuous=continuous)["sap"], file["out_sap"], **options)


@pytest.mark.parametrize("kind", KINDS)
def test_modularity_and_explicitness_meet_reference_figures(golden, kind):
    file = golden(f"metrics/modularity_{kind}")
    scores = dis.modularity_explicitness(*splits(file), bins=file.options["num_bins"])
    assert scores["modularity"] == pytest.approx(file["out_modularity"].item(), rel=1e-8)
    assert scores["explicitness_train"] == pytest.approx(file["out_explicitness_train"].item(), abs=0.005)
    assert scores["explicitness_test"] == pytest.approx(file["out_explicitness_test"].item(), abs=0.005)


def test_mig_sap_modularity_perfect_and_noise():
    perfect, noise = perfect_and_noise()
    assert dis.mig(*perfect[:2])["mig"] == pytest.approx(1, abs=0.03)  # the next code knows a little by chance
    assert dis.mig(*noise[:2])["mig"] < 0.03
    line = np.stack([np.repeat([0, 1, 2, 3], 4), np.tile([0, 1, 2, 3], 4)], axis=1)  # exactly independent
    codes = line[:, ::-1] * [3.0, -1.0]
    assert dis.mig(codes, line)["mig"] == pytest.approx(1, abs=1e-12)
    assert dis.sap(codes, line, codes, line, continuous=True)["sap"] == pytest.approx(1, abs=1e-12)
    scores = dis.modularity_explicitness(codes, line, codes, line)
    assert scores["modularity"] == pytest.approx(1, abs=1e-12)
    assert dis.modularity_explicitness(*perfect)["explicitness_test"] > 0.8  # a middle value is no half-line
    scores = dis.modularity_explicitness(*noise)
    assert scores["explicitness_test"] == pytest.approx(0.5, abs=0.04)
    assert dis.sap(*noise)["sap"] < 0.05
    assert dis.sap(*noise, continuous=True)["sap"] < 0.02


def test_explicitness_leaves_out_constant_codes_and_absent_values():
    perfect, _ = perfect_and_noise()
    train_z, train_f, test_z, test_f = perfect
    base = dis.modularity_explicitness(*perfect)
    more = [np.c_[z, np.ones((len(z), 2))] for z in (train_z, test_z)]
    wider = dis.modularity_explicitness(more[0], train_f, more[1], test_f)
    assert wider["explicitness_test"] == pytest.approx(base["explicitness_test"], abs=1e-9)
    assert wider["modularity"] == pytest.approx(base["modularity"] * 4 / 6)
    rows = test_f[:, 0] != 2
    assert 0.5 < dis.modularity_explicitness(train_z, train_f, test_z[rows], test_f[rows])["explicitness_test"] <= 1
    rows = test_f[:, 0] == 2
    with pytest.raises(MetricUndefined, match="factor 0"):
        dis.modularity_explicitness(train_z, train_f, test_z[rows], test_f[rows])


def test_order_and_scale_of_codes_and_names_of_values_do_not_matter():
    rng = np.random.default_rng(0)
    train, test = world(300), world(300, seed=1)
    mix = rng.normal(size=(3, 4))
    z, test_z = train @ mix + rng.normal(size=(300, 4)), test @ mix + rng.normal(size=(300, 4))
    order, scale = [2, 0, 3, 1], np.array([1e3, -2.0, 0.5, 1e-3])
    names = np.array([7, -1, 30, 4, 11])
    moved = (z[:, order] * scale, names[train], test_z[:, order] * scale, names[test])
    for metric in (dis.modularity_explicitness, lambda a, b, c, d: dis.mig(a, b)):
        assert metric(*moved) == pytest.approx(metric(z, train, test_z, test), abs=0.02)
    for metric in (lambda a, b, c, d: dis.sap(a, b, c, d, continuous=True), lambda a, b, c, d: dis.irs(a, b)):
        same = metric(z[:, order] * 9, train * 2, test_z[:, order] * 9, test * 2)
        assert same == pytest.approx(metric(z, train, test_z, test), abs=1e-9)


# ---- IRS, FactorVAE, beta-VAE


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


# ---- what is undefined or wrong

FOUR = {
    "dci": dis.dci,
    "sap": dis.sap,
    "modularity": dis.modularity_explicitness,
    "mig": lambda z, f, *_: dis.mig(z, f),
    "irs": lambda z, f, *_: dis.irs(z, f),
}


@pytest.mark.parametrize("name", FOUR)
def test_undefined_and_wrong_inputs(name):
    metric = FOUR[name]
    z, factors = np.random.default_rng(0).normal(size=(50, 3)), world(50)
    broken = z.copy()
    broken[2] = np.nan
    with pytest.raises(MetricUndefined, match="3 non-finite"):
        metric(broken, factors, z, factors)
    with pytest.raises(MetricUndefined, match="none of the 3 codes"):
        metric(np.ones_like(z), factors, z, factors)
    with pytest.raises(MetricUndefined, match="single value of factor 1"):
        metric(z, factors * [1, 0, 1], z, factors)
    with pytest.raises(ValueError, match=r"\(49, 3\) but \S*z \(50, 3\)"):
        metric(z, factors[1:], z, factors)
    with pytest.raises(ValueError, match="integers"):
        metric(z, factors + 0.5, z, factors)
    if name in ("dci", "sap", "mig"):
        with pytest.raises(MetricUndefined, match="codes"):
            metric(z[:, :1], factors, z[:, :1], factors)
    if name in ("dci", "modularity"):
        with pytest.raises(MetricUndefined, match="factors"):
            metric(z, factors[:, :1], z, factors[:, :1])
    if name not in ("mig", "irs"):
        with pytest.raises(ValueError, match=r"\(50, 3\) but test_z \(50, 2\)"):
            metric(z, factors, z[:, :2], factors)


def test_other_undefined_and_wrong_inputs():
    z, factors = np.random.default_rng(0).normal(size=(50, 3)), world(50)
    with pytest.raises(ValueError, match="gbt"):
        dis.dci(z, factors, z, factors, regressor="forest")
    with pytest.raises(MetricUndefined, match=r"0\.05 or more"):
        dis.factor_vae(np.zeros((4, 2)), [0, 1, 0, 1], [1e-4, 0.0])
    with pytest.raises(ValueError, match=r"\(2,\) but local_variances_z \(4, 3\)"):
        dis.factor_vae(np.ones((4, 3)), [0, 1, 0, 1], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"\(3,\) but local_variances_z \(4, 2\)"):
        dis.factor_vae(np.ones((4, 2)), [0, 1, 0], [1.0, 1.0])
    with pytest.raises(MetricUndefined, match="share factor 1"):
        dis.beta_vae(z, np.ones(50, int))
    with pytest.raises(ValueError, match=r"\[P, 2, L, D\] or \[P, D\], got \(50, 3, 1\)"):
        dis.beta_vae(z[:, :, None], np.ones(50, int))
