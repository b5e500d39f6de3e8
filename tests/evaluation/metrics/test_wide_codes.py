"""Scores made for wide codes against reference figures, closed forms and their undefined cases."""

import numpy as np
import pytest

from disentangle_bench.evaluation.metrics import MetricUndefined
from disentangle_bench.evaluation.metrics import disentanglement as dis
from disentangle_bench.evaluation.metrics.invariance.fairness import gaps
from disentangle_bench.evaluation.metrics.probes.block_r2 import block_r2

TIGHT = {"rtol": 1e-9, "atol": 1e-9}

# ---- DCI-ES


@pytest.mark.parametrize("name", ["one_curve", "two_curves_padded", "linear_decay", "flat"])
def test_explicitness_of_a_curve_is_the_reference(golden, name):
    file = golden(f"metrics/dcies_{name}")
    count = len(file["in_baseline_loss"])
    curves = [[file[f"in_{axis}_{j}"] for j in range(count)] for axis in ("capacity", "loss")]
    np.testing.assert_allclose(dis.explicitness(*curves, file["in_baseline_loss"]), file["out_explicitness"], **TIGHT)


def test_importances_of_dci_es_are_read_as_those_of_dci(golden):
    file = golden("metrics/dcies_importance")
    scores = dis.dci_from_importance(file["in_importance"])
    for name in ("disentanglement", "completeness", "per_code", "per_factor"):
        np.testing.assert_allclose(scores[name], file[f"out_{name}"], **TIGHT)


def test_a_code_of_its_own_is_explicit_and_a_parity_of_two_is_not():
    rng = np.random.default_rng(0)
    train, test = rng.integers(2, size=(2, 200, 2))
    small = {"depths": (1, 2, 4), "trees": 10}
    found = dis.dci_es(train.astype(float), train, test.astype(float), test, **small)
    assert [found[name] for name in ("explicitness", "informativeness", "size")] == [1, 1, 1]

    def hidden(factors):  # the first factor can only be read off two codes at once
        coins = rng.integers(2, size=len(factors))
        return np.stack([coins, coins ^ factors[:, 0], factors[:, 1]], axis=1).astype(float)

    deep = dis.dci_es(hidden(train), train, hidden(test), test, **small)
    assert deep["informativeness"] == 1
    assert deep["explicitness"] < 0.95
    with pytest.raises(ValueError, match="two rising numbers"):
        dis.dci_es(train.astype(float), train, test.astype(float), test, depths=(3, 1))


def test_dci_es_of_a_test_sample_without_a_question_is_undefined():
    z, factors = np.random.default_rng(0).normal(size=(30, 3)), np.stack([np.arange(30) % 3, np.arange(30) % 2], axis=1)
    factors[:20, 1] = 0
    with pytest.raises(MetricUndefined, match="the test points have no value of factor 1 but the most frequent one"):
        dis.dci_es(z, factors, z[:20], factors[:20], depths=(1, 2), trees=2)


# ---- InfoMEC


def world(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(4, size=n), rng.integers(3, size=n)], axis=1)


@pytest.mark.parametrize("kind", ["perfect", "mixed", "discrete"])
def test_infomec_is_the_reference(golden, kind):
    file = golden(f"metrics/infomec_{kind}")
    discrete, factors = file.options["discrete_latents"], file["in_sources"].astype(int)
    information = dis.normalized_information(file["in_latents"], factors, discrete=discrete)
    np.testing.assert_allclose(information, file["out_nmi"], rtol=0, atol=1e-6)
    found = dis.infomec(file["in_latents"], factors, discrete=discrete)
    assert found["modularity"] == pytest.approx(float(file["out_infom"]), abs=1e-6)
    assert found["compactness"] == pytest.approx(float(file["out_infoc"]), abs=1e-6)
    assert found["explicitness"] == pytest.approx(float(file["out_infoe"]), abs=1e-3)
    assert found["active"] == file["out_active"].sum()


def test_infomec_of_one_code_that_varies_is_undefined():
    factors = world()
    with pytest.raises(MetricUndefined, match="only one of them varies enough"):
        dis.infomec(np.stack([factors[:, 0], factors[:, 1] / 100], axis=1), factors)


def test_infomec_of_a_factor_that_never_repeats_is_undefined():
    factors = np.stack([np.arange(6), np.arange(6) % 2], axis=1)
    with pytest.raises(MetricUndefined, match="each value of factor 0 occurs once"):
        dis.infomec(np.random.default_rng(0).normal(size=(6, 3)), factors)


# ---- MED


@pytest.mark.parametrize("name", ["med_perfect", "med_mixed", "med_mixed_top2"])
def test_med_is_the_reference(golden, name):
    file = golden(f"metrics/{name}")
    z, factors, top = file["in_codes_train"].T, file["in_factors_train"].T, file.options["topk"]
    importance = dis.information_shares(z, factors)
    np.testing.assert_allclose(importance, file["out_importance"], **TIGHT)
    picked = dis.best_codes(importance, dis.dci_from_importance(importance)["per_code"], top)
    assert picked.tolist() == file["out_topk_indices"].tolist()
    found = dis.med(z, factors, top=top)
    for ours, theirs in (("", ""), ("top_", "topk_")):
        for score in ("disentanglement", "completeness"):
            assert found[ours + score] == pytest.approx(float(file[f"out_{theirs}{score}"]), rel=1e-9)


# ---- MCC


@pytest.mark.parametrize("name", ["mcc_clean", "mcc_noisy"])
def test_mcc_is_the_reference(golden, name):
    file = golden(f"metrics/{name}")
    z, factors = file["in_codes"], file["in_factors"]
    np.testing.assert_allclose(dis.correlations(z, factors), file["out_abs_corr_pearson"], **TIGHT)
    assert dis.mcc(z, factors)["mcc"] == pytest.approx(float(file["out_mcc_pearson"]), rel=1e-9)
    assert dis.mcc(z, factors, ranks=True)["mcc"] == pytest.approx(float(file["out_mcc_spearman"]), rel=1e-9)


def test_the_best_of_many_codes_of_noise_is_no_finding_on_held_points():
    rng = np.random.default_rng(0)
    z, factors = rng.normal(size=(2, 100, 256)), rng.normal(size=(2, 100, 3))
    assert dis.mcc(z[0], factors[0])["mcc"] > 0.25
    assert dis.mcc(z[0], factors[0], held=(z[1], factors[1]))["mcc"] < 0.2
    assert dis.mcc(np.c_[factors[0], np.ones(100)], factors[0])["mcc"] == pytest.approx(1)
    with pytest.raises(MetricUndefined, match="3 factors can't each have one of 2 codes"):
        dis.mcc(z[0][:, :2], factors[0])


# ---- block R^2


def test_block_r2_is_the_reference(golden):
    file = golden("metrics/block_r2")
    fit, test = slice(*file.options["train_rows"]), slice(*file.options["test_rows"])
    z = file["in_codes"]
    for block in ("content", "style"):
        factors = file[f"in_{block}"]
        found = block_r2(z[fit], factors[fit], z[test], factors[test])
        assert found["linear"] == pytest.approx(float(file[f"out_r2_linear_{block}"]), rel=1e-8)
        assert found["kernel"] == pytest.approx(float(file[f"out_r2_kernel_{block}"]), rel=1e-5)
        assert [found["alpha"], found["gamma"]] == pytest.approx(file[f"out_kernel_{block}_alpha_gamma"])


def test_block_r2_without_variation_is_undefined():
    z = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(MetricUndefined, match="a single value in the test points"):
        block_r2(z, z, z, np.ones((20, 2)))


# ---- fairness


def test_gaps_of_a_classifier_that_answers_by_domain():
    labels, domains = np.tile([0, 1], 40), np.repeat([0, 1], 40)
    assert gaps(labels, labels, domains, num_classes=2) == {"demographic_parity": 0, "equalised_odds": 0, "groups": 4}
    assert gaps(domains, labels, domains, num_classes=2)["equalised_odds"] == 1
    half = np.where(domains == 0, labels, np.where(np.arange(80) % 4 < 2, labels, 1))  # misses half of class 0 there
    found = gaps(half, labels, domains, num_classes=2)
    assert found["demographic_parity"] == pytest.approx(0.25)
    assert found["equalised_odds"] == pytest.approx(0.5)


def test_gaps_of_groups_too_small_to_tell():
    labels, domains = np.arange(40) % 8, np.repeat([0, 1], 20)
    assert gaps(labels, labels, domains, num_classes=8) == {"demographic_parity": pytest.approx(0.05), "groups": 0}
    with pytest.raises(MetricUndefined, match="needs two with 10 images, there are 1"):
        gaps(labels, labels, np.r_[domains[:35], [2] * 5] * 0, num_classes=8)
