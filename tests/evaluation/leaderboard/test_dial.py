"""The shortcut dial: curves of worst groups over the correlation of the training data, from records alone."""

import copy
from pathlib import Path

import numpy as np
import pytest

from disentangle_bench.evaluation.leaderboard import dial, summary
from disentangle_bench.evaluation.leaderboard.report.page import build_from
from disentangle_bench.evaluation.leaderboard.requested import marked
from disentangle_bench.evaluation.records import seal

from .conftest import at

CORRELATIONS = (0.0, 0.5, 1.0)


def run(make_record, method, correlation, seed, worst, **more):
    """A record of a run at a correlation; its row of a sweep is called by it."""
    row = {"measure": "worst_group@2", "scores": {"worst_group": worst, "top1": 0.9, "gap": 0.1}}
    record = copy.deepcopy(make_record("sprites", method, seed, metrics=[row], **more))
    record["config"]["data"]["correlation"] = correlation
    record["config"]["experiments"] = [
        {"suite": "dial", "label": f"{method} correlation={correlation}", "published": []}
    ]
    record["cell"]["settings"] += f"{correlation}"
    record["cell"]["hash"] += f"{correlation}"
    return seal(record, Path("no outcomes"))


@pytest.fixture
def runs(make_record):
    heights = {"falls": (0.9, 0.6, 0.1), "holds": (0.8, 0.8, 0.7)}
    return [
        run(make_record, method, c, seed, height - 0.01 * seed)
        for method, curve in heights.items()
        for c, height in zip(CORRELATIONS, curve, strict=True)
        for seed in range(3)
    ]


def test_data_from_outside_have_curves_under_their_own_name(runs):
    """As the leaderboard calls them, which the curves' intervals come from."""
    for record in runs:
        record["config"]["names"] = {"dataset": "mine"}
    curves = dial.curves(at(runs))
    assert {curve.dataset for curve in curves} == {"mine"}
    assert set(dial.figures(curves, summary.leaderboard(at(runs)))["dataset"]) == {"mine"}


def test_the_area_is_the_mean_height_of_each_seeds_curve(runs):
    falls, holds = dial.curves(at(runs))
    assert (falls.method, holds.method) == ("falls", "holds")
    expected = 0.5 * (0.9 + 0.6) / 2 + 0.5 * (0.6 + 0.1) / 2
    assert falls.areas(CORRELATIONS) == pytest.approx({seed: expected - 0.01 * seed for seed in range(3)})
    assert falls.areas(CORRELATIONS[:2])[0] == pytest.approx((0.9 + 0.6) / 2)  # a mean height, however long the range
    table = dial.figures([falls, holds], summary.leaderboard(at(runs))).set_index(["method", "score", "correlation"])
    area = table.sort_index().loc["holds", "area"].iloc[0]
    assert area["mean"] == pytest.approx(0.765)
    half = 2.7764451 * 0.01 / np.sqrt(3)  # t of two rows with two degrees of freedom each, spread 0.01
    assert (area["high"] - area["low"]) / 2 == pytest.approx(half, rel=1e-6)
    assert (area["rank_low"], area["rank_high"], area["best"]) == (1, 1, True)


def test_a_method_that_no_seed_changes_tells_nothing_of_the_noise_of_others(make_record, monkeypatch):
    """With or without an interval of the test images."""
    runs = [
        run(make_record, method, c, seed, 0.7 - 0.05 * seed * (method == "falls"))
        for method in ("falls", "pixels")
        for c in CORRELATIONS
        for seed in range(3)
    ]
    for one in runs:
        if one["cell"]["method"] == "pixels":
            one["provenance"]["encoder"] = "the same"
    board, curves = summary.leaderboard(at(runs)), dial.curves(at(runs))
    by_image = board.copy()
    still = board["method"].str.startswith("pixels") & (board["score"] == "worst_group")
    assert board.loc[still, "low"].isna().all()
    by_image.loc[still, ["low", "high", "seed_part"]] = 0.65, 0.75, 0.0
    told, of = [], dial.column
    monkeypatch.setattr(dial, "column", lambda *a, fixed=(), **k: told.append(len(fixed)) or of(*a, fixed=fixed, **k))
    for one in (board, by_image):
        dial.figures(curves, one)
    assert told == [3, 0] * 2, "of points, whose correlations are three, and of areas"


def test_the_leaderboard_shows_curve_and_area_above_the_board(runs):
    text = summary.to_markdown(summary.leaderboard(at(runs)))
    first, board = text.split("## sprites")[1:3]
    assert first.startswith(": worst group by correlation")
    assert "area under the worst-group curve % ↑ |" in first
    lines = [line for line in first.splitlines() if line.startswith("| ")]
    assert [line.split()[1] for line in lines[1:]] == ["holds", "falls"]  # best area first
    assert "**76.5 ± 1.6 (1)**" in lines[1]
    assert "| 9.0 ± 1.3 (2) |" in " ".join(lines[2].split())
    assert "falls correlation=0.5" in board
    asked = summary.leaderboard(at(runs))
    assert "worst group by correlation" not in summary.to_markdown(asked, view=summary.View(["linear"]))
    assert "worst group by correlation" in summary.to_markdown(asked, view=summary.View(["worst_group"]))
    assert "by correlation" not in summary.to_markdown(summary.leaderboard(at(runs), ["linear"]))


def test_curves_of_a_request_are_marked_as_its_rows_are(runs):
    """Their figures are those of the rows, under the marked names."""
    frame = summary.leaderboard(at(runs))
    request = {run["cell"]["hash"] for run in runs if run["cell"]["method"] == "holds"}
    shown = marked(frame, request)
    (grid,) = dial.grids(shown.attrs["dials"], shown)
    assert [row[0].value for row in grid.rows] == ["holds *", "falls"]
    (plain,) = dial.grids(frame.attrs["dials"], frame)
    assert [row[4:] for row in grid.rows] == [row[4:] for row in plain.rows]
    assert "| holds correlation=0.5 \\* |" in summary.to_markdown(shown)


def test_a_figure_has_the_same_interval_on_its_curve_and_in_the_leaderboard(make_record, runs):
    """Whatever else the leaderboard holds. Ranks are among the methods at one correlation."""
    wide = [run(make_record, "wide", c, seed, 0.5 + 0.1 * seed * c) for c in (0.5, 1.0) for seed in range(3)]
    frame = summary.leaderboard(at(runs + wide))
    (grid,) = dial.grids(dial.curves(at(runs + wide)), frame)
    rows = frame[frame["score"] == "worst_group"].set_index("method")
    assert {row[0].value for row in grid.rows} == {"holds", "falls"}
    for row in grid.rows:
        for c, cell in zip(CORRELATIONS, row[5:], strict=True):
            line = rows.loc[f"{row[0].value} correlation={c}"]
            assert (cell.value, cell.half) == pytest.approx((line["mean"], (line["high"] - line["low"]) / 2))
    ranks = {row[0].value: [cell.ranks for cell in row[5:]] for row in grid.rows}
    assert ranks == {"falls": [(1, 1), (2, 2), (2, 2)], "holds": [(2, 2), (1, 1), (1, 1)]}


def test_runs_that_differ_in_more_than_the_correlation_are_no_curve(make_record, runs):
    other = [run(make_record, "falls", c, 0, 0.5, options={"lr": 0.5}) for c in CORRELATIONS]
    assert [c.method for c in dial.curves(at(runs + other))] == ["falls", "falls (lr=0.5)", "holds"]
    longer = [run(make_record, "falls", c, 0, 0.5, budget={"epochs": 60}) for c in CORRELATIONS]
    assert len(dial.curves(at(runs + longer))) == 3
    two = [run(make_record, "short", c, 0, 0.5) for c in CORRELATIONS[:2]]
    assert "short" not in {curve.method for curve in dial.curves(at(runs + two))}
    moved = copy.deepcopy(runs)
    for k, record in enumerate(moved):
        record["config"]["data"] |= {"root": f"somewhere/{k}", "cache_dir": f"{k}", "feed": f"{k}", "num_workers": k}
    assert [c.method for c in dial.curves(at(moved))] == ["falls", "holds"]


def test_a_curve_with_a_hole_has_no_area_and_says_why(make_record, runs):
    holed = [run(make_record, "holed", c, 0, 0.5) for c in (0.0, 0.3, 1.0)]
    found = at(runs + holed)
    (grid,) = dial.grids(dial.curves(found), summary.leaderboard(found))
    by_method = {row[0].value: row for row in grid.rows}
    assert [row[4].value for row in by_method.values()] == [None] * 3  # nobody has all four
    assert "holed: no run at 0.5, so no area" in grid.notes[by_method["holed"][4].notes[0] - 1]
    assert by_method["falls"][6].value is None  # at 0.3


def test_only_seeds_with_the_whole_curve_have_an_area(runs):
    falls, _ = dial.curves(at([run for k, run in enumerate(runs) if k != 5]))  # seed 2 at 0.5
    assert list(falls.values[0.5]) == [0, 1]
    assert list(falls.areas(CORRELATIONS)) == [0, 1]


def test_a_method_speaks_by_its_primary_space_unless_others_are_asked_for(runs):
    for record in runs:
        (row,) = (row for row in record["metrics"] if row["measure"] == "worst_group@2")
        record["metrics"].append(row | {"space": "projection", "scores": {"worst_group": 0.2}})
    assert {(c.space, c.values[0.0][0]) for c in dial.curves(at(runs))} == {("features", 0.9), ("features", 0.8)}
    assert {(c.space, c.values[0.0][0]) for c in dial.curves(at(runs), ["projection"])} == {("projection", 0.2)}


def test_the_report_has_table_picture_and_figures(runs, tmp_path):
    page = build_from(at(runs), tmp_path).read_text()
    assert "sprites: worst group by correlation" in page
    (figures,) = (tmp_path / "report_files").glob("*dial*.csv")
    assert len(figures.read_text().splitlines()) == 1 + 2 * (1 + len(CORRELATIONS))
    (picture,) = (tmp_path / "report_files").glob("*dial*.svg")
    assert all(word in picture.read_text() for word in ("falls", "holds", "correlation of class and domain"))
    plain = build_from(at([runs[0]]), tmp_path / "plain").read_text()
    assert "by correlation" not in plain
