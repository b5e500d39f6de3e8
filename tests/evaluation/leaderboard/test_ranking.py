"""Ranks and interquartile means over data sets."""

import numpy as np
import pytest
from scipy import stats

from disentangle_bench.evaluation.leaderboard.frame import observations
from disentangle_bench.evaluation.leaderboard.ranking import overall


def runs(record, figures):
    """`figures[data set][method]`: a figure a seed."""
    return observations(
        [
            record(dataset, method, seed, value)
            for dataset, methods in figures.items()
            for method, values in methods.items()
            for seed, value in enumerate(values)
        ]
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
    assert (table["rank_low"] <= table["mean_rank"]).all()
    assert (table["mean_rank"] <= table["rank_high"]).all()
    assert table.loc["z", ["rank_low", "rank_high"]].tolist() == [3, 3]
    assert table["ties"].to_dict() == {"x": "y", "y": "x", "z": ""}


def test_interquartile_mean_of_known_figures(record):
    x = [[0.9, 0.94, 0.86, 0.9], [0.8, 0.84, 0.72, 0.84]]
    figures = {"a": {"x": x[0], "z": [0.1] * 4}, "b": {"x": x[1], "z": [0.4] * 4}}
    table = overall(runs(record, figures)).set_index("method")
    scaled = np.concatenate([(np.array(x[0]) - 0.1) / 0.8, (np.array(x[1]) - 0.4) / 0.4])
    assert table.loc["x", "iqm"] == pytest.approx(stats.trim_mean(scaled, 0.25))
    assert table.loc["z", ["iqm", "iqm_low", "iqm_high"]].tolist() == [0, 0, 0]
    assert table.loc["x", "iqm_low"] < table.loc["x", "iqm"] < table.loc["x", "iqm_high"]


def test_one_seed_has_no_interval(record):
    figures = {"a": {"x": [0.9, 0.92], "y": [0.8]}, "b": {"x": [0.5, 0.6], "y": [0.4]}}
    table = overall(runs(record, figures)).set_index("method")
    assert table[["rank_low", "rank_high"]].isna().all(axis=None)
    assert np.isnan(table.loc["y", "iqm_low"])
    assert table.loc["x", "iqm_low"] <= table.loc["x", "iqm_high"]
    assert table["n"].to_dict() == {"x": 2, "y": 1}


def test_methods_that_lack_a_data_set_are_named_not_ranked(record):
    table = overall(runs(record, {"a": {"x": [0.9], "y": [0.8]}, "b": {"x": [0.5]}}))
    assert table["method"].tolist() == ["x"]
    assert table.attrs["left_out"] == ["y"]


def test_nothing_to_rank_is_an_empty_table(record):
    assert len(overall(runs(record, {}))) == 0


def test_the_same_draws_each_time(record):
    figures = {"a": {"x": [0.9, 0.2, 0.5], "y": [0.8, 0.7, 0.6]}}
    assert overall(runs(record, figures)).equals(overall(runs(record, figures)))
