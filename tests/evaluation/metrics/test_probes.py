"""Probes against scikit-learn, the nearest-neighbour figures, closed forms and their undefined cases."""

import sys

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from disentangle_bench.evaluation.metrics import MetricUndefined
from disentangle_bench.evaluation.metrics.neighbours import nearest, products
from disentangle_bench.evaluation.metrics.probes import (
    L2_GRID,
    informativeness,
    knn,
    knn_scores,
    linear_probe,
    logistic,
    mlp_answers,
    mlp_probe,
    ridge_probe,
)
from disentangle_bench.evaluation.metrics.probes.scoring import joint_weights
from tests.evaluation.metrics.made import blobs, halves, noise

# ---- nearest neighbours


@pytest.mark.parametrize("case", ["knn_a", "knn_b"])
def test_knn_meets_reference_figures(golden, case):
    file = golden(f"metrics/{case}")
    options = {"num_classes": file.options["num_classes"], "k": file.options["k"], "temperature": file.options["t"]}
    scores = knn_scores(file["in_bank"], file["in_bank_labels"], file["in_feature"], **options)
    np.testing.assert_allclose(scores, file["out_scores"], rtol=1e-9)
    ranking = np.argsort(-scores, axis=1, kind="stable")
    for row, expected, scored in zip(ranking, file["out_ranking"], file["out_n_scored"], strict=True):
        assert (row[:scored] == expected[:scored]).all()
    result = knn(file["in_bank"], file["in_bank_labels"], file["in_feature"], file["in_query_labels"], **options)
    assert result["top1"] == pytest.approx(file["out_top1_accuracy"].item())


def test_knn_perfect_chance_scale_and_blocks(monkeypatch):
    data = blobs()
    assert knn(*data, num_classes=4, k=20) == {"top1": 1.0, "top5": 1.0}
    assert knn(*noise(), num_classes=4)["top1"] == pytest.approx(0.25, abs=0.03)
    data = blobs(spread=0.7, classes=8, dim=5)
    base = knn_scores(*data[:3], num_classes=8, k=20)
    lengths = np.random.default_rng(0).uniform(0.01, 100, size=(len(data[0]), 1))
    np.testing.assert_allclose(knn_scores(data[0] * lengths, data[1], data[2] * 9, num_classes=8, k=20), base)
    assert 0.5 < knn(*data, num_classes=8, k=20)["top1"] < knn(*data, num_classes=8, k=20)["top5"]
    monkeypatch.setattr(sys.modules[knn.__module__], "SIMILARITIES", 1)
    np.testing.assert_allclose(knn_scores(*data[:3], num_classes=8, k=20), base, rtol=1e-12)


def test_equally_near_rows_count_by_position_on_any_number_of_threads():
    rng = np.random.default_rng(0)
    rows = rng.integers(3, size=(3000, 3)).astype(np.float32)  # few directions: most of them many times
    y, queries = rng.integers(5, size=3000), rng.integers(3, size=(300, 3)).astype(np.float32)
    queries[0] = 0
    found = []
    for threads in (1, 2, 8):
        torch.set_num_threads(threads)
        found.append(knn_scores(rows, y, queries, num_classes=5, k=20))
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()
    length = np.maximum(np.linalg.norm(rows, axis=1), 1e-12)
    cosine = torch.from_numpy(np.round(queries @ rows.T / length, 6))
    for part in (cosine, cosine[:, :500]):  # the larger one is selected from in another way than the smaller one
        _, index = nearest(part, 20)
        expected = np.argsort(-part.numpy(), axis=1, kind="stable")[:, :20]
        assert (index.numpy() == expected).all()
    assert (np.bincount(y[:20], minlength=5) == found[0][0]).all()  # all cosines of a row of zeros are 0


def test_products_have_one_order_of_sums_on_any_number_of_threads():
    rng = torch.Generator().manual_seed(0)
    queries, rows = torch.randn(64 * 3 + 7, 300, generator=rng), torch.randn(5001, 300, generator=rng)
    found = []
    for threads in (1, 2, 8):
        torch.set_num_threads(threads)
        found.append(products(queries, rows))
    torch.testing.assert_close(found[0], queries @ rows.T)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_knn_weights_neighbours_by_similarity():
    bank, labels = np.array([[1.0, 0.0], [0.6, 0.8], [0.6, -0.8]]), np.array([0, 1, 1])
    query = np.array([[1.0, 0.0]])
    expected = [[np.exp(1 / 0.5), 2 * np.exp(0.6 / 0.5)]]
    np.testing.assert_allclose(knn_scores(bank, labels, query, num_classes=2, k=3, temperature=0.5), expected)
    assert knn(bank, labels, query, [0], num_classes=2, k=3, temperature=0.1)["top1"] == 1.0
    assert knn(bank, labels, query, [0], num_classes=2, k=3, temperature=2.0)["top1"] == 0.0


# ---- MLP and ridge


def test_mlp_probe_perfect_chance_and_seed():
    state = torch.random.get_rng_state()
    first = mlp_probe(*blobs(n=1200), num_classes=4, seed=1)
    assert first["top1"] > 0.99
    assert torch.equal(state, torch.random.get_rng_state())
    assert first == mlp_probe(*blobs(n=1200), num_classes=4, seed=1)
    assert first != mlp_probe(*blobs(n=1200), num_classes=4, seed=2)
    scores = mlp_probe(*noise(n=2000), num_classes=4)
    assert scores["top1"] == pytest.approx(0.25, abs=0.05)


def test_mlp_probe_stops_after_more_than_seven_epochs_without_a_better_one(monkeypatch):
    drawn, randperm = [], torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda *args, **options: drawn.append(1) or randperm(*args, **options))
    scores = mlp_probe(*noise(n=600), num_classes=4)
    assert len(drawn) == scores["epochs"] + 8 < 100


def test_mlp_probe_answers_by_the_weights_of_its_best_epoch_and_for_each_row_alone():
    train_x, train_y, test_x, _ = noise(n=600)
    answers, best = mlp_answers(train_x, train_y, test_x, num_classes=4)
    stopped, last = mlp_answers(train_x, train_y, test_x, num_classes=4, epochs=best)
    assert last == best
    assert torch.equal(answers, stopped), "though it went on for eight epochs"
    few, _ = mlp_answers(train_x, train_y, test_x[:5], num_classes=4, epochs=best)
    torch.testing.assert_close(few, answers[:5])


def test_mlp_probe_sees_what_a_linear_one_cannot():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 4))
    data = halves(x, (x[:, 0] * x[:, 1] > 0).astype(int))
    assert linear_probe(*data, num_classes=2)["top1"] < 0.6
    assert mlp_probe(*data, num_classes=2)["top1"] > 0.9


def test_ridge_probe_continuous():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5))
    target = x @ rng.normal(size=5) * 30 + 1000
    clean = halves(x, target)
    assert ridge_probe(*clean)["r2"] == pytest.approx(1, abs=1e-6)
    noisy = halves(x, target + target.std() * rng.normal(size=600))
    base = ridge_probe(*noisy)["r2"]
    assert base == pytest.approx(0.5, abs=0.08)
    scaled = ridge_probe(noisy[0] * 100 - 3, noisy[1] * 1e-5, noisy[2] * 100 - 3, noisy[3] * 1e-5)["r2"]
    assert scaled == pytest.approx(base, abs=1e-6)
    assert ridge_probe(*halves(x, rng.normal(size=600)))["r2"] == pytest.approx(0, abs=0.03)


def test_ridge_probe_circular_knows_that_angles_wrap():
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, size=800)
    data = halves(np.stack([np.cos(angle), np.sin(angle)], axis=1), angle)
    assert ridge_probe(*data, circular=True)["r2"] == pytest.approx(1, abs=1e-6)
    assert ridge_probe(*data)["r2"] < 0.8
    turned = (data[0], data[1] + 2 * np.pi, data[2], data[3] - 4 * np.pi)
    assert ridge_probe(*turned, circular=True)["r2"] == pytest.approx(1, abs=1e-6)
    # half of the information: only the cosine is there
    half = ridge_probe(data[0][:, :1], data[1], data[2][:, :1], data[3], circular=True)["r2"]
    assert half == pytest.approx(0.5, abs=0.03)


def test_ridge_probe_takes_the_strength_of_lowest_validation_error():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(460, 40)), rng.normal(size=40)
    y = x @ w + 8 * rng.normal(size=460)
    train, val, test = slice(0, 60), slice(60, 260), slice(260, None)
    found = ridge_probe(x[train], y[train], x[test], y[test], val=(x[val], y[val]))["r2"]
    mean, std = x[train].mean(0), x[train].std(0)
    z, t = (x - mean) / std, (y - y[train].mean()) / y[train].std()
    fits = [Ridge(60 * l2).fit(z[train], t[train]) for l2 in L2_GRID]
    best = min(fits, key=lambda model: ((t[val] - model.predict(z[val])) ** 2).mean())
    assert found == pytest.approx(best.score(z[test], t[test]), abs=1e-6)
    assert found > max(Ridge(1e-9).fit(z[train], t[train]).score(z[test], t[test]), 0)
    weights = (np.ones(60), np.ones(200), np.ones(200))
    weighed = ridge_probe(x[train], y[train], x[test], y[test], val=(x[val], y[val]), weights=weights)["r2"]
    assert weighed == pytest.approx(found, abs=1e-9)


def test_what_weighs_nothing_is_not_fitted_not_picked_on_and_not_scored():
    """Of every part a second half with targets turned round, under weights of 0."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 3)), rng.normal(size=120)
    y = x @ [1.0, 2.0, 3.0] + 0.5 * y
    parts = [slice(0, 40), slice(40, 80), slice(80, 120)]
    alone = [(x[part], y[part]) for part in parts]
    both = [(np.r_[a, a], np.r_[b, 2 * b.mean() - b]) for a, b in alone]
    weights = tuple(np.repeat([1.0, 0.0], 40) for _ in parts)
    found = ridge_probe(*both[0], *both[2], val=both[1], weights=weights)["r2"]
    assert found == pytest.approx(ridge_probe(*alone[0], *alone[2], val=alone[1])["r2"], abs=0.01)
    assert found > 0.9
    test_alone = ridge_probe(*alone[0], *both[2], val=alone[1], weights=(None, None, weights[2]))["r2"]
    assert test_alone == pytest.approx(ridge_probe(*alone[0], *alone[2], val=alone[1])["r2"], abs=1e-9)


def test_each_part_has_as_much_weight_as_it_has_rows():
    joint = joint_weights(np.array([1.0, 3.0]), np.array([10.0, 10.0, 10.0]), 2, 3)
    assert joint.tolist() == [0.5, 1.5, 1, 1, 1]
    assert joint_weights(None, np.array([2.0, 0.0]), 1, 2).tolist() == [1, 2, 0]
    assert joint_weights(None, None, 1, 2) is None


def test_what_misleads_is_as_informative_as_a_constant_guess():
    x, y = np.eye(2)[np.arange(100) % 2], np.arange(100) % 2
    assert informativeness(x, y, x, y, num_classes=2)["told"] == 1
    assert informativeness(x, y, x, 1 - y, num_classes=2)["told"] == 0


def test_weights_count_a_sample_as_often_as_they_say():
    train_x, train_y, _, _ = blobs(n=300, spread=1.5)
    times = np.random.default_rng(3).integers(0, 4, size=len(train_x))
    again = np.repeat(np.arange(len(train_x)), times)
    x = torch.from_numpy(train_x).float()
    axes = logistic.Axes(x)
    weighed = logistic.SoftmaxRegression(x, torch.from_numpy(train_y), 4, axes, torch.from_numpy(times))
    repeated = logistic.SoftmaxRegression(x[again], torch.from_numpy(train_y[again]), 4, axes)
    for one, other in zip(*(p.minimum(1e-2, p.start()) for p in (weighed, repeated)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


# ---- what is undefined or wrong


@pytest.mark.parametrize("probe", [linear_probe, mlp_probe, knn])
def test_undefined_and_wrong_inputs(probe):
    train_x, train_y, test_x, test_y = blobs()

    def broken(x: np.ndarray) -> np.ndarray:
        x = x.copy()
        x[3, 1], x[4, :2] = np.inf, np.nan
        return x

    with pytest.raises(MetricUndefined, match="train_x: features contain 3 non-finite values"):
        probe(broken(train_x), train_y, test_x, test_y, num_classes=4)
    with pytest.raises(MetricUndefined, match="test_x: features contain 3 non-finite values"):
        probe(train_x, train_y, broken(test_x), test_y, num_classes=4)
    with pytest.raises(MetricUndefined, match="train_x is empty"):
        probe(train_x[:0], train_y[:0], test_x, test_y, num_classes=4)
    with pytest.raises(ValueError, match=r"\(199,\) but train_x \(200, 12\)"):
        probe(train_x, train_y[1:], test_x, test_y, num_classes=4)
    with pytest.raises(ValueError, match=r"\(200, 12\) but test_x \(200, 11\)"):
        probe(train_x, train_y, test_x[:, 1:], test_y, num_classes=4)
    with pytest.raises(ValueError, match=r"\[N, D\], got \(200,\)"):
        probe(train_x[:, 0], train_y, test_x, test_y, num_classes=4)
    with pytest.raises(ValueError, match=r"test_y holds labels 0 to 3, outside \[0, 3\)"):
        probe(train_x, np.minimum(train_y, 2), test_x, test_y, num_classes=3)


def test_other_undefined_cases():
    train_x, train_y, test_x, test_y = blobs()
    with pytest.raises(MetricUndefined, match="k = 201 has only 200"):
        knn(train_x, train_y, test_x, test_y, num_classes=4, k=201)
    with pytest.raises(MetricUndefined, match="constant"):
        knn(np.ones_like(train_x), train_y, test_x, test_y, num_classes=4)
    with pytest.raises(MetricUndefined, match="don't vary"):
        ridge_probe(train_x, train_y * 1.0, test_x, np.ones(200))
    with pytest.raises(MetricUndefined, match="train_y holds 1 non-finite"):
        ridge_probe(train_x, np.r_[np.nan, train_y[1:]], test_x, test_y)
    with pytest.raises(MetricUndefined, match="3 training samples"):
        mlp_probe(train_x[[0, 0]], [0, 0], test_x, test_y, num_classes=4)
    with pytest.raises(ValueError, match="positive"):
        linear_probe(train_x, train_y, test_x, test_y, num_classes=4, l2_grid=[0.0])
    with pytest.raises(ValueError, match="fraction"):
        linear_probe(train_x, train_y, test_x, test_y, num_classes=4, val=1.5)


def test_more_features_than_rows_give_the_minimum_of_scikit_learn():
    """Reduced to the span of the rows, the problem has the same minimum."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(60, 200)), np.arange(60) % 3
    test_x, test_y = rng.normal(size=(40, 200)), np.arange(40) % 3
    l2 = 0.01
    ours = linear_probe(x, y, test_x, test_y, num_classes=3, l2_grid=[l2])
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=1 / (l2 * len(x)), tol=1e-10, max_iter=10_000).fit(scaler.transform(x), y)
    assert ours["nll"] == pytest.approx(log_loss(test_y, model.predict_proba(scaler.transform(test_x))), abs=1e-3)
