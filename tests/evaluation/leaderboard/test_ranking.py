"""Ranks and interquartile means over data sets."""

import numpy as np
import pytest
from scipy import stats

from disentangle_bench.evaluation.leaderboard.frame import observations
from disentangle_bench.evaluation.leaderboard.ranking import _overall, overall
from tests.evaluation.leaderboard.conftest import at


def runs(record, figures):
    """`figures[data set][method]`: a figure a seed."""
    return observations(
        at(
            record(dataset, method, seed, value)
            for dataset, methods in figures.items()
            for method, values in methods.items()
            for seed, value in enumerate(values)
        )
    )


def test_mean_ranks_and_places_of_known_figures(record):
    figures = {
        "a": {"x": [0.9, 0.92], "y": [0.8, 0.82], "z": [0.1, 0.12]},
        "b": {"x": [0.5, 0.52], "y": [0.6, 0.62], "z": [0.1, 0.12]},
        "c": {"x": [0.5, 0.52], "y": [0.5, 0.52], "z": [0.1, 0.12]},
    }
    table = overall(runs(record, figures)).set_index("method")
    assert table["mean_rank"].to_dict() == {"x": 1.5, "y": 1.5, "z": 3.0}  # x: 1, 2, 1.5
    assert table["place"].to_dict() == {"x": 1, "y": 1, "z": 3}  # equal ranks share a place
    assert table["rank_low"].isna().all()  # three data sets say too little of others


def test_a_method_is_ranked_by_the_space_that_it_declared(record):
    better = {"measure": "linear@1", "space": "projection", "scores": {"top1": 0.99}}
    found = [record(method="x", top1=0.5, metrics=[better]), record(method="y", top1=0.6)]
    table = overall(observations(at(found))).set_index("method")
    assert table["place"].to_dict() == {"y": 1, "x": 2}


def test_interquartile_mean_of_known_figures(record):
    x = [[0.9, 0.94, 0.86, 0.9], [0.8, 0.84, 0.72, 0.84]]
    figures = {"a": {"x": x[0], "z": [0.1] * 4}, "b": {"x": x[1], "z": [0.4] * 4}}
    table = overall(runs(record, figures)).set_index("method")
    scaled = np.concatenate([(np.array(x[0]) - 0.1) / 0.8, (np.array(x[1]) - 0.4) / 0.4])
    assert table.loc["x", "iqm"] == pytest.approx(stats.trim_mean(scaled, 0.25))
    assert table.loc["z", "iqm"] == 0


def test_intervals_of_four_data_sets(record):
    figures = {str(d): {"x": [0.9, 0.92], "y": [0.8 + 0.05 * d, 0.82], "z": [0.1, 0.12]} for d in range(4)}
    table = overall(runs(record, figures)).set_index("method")
    assert (table["rank_low"] <= table["mean_rank"]).all()
    assert (table["mean_rank"] <= table["rank_high"]).all()
    assert table.loc["z", ["rank_low", "rank_high"]].tolist() == [3, 3]
    assert table.loc["x", "iqm_low"] < table.loc["x", "iqm"] <= table.loc["x", "iqm_high"]


def test_intervals_are_at_the_expanded_percentiles_of_all_resamples():
    """Six data sets of one seed: all 6^6 resamples, at Phi(t sqrt(6 / 5)), t of five degrees of freedom."""
    x = np.array([0.05, 0.12, 0.3, 0.5, 0.61, 0.95])
    found = _overall(
        [[np.array([value]) for value in row] for row in (x, x * 0, x * 0 + 1)], 50_000, np.random.default_rng(0)
    )
    every = stats.trim_mean(x[np.indices([6] * 6).reshape(6, -1)], 0.25, axis=0)
    tail = 0.002429  # the normal distribution at -2.570582 sqrt(6 / 5), from a table
    low, high = np.quantile(every, [tail, 1 - tail])
    assert (found["iqm_low"][0], found["iqm_high"][0]) == pytest.approx((low, high), abs=0.01)


@pytest.mark.parametrize("spread", [0.03, 0.1])
def test_intervals_hold_the_mean_rank_on_data_sets_like_these(spread):
    """Methods that differ by 1 point, whose order varies with the data set; five data sets, three seeds."""
    rng = np.random.default_rng(0)
    skill, deviation = np.array([0.02, 0.01, 0, -0.01, -0.02]), 0.012 / 3**0.5
    many = skill[:, None] + spread * rng.normal(size=(5, 20_000)) + deviation * rng.normal(size=(5, 20_000))
    truth = stats.rankdata(-many, axis=0).mean(axis=1)
    covered = 0.0
    for _ in range(60):
        base = skill[:, None] + spread * rng.normal(size=(5, 5))
        figures = [[value + 0.012 * rng.normal(size=3) for value in row] for row in base]
        found = _overall(figures, 400, rng)
        covered += ((found["rank_low"] - 1e-9 <= truth) & (truth <= found["rank_high"] + 1e-9)).mean()
    assert covered / 60 >= 0.88  # of 60: 93 % and two standard errors


def test_targets_of_one_data_set_are_no_data_sets(record):
    """Four targets of one data set say nothing of others, and each seed's figure is the mean over them."""
    targets = {"digit": 0.7, "parity": 0.6, "size": 0.4, "slant": 0.3}
    found = [
        record(
            seed=seed,
            method=method,
            metrics=[
                {"space": "features", "measure": "linear@1", "target": target, "scores": {"top1": x - less + seed / 10}}
                for target, x in targets.items()
            ],
        )
        for seed in range(3)
        for method, less in (("x", 0.0), ("y", 0.1))
    ]
    table = overall(observations(at(found)))
    assert table["n"].tolist() == [3, 3]
    assert table["mean_rank"].tolist() == [1, 2]
    assert table["rank_low"].isna().all()


def test_data_sets_with_more_seeds_weigh_no_more_and_keep_their_certainty(record):
    """One data set of two seeds among seven of ten: the others' means are as certain as ten seeds make them."""
    ten, two = ({"x": list(np.linspace(0.5, 0.7, n)), "z": [0.1] * n} for n in (10, 2))
    drawn, few = dict.fromkeys("01234567", ten), dict.fromkeys("01234567", two)
    widths = {}
    for name, figures in {"ten": drawn, "two": few, "mixed": drawn | {"3": two}}.items():
        table = overall(runs(record, figures)).set_index("method")
        widths[name] = (table["iqm_high"] - table["iqm_low"])["x"]
    assert widths["ten"] < widths["mixed"] < 0.7 * widths["two"]
    heights = {d: {"top": 1.0, "x": 0.9 - 0.1 * int(d), "z": 0.1} for d in "0123"}
    doubled = {d: {name: [y] * (1 + int(d)) for name, y in found.items()} for d, found in heights.items()}
    once = {d: {name: values[:1] for name, values in found.items()} for d, found in doubled.items()}
    iqm = [overall(runs(record, figures)).set_index("method")["iqm"]["x"] for figures in (doubled, once)]
    assert iqm[0] == pytest.approx(iqm[1])


def test_methods_that_lack_a_data_set_are_named_not_ranked(record):
    table = overall(runs(record, {"a": {"x": [0.9], "y": [0.8]}, "b": {"x": [0.5]}}))
    assert table["method"].tolist() == ["x"]
    assert table.attrs["left_out"] == ["y"]


def test_nothing_to_rank_is_an_empty_table(record):
    assert len(overall(runs(record, {}))) == 0


def test_the_same_draws_each_time(record):
    figures = {"a": {"x": [0.9, 0.2, 0.5], "y": [0.8, 0.7, 0.6]}}
    assert overall(runs(record, figures)).equals(overall(runs(record, figures)))
