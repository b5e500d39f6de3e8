"""Rows are told apart by what their runs differ in."""

import pytest

from disentangle_bench.evaluation.leaderboard.naming import method_labels
from disentangle_bench.evaluation.leaderboard.summary import (
    leaderboard,
    to_html,
    to_markdown,
)
from tests.evaluation.leaderboard.conftest import at
from tests.evaluation.leaderboard.made import body


def test_two_settings_of_a_method_are_never_averaged(record):
    records = [record(seed=s, top1=0.9, options={"temperature": 0.5, "dim": 8}) for s in range(2)]
    records += [record(seed=s, top1=0.1, options={"temperature": 0.1, "dim": 8}) for s in range(2)]
    records += [record("other", seed=0, top1=0.3, options={"temperature": 0.5, "dim": 8})]
    frame = leaderboard(at(records))
    top1 = frame[(frame["score"] == "top1") & (frame["dataset"] == "digits")]
    assert dict(zip(top1["method"], top1["mean"], strict=True)) == {
        "simclr (temperature=0.5)": pytest.approx(0.9),
        "simclr (temperature=0.1)": pytest.approx(0.1),
    }
    assert set(frame.loc[frame["dataset"] == "other", "method"]) == {"simclr (temperature=0.5)"}


def test_a_method_with_one_setting_keeps_its_name_though_budgets_differ_between_data_sets(record):
    labels = method_labels([record("a", budget={"epochs": 3}), record("b", budget={"epochs": 5})])
    assert set(labels.values()) == {"simclr"}


def test_an_encoder_from_elsewhere_with_the_name_of_a_method_is_told_by_its_source(record):
    """Both names stay short, also where two encoders share one and differ in their weights."""
    judged = [record(options={"encoder": "mine.make", "weights": digit * 32, "mean": [0.0]}) for digit in "ab"]
    for one in judged:
        one["provenance"]["labels_from"] = "nobody"
    assert set(method_labels([record(options={"temperature": 0.5}), judged[0]]).values()) == {
        "simclr",
        "simclr (mine.make)",
    }
    assert set(method_labels(judged).values()) == {"simclr (weights=aaaaaaaa)", "simclr (weights=bbbbbbbb)"}
    assert set(method_labels(judged[:1]).values()) == {"simclr"}


def test_settings_that_differ_in_no_option_are_told_apart_by_their_hash(record):
    other = record(seed=1)
    other["cell"]["settings"] = "abcdef0123456789"
    frame = leaderboard(at([record(), other]))
    assert "simclr [abcdef01]" in set(frame["method"])
    assert frame["method"].nunique() == 2


def test_equal_names_and_equal_settings_of_different_methods_are_told_apart(record):
    one, other = record(method="simclr"), record(method="simclr [abcdef01]", top1=0.2)
    twin = record(method="simclr", seed=1, top1=0.4)
    for each in (one, other):
        each["cell"]["settings"] = "abcdef0123456789"
    twin["cell"]["settings"] = "abcdef01ffffffff"
    frame = leaderboard(at([one, other, twin]))
    tops = frame[frame["score"] == "top1"]
    assert sorted(tops["mean"]) == [0.2, 0.4, 0.9]
    assert len(body(to_markdown(frame))) == 3
    assert to_html(frame)
