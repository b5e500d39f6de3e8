"""Disentanglement scores against the reference figures, closed forms and their undefined cases."""

import numpy as np
import pytest

from disentangle_bench.evaluation.metrics import MetricUndefined
from disentangle_bench.evaluation.metrics import disentanglement as dis
from tests.evaluation.metrics.made import KINDS, perfect_and_noise, splits, world


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
