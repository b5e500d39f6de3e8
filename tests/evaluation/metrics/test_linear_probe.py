"""The linear probe against scikit-learn and closed forms; what all probes share."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits
from torchmetrics.functional.classification import multiclass_calibration_error

from disentangle_bench.evaluation.metrics import MetricUndefined
from disentangle_bench.evaluation.metrics.probes import (
    L2_GRID,
    knn,
    linear_probe,
    logistic,
    mlp_probe,
)
from disentangle_bench.evaluation.metrics.probes.linear import SMALL
from disentangle_bench.evaluation.metrics.probes.scoring import calibration_error, held_out
from tests.evaluation.metrics.made import blobs, halves, noise


@pytest.mark.parametrize("load", [load_digits, load_wine, load_breast_cancer])
@pytest.mark.parametrize("l2", [1e-1, 1e-3, 1e-5])
def test_linear_probe_is_converged_logistic_regression(load, l2):
    train_x, train_y, test_x, test_y = halves(*load(return_X_y=True))
    scores = linear_probe(train_x, train_y, test_x, test_y, num_classes=train_y.max() + 1, l2_grid=[l2])
    mean, std = train_x.mean(0), train_x.std(0)
    std[std == 0] = 1
    model = LogisticRegression(C=1 / (l2 * len(train_x)), tol=1e-7, max_iter=20_000)
    with threadpool_limits(1):
        model.fit((train_x - mean) / std, train_y)
    probability = model.predict_proba((test_x - mean) / std)
    assert scores["nll"] == pytest.approx(log_loss(test_y, probability), abs=1e-3)
    assert scores["top1"] == pytest.approx((probability.argmax(1) == test_y).mean(), abs=1e-12)
    error = multiclass_calibration_error(
        torch.from_numpy(probability), torch.from_numpy(test_y), probability.shape[1], n_bins=15
    )
    assert scores["ece"] == pytest.approx(error.item(), abs=2e-3)


def test_linear_probe_of_many_rows_is_converged_too():
    # more rows than are added up at once, and more than fit into one block of logits
    train = blobs(n=40_000, classes=3, dim=8, spread=1.5)
    scores = linear_probe(*train, num_classes=3, l2_grid=[1e-4])
    mean, std = train[0].mean(0), train[0].std(0)
    model = LogisticRegression(C=1 / (1e-4 * len(train[0])), tol=1e-9).fit((train[0] - mean) / std, train[1])
    expected = log_loss(train[3], model.predict_proba((train[2] - mean) / std))
    assert scores["nll"] == pytest.approx(expected, abs=1e-5)


def test_blocks_of_rows_do_not_change_the_loss(monkeypatch):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(3 * logistic.CHUNK + 5, 7)).astype(np.float32))
    y = torch.from_numpy(rng.integers(4, size=len(x)))
    weight, bias = torch.from_numpy(rng.normal(size=(4, 7))), torch.from_numpy(rng.normal(size=4))
    problem = logistic.SoftmaxRegression(x, y, 4, logistic.Axes(x))
    whole = problem.loss(weight, bias)
    monkeypatch.setattr(logistic, "LOGITS", 1)
    parts = problem.loss(weight, bias)
    w, b = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    expected = torch.nn.functional.cross_entropy(x.double() @ w.T + b, y)
    expected.backward()
    for value, grad_weight, grad_bias, spread in (whole, parts):
        assert value == pytest.approx(expected.item(), rel=1e-6)
        torch.testing.assert_close(grad_weight, w.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(grad_bias, b.grad, rtol=1e-4, atol=1e-6)
        p = (x.double() @ weight.T + bias).softmax(1)
        assert spread == pytest.approx((p * (1 - p)).mean().item(), rel=1e-5)


def test_linear_probe_takes_the_strength_of_lowest_validation_loss():
    train_x, train_y, test_x, test_y = blobs(n=300, dim=40, spread=3.0)
    grid = [10.0, 0.1, 1e-3, 1e-5]
    fit, held = (train_x[:100], train_y[:100]), (train_x[100:], train_y[100:])
    losses = {}
    for l2 in grid:
        mean, std = train_x.mean(0), train_x.std(0)
        model = LogisticRegression(C=1 / (l2 * 100), tol=1e-8, max_iter=9999).fit((fit[0] - mean) / std, fit[1])
        losses[l2] = log_loss(held[1], model.predict_proba((held[0] - mean) / std))
    best = min(losses, key=losses.__getitem__)
    scores = linear_probe(*fit, test_x, test_y, num_classes=4, val=held, l2_grid=grid)
    assert scores["l2"] == best == 0.1
    # and the chosen one is fitted on all of them
    assert scores == pytest.approx(
        linear_probe(train_x, train_y, test_x, test_y, num_classes=4, l2_grid=[best]), abs=1e-5
    )


def test_of_strengths_that_do_as_well_the_linear_probe_takes_the_strongest():
    nothing, y = np.zeros((20, 3)), np.arange(20) % 2
    assert linear_probe(nothing, y, nothing, y, num_classes=2, val=(nothing, y))["l2"] == max(L2_GRID)


def test_linear_probe_perfect_and_chance():
    scores = linear_probe(*blobs(), num_classes=4)
    assert scores["top1"] == scores["balanced"] == scores["top5"] == 1.0
    assert scores["nll"] < 1e-3
    assert scores["ece"] < 1e-3
    scores = linear_probe(*noise(), num_classes=4)
    assert scores["top1"] == pytest.approx(0.25, abs=0.03)
    assert scores["nll"] == pytest.approx(np.log(4), abs=5e-3)
    assert scores["ece"] < 0.05


def test_linear_probe_top5_and_balanced():
    train_x, train_y, test_x, test_y = noise(classes=10)
    scores = linear_probe(train_x, train_y, test_x, test_y, num_classes=10)
    assert scores["top5"] == pytest.approx(0.5, abs=0.04)
    # constant features: the majority class is all that is left
    ones, skew = np.ones((100, 3)), np.r_[np.zeros(70, int), np.ones(30, int)]
    scores = linear_probe(ones, skew, ones, skew, num_classes=3)
    assert scores["top1"] == 0.7
    assert scores["balanced"] == 0.5
    assert scores["nll"] == pytest.approx(-0.7 * np.log(0.7) - 0.3 * np.log(0.3), abs=1e-4)


def test_linear_probe_ignores_scale_shift_and_order_of_dimensions():
    train_x, train_y, test_x, test_y = blobs(n=600, spread=1.5)
    base = linear_probe(train_x, train_y, test_x, test_y, num_classes=4, l2_grid=[1e-3])
    order, factor = np.random.default_rng(2).permutation(12), np.logspace(-4, 4, 12)
    moved = linear_probe(
        train_x[:, order] * factor + 7 * factor, train_y, test_x[:, order] * factor + 7 * factor, test_y,
        num_classes=4, l2_grid=[1e-3],
    )  # fmt: skip
    assert moved == pytest.approx(base, abs=1e-5)
    renamed = linear_probe(train_x, 3 - train_y, test_x, 3 - test_y, num_classes=4, l2_grid=[1e-3])
    assert renamed == pytest.approx(base, abs=1e-5)


def test_a_class_without_training_samples_is_scored_as_missed():
    train_x, train_y, test_x, test_y = blobs()
    seen = train_y != 2
    scores = linear_probe(train_x[seen], train_y[seen], test_x, test_y, num_classes=4)
    share = (test_y == 2).mean()
    assert scores["top1"] == pytest.approx(1 - share)
    assert scores["balanced"] == pytest.approx(0.75)
    assert scores["nll"] == pytest.approx(-share * np.log(np.finfo(np.float64).eps), abs=1e-2)
    one = train_y == 1
    assert linear_probe(train_x[one], train_y[one], test_x, test_y, num_classes=4)["top1"] == (test_y == 1).mean()
    assert mlp_probe(train_x[seen], train_y[seen], test_x, test_y, num_classes=4)["top1"] < 0.8
    assert knn(train_x[seen], train_y[seen], test_x, test_y, num_classes=4, k=5)["top1"] == pytest.approx(1 - share)


@pytest.mark.parametrize("probe", [linear_probe, mlp_probe, knn])
def test_probes_do_not_depend_on_threads_autocast_or_matmul_precision(probe):
    data = blobs(n=6000, dim=20, spread=1.5)
    options = {"epochs": 2} if probe is mlp_probe else {}
    base = probe(*data, num_classes=4, **options)
    torch.set_num_threads(2)
    assert probe(*data, num_classes=4, **options) == pytest.approx(base, abs=1e-6)
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert probe(*data, num_classes=4, **options) == base
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    # bfloat16 features are the same numbers in float32
    half = [torch.from_numpy(part).bfloat16() if i % 2 == 0 else part for i, part in enumerate(data)]
    full = [part.float().numpy() if i % 2 == 0 else part for i, part in enumerate(half)]
    assert probe(*half, num_classes=4, **options) == probe(*full, num_classes=4, **options)


def test_linear_probe_on_all_threads_has_one_result():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(14_000, 256)).astype(np.float32)
    y = (x[:, :24] + 2 * rng.normal(size=(14_000, 24))).argmax(1)
    assert SMALL <= 13_000 * 256 * 24  # below that, one thread does it all
    runs = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        runs.append(linear_probe(x[:13_000], y[:13_000], x[13_000:], y[13_000:], num_classes=24, l2_grid=[1e-3]))
        assert torch.get_num_threads() == threads
    assert runs[0] == pytest.approx(runs[1], abs=1e-6)


def test_validation_split_is_stratified_seeded_and_spares_the_last_of_a_class():
    y = np.repeat([0, 1, 2, 3], [70, 20, 9, 1])
    held = held_out(y, 0.1, seed=0)
    assert [held[y == c].sum() for c in range(4)] == [7, 2, 1, 0]
    assert (held == held_out(y, 0.1, seed=0)).all()
    assert (held != held_out(y, 0.1, seed=1)).any()
    assert held_out(np.array([0, 0, 1]), 0.1, seed=0).sum() == 1
    with pytest.raises(MetricUndefined, match="leave none for validation"):
        held_out(np.array([0, 1]), 0.1, seed=0)


def test_calibration_error_is_that_of_torchmetrics():
    probability = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(3), size=500))
    y = torch.from_numpy(np.random.default_rng(1).integers(3, size=500))
    right = (probability.argmax(1) == y).numpy()
    ours = calibration_error(probability.amax(1).numpy(), right)
    expected = multiclass_calibration_error(probability, y, 3, n_bins=15)
    assert ours == pytest.approx(expected.item(), abs=1e-6)
    # neighbouring bins don't make up for each other
    ours = calibration_error(np.repeat([0.9, 0.98], 5), np.repeat([True, False], 5))
    assert ours == pytest.approx(0.5 * 0.1 + 0.5 * 0.98)
    # a bin's upper end is its own: 0.2 is in that of 0.19
    assert calibration_error(np.array([0.2, 0.19]), np.array([True, False])) == pytest.approx((0.8 - 0.19) / 2)
