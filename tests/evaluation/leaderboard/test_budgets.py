"""Matched budgets and the Pareto front."""

import math

import numpy as np
import pytest

from disentangle_bench.evaluation.leaderboard.budgets import equality, front, match, spent, tradeoff
from disentangle_bench.evaluation.leaderboard.summary import leaderboard, to_markdown
from tests.evaluation.leaderboard.conftest import at
from tests.evaluation.leaderboard.made import leak


def test_front_of_known_points():
    cost = np.array([1.0, 2.0, 2.0, 3.0, 3.0, 0.5])
    gain = np.array([0.5, 0.7, 0.7, 0.6, 0.9, 0.5])
    # equal points stand together; (1, 0.5) loses to (0.5, 0.5), which is as good and cheaper
    assert front(cost, gain).tolist() == [False, True, True, False, True, True]


def test_front_against_brute_force():
    rng = np.random.default_rng(0)
    cost, gain = rng.integers(0, 6, 60).astype(float), rng.integers(0, 6, 60).astype(float)
    for i, kept in enumerate(front(cost, gain)):
        beaten = any(
            cost[j] <= cost[i] and gain[j] >= gain[i] and (cost[j], gain[j]) != (cost[i], gain[i]) for j in range(60)
        )
        assert kept == (not beaten)


def runs(record):
    """A method that passes two views an image, one that passes four, and one that doesn't train."""
    found = []
    for epochs in (10, 20, 40):
        for method, views in (("two", 2), ("four", 4)):
            images = 100 * epochs
            cost = {"images_seen": images, "forward_passes": views * images, "train_seconds": 6.0 * epochs * views}
            found.append(record(method=method, budget={"epochs": epochs}, cost=cost))
            found[-1]["provenance"]["epoch"] = epochs
    found.append(record(method="pixels", cost={"images_seen": 0, "forward_passes": 0, "train_seconds": 0.0}))
    found[-1]["provenance"]["epoch"] = 0
    return found


def kept(found):
    return [(r["cell"]["method"], r["provenance"]["epoch"]) for r in found.values()]


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("epochs", [("two", 40), ("four", 40), ("pixels", 0)]),
        ("images", [("two", 40), ("four", 40), ("pixels", 0)]),
        ("forward_passes", [("four", 20), ("two", 40), ("pixels", 0)]),
        ("minutes", [("four", 20), ("two", 40), ("pixels", 0)]),
    ],
)
def test_budgets_match_by_the_unit_asked_for(record, by, wanted):
    assert kept(match(at(runs(record)), by)) == wanted


@pytest.mark.parametrize(("epochs", "equal"), [(19, True), (17, False)])
def test_amounts_within_the_tolerance_count_as_equal(record, epochs, equal):
    two, four = record(method="two"), record(method="four")
    two["provenance"]["epoch"], four["provenance"]["epoch"] = 20, epochs
    assert kept(match(at([two, four]), "epochs")) == ([("two", 20), ("four", epochs)] if equal else [])


def test_budgets_are_spent_in_known_units(record):
    assert spent(runs(record)[0], "minutes") == 2.0
    unknown = record()
    unknown["provenance"]["epoch"] = None
    assert math.isnan(spent(unknown, "epochs"))
    assert kept(match(at([record(method="two"), unknown]), "epochs")) == [("two", 30)], "it may have trained for long"
    with pytest.raises(ValueError, match="not 'steps'"):
        match({}, "steps")


def test_the_table_says_which_costs_are_equal(record):
    frame = leaderboard(match(at(runs(record)), "forward_passes"))
    said = equality(frame)
    assert "equal within 10%: forward passes (8,000)" in said
    assert "unequal: images seen (2,000 to 4,000)" in said
    assert said in to_markdown(frame)


def test_tradeoff_joins_figures_with_costs(record):
    frame = leaderboard(at(runs(record)))
    table = tradeoff(frame, ("linear@1", "top1", "class"), "forward_passes")
    assert table["cost"].tolist() == [0, 2000, 4000, 4000, 8000, 8000, 16000]
    assert table["front"].tolist() == [True] + 6 * [False]  # all are equally accurate: the free one beats them


def test_of_what_should_be_low_the_lowest_is_in_front(record):
    costs = {"a": 1.0, "b": 2.0, "c": 3.0}
    leaks = {"a": 0.5, "b": 0.6, "c": 0.2}
    found = [record(method=m, cost={"train_seconds": costs[m]}, metrics=[leak(leaks[m])]) for m in costs]
    table = tradeoff(leaderboard(at(found)), ("leakage@4", "leakage", "color"), "train_seconds")
    assert dict(zip(table["method"], table["front"], strict=True)) == {"a": True, "b": False, "c": True}


def test_settings_that_two_methods_share_are_no_error(record):
    records = [record(method=m, top1=v, cost={"train_seconds": c}) for m, v, c in (("a", 0.5, 1.0), ("b", 0.9, 2.0))]
    for each in records:
        each["cell"]["settings"] = "same"
    table = tradeoff(leaderboard(at(records)), ("linear@1", "top1", "class"), "train_seconds")
    assert table["cost"].tolist() == [1, 2]
