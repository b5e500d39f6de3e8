"""The report: a folder that is complete, small, the same each time, and safe to open."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from disentangle_bench.evaluation.leaderboard.claims import Claim, Side
from disentangle_bench.evaluation.leaderboard.report.charts import pair
from disentangle_bench.evaluation.leaderboard.report.datasets import heat
from disentangle_bench.evaluation.leaderboard.report.gallery import _shade
from disentangle_bench.evaluation.leaderboard.report.headline import criteria
from disentangle_bench.evaluation.leaderboard.report.output import FILES, Output
from disentangle_bench.evaluation.leaderboard.report.page import build, build_from
from disentangle_bench.evaluation.leaderboard.summary import leaderboard
from disentangle_bench.evaluation.leaderboard.table import grids
from disentangle_bench.evaluation.leaderboard.writers.formats import spell
from disentangle_bench.evaluation.records import FILE
from tests.evaluation.leaderboard.conftest import at

LEAK = {"measure": "leakage@4", "target": "color", "scores": {"leakage": 0.4}}
HOSTILE = "<script>alert(1)</script>|\"'>&{{7*7}}$x_1$"


class Page(HTMLParser):
    """Tags that are open at the end, scripts, addresses, and text."""

    VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.scripts, self.addresses, self.ids, self.text = [], 0, [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.scripts += tag == "script"
        self.addresses += [attrs[name] for name in ("src", "href") if name in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        assert not any(name.startswith("on") for name in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def check(index):
    """Well-formed, one script, every address a file of the folder or a place of the page."""
    page = Page(index.read_text(encoding="utf-8"))
    assert page.open == []
    assert page.scripts == 1
    assert len(page.ids) == len(set(page.ids))
    for address in page.addresses:
        if address.startswith("#"):
            assert address[1:] in page.ids
        elif address != "data:,":
            assert (index.parent / address).stat().st_size > 0
    return page


@pytest.fixture
def matrix(record):
    def make():
        return [
            record(dataset, method, seed, 0.7 + 0.03 * k + 0.01 * seed**2, labels=labels, metrics=[LEAK])
            for dataset in ("colored_digits", "digits")
            for k, (method, labels) in enumerate([("simclr", ()), ("supervised", ("content",))])
            for seed in range(3)
        ]

    return make


@pytest.fixture
def runs(tmp_path, matrix, put_run):
    for each in matrix():
        put_run(tmp_path / "runs", each)
    return tmp_path / "runs"


def test_every_section_is_there_with_its_pictures_and_csv(runs, tmp_path):
    (runs / "bad").mkdir()
    (runs / "bad" / FILE).write_text("{")
    index = build(runs, tmp_path / "report")
    page = check(index)
    text = " ".join(" ".join(page.text).split())
    for said in (
        "Runs: 12. Data sets: 2.",
        "Against simclr, same seeds",
        "underpowered",
        "Labels seen while training",
        "agree with yourself",
        "Somebody et al. (2020)",
        "bench run --dataset digits --method simclr --seeds 0",
        "c0ffeec0ffee",
        "Records that were skipped",
    ):
        assert said in text
    names = {path.name for path in (index.parent / FILES).iterdir()}
    pictures = {name for name in names if name.endswith((".png", ".svg"))}
    for kind in ("seeds", "color-leakage", "pareto", "curves", "losses", "ranks"):
        assert {f"digits-{kind}.svg", f"colored_digits-{kind}.svg"} <= pictures
    for kind in ("map-features.png", "neighbours.png", "views.png", "confusion-features-class.png", "swaps.png"):
        assert f"digits-simclr-{kind}" in pictures
    without = {name for name in pictures if name[:-4] + ".csv" not in names}
    images, drawn_twice = {"views.png", "swaps.png"}, {"losses.svg"}  # whose figures are in curves.csv
    assert {re.sub(r".*-", "", name) for name in without} == images | drawn_twice
    assert {"leaderboard.csv", "runs.csv", "overall-ranking.csv", "comparison-with-baseline.csv"} <= names
    drawn = pd.read_csv(index.parent / FILES / "digits-simclr-map-features.csv")
    assert drawn.dtypes.map(pd.api.types.is_numeric_dtype).all(), "places are numbers, below 0 too"
    assert (drawn["PCA x"] < 0).any()


def test_the_answer_is_in_sentences_and_by_criterion(matrix, tmp_path):
    text = " ".join(" ".join(check(build_from(at(matrix()), tmp_path)).text).split())
    for said in (
        "Without labels, simclr reaches 71.7 ± 3.3 % (linear@1 top1).",
        "With content labels, supervised reaches 74.7 ± 3.3 %.",
        "Of color a probe reads 40.0 ± 0.0 % in simclr (whose content is 71.7 ± 3.3 %)",
        "Without labels, simclr may be best in content and in leakage.",
        "Named are all that the runs can't tell from the best at 95 %",
        "The same for every method: space features; n 3; train s 11; images/s 300; params 120,000; peak MB 512.",
        "Multinomial logistic regression on standardised features",  # what the column means
    ):
        assert said in text


def test_claims_are_shown_with_their_verdicts_where_there_are_runs(matrix, tmp_path):
    sides = Side("supervised"), Side("simclr")
    tried = [
        Claim(
            f"of_{data}", "Labels help.", "table 1", data, *sides, "linear@1", "top1", 0.01, "class", paper="Ours: yes"
        )
        for data in ("digits", "elsewhere")
    ]
    text = " ".join(" ".join(check(build_from(at(matrix()), tmp_path, claims=tried)).text).split())
    assert "Labels help. Ours digits holds 74.7 against 71.7 (+3.0 [+3.0, +3.0]) +1 points" in text
    assert "d below 0: holds if the interval lies above d" in text
    assert "1 further claims are about runs that are not here" in text


def test_heat_tells_how_near_a_figure_is_to_the_best_that_it_can_be(record):
    leaky = {"measure": "leakage@4", "target": "color", "scores": {"leakage": 0.8}}
    frame = leaderboard(at([record(seed=s, top1=0.9, metrics=[leaky]) for s in range(3)]))
    (grid,) = grids(frame)
    (row,) = heat(grid, criteria(frame)).rows
    assert [cell.share for cell in row[1:]] == [pytest.approx(0.9), pytest.approx(0.2)]  # less leakage is better
    assert [spell(cell, column) for cell, column in zip(row[1:], grid.columns[4:], strict=False)] == ["90.0", "80.0"]


def test_names_of_points_never_lie_over_each_other():
    table = pd.DataFrame(
        {"method": [f"method {k}" for k in range(20)], "block": "none", "mean": 90.0, "mean_leak": 50.0}
    )
    table = table.assign(low=89.0, high=91.0, low_leak=49.0, high_leak=51.0)
    drawn = pair(table, table.head(0), "x", "y").decode()
    heights = [float(y) for y in re.findall(r"translate\([\d.]+ ([\d.]+)\)[^>]*>method \d+<", drawn)] or [
        float(y) for y in re.findall(r'y="([\d.]+)"[^>]*>method \d+<', drawn)
    ]
    assert len(heights) == 20
    assert min(abs(a - b) for a, b in pairwise(sorted(heights))) > 7  # the size of the letters


def test_maps_use_the_datas_own_hues_where_they_are_told_properly():
    values = np.array([0, 1, 1])
    spec = {"name": "color", "kind": "class"}
    good = _shade(spec, values, {"hues": {"color": [[230, 0, 0], [0, 0, 230]]}, "names": {"color": ["red", "blue"]}})
    assert good.colours(1)[:3] == pytest.approx((0, 0, 230 / 255))
    assert good.names == ["red", "blue"]
    for bad in ([[230, 0, 0]], [[1, 2], [3, 4]], [["x"] * 3] * 2, [[300, 0, 0]] * 2, "red", {"a": 1}):
        assert not _shade(spec, values, {"hues": {"color": bad}, "names": [bad]}).hues


def test_the_report_is_the_same_each_time_and_replaces_the_last_one(tmp_path, record, put_run):
    runs = tmp_path / "runs"
    for seed in range(2):
        put_run(runs, record(seed=seed))
    first, second = build(runs, tmp_path / "a").parent, tmp_path / "b"
    (second / FILES).mkdir(parents=True)
    (second / FILES / "stale.svg").write_text("old")
    (second / "mine.txt").write_text("not the report's")
    build(runs, second)
    assert (second / "mine.txt").exists()
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file() and p.name != "mine.txt")
    assert all((first / path).read_bytes() == (second / path).read_bytes() for path in files)


def test_records_alone_give_a_report_that_says_what_is_missing(matrix, tmp_path):
    page = check(build_from(at(matrix()), tmp_path))
    text = " ".join(page.text)
    assert "Learning curves: no logs beside the records" in text
    assert "here are records alone" in text


def test_runs_without_artefacts_say_how_to_get_them(tmp_path, record, put_run):
    put_run(tmp_path / "runs", record(), pictures=False)
    text = " ".join(check(build(tmp_path / "runs", tmp_path / "report")).text)
    assert "the run left no artefacts" in text
    assert "the method saved no pictures" in text


def test_no_records_make_a_page_too(tmp_path):
    assert "No complete runs" in " ".join(check(build(tmp_path / "nothing", tmp_path / "report")).text)


def test_hostile_names_stay_text_and_choose_no_file(tmp_path, record, put_run):
    for seed in range(2):
        each = record(HOSTILE, "../../" + HOSTILE, seed, options={HOSTILE: HOSTILE}, space=HOSTILE, labels=(HOSTILE,))
        each["provenance"] |= {"card": {HOSTILE: HOSTILE}, "source": HOSTILE, "command": HOSTILE}
        put_run(tmp_path / "runs", each)
    index = build(tmp_path / "runs", tmp_path / "report")
    page = check(index)
    assert HOSTILE in "".join(page.text)
    for path in (tmp_path / "report").rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", path.name)
        if path.suffix == ".svg":
            assert "<script" not in path.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report", "runs"]


def test_a_named_baseline_must_exist(matrix, tmp_path):
    with pytest.raises(ValueError, match="no baseline 'nobody'"):
        build_from(at(matrix()), tmp_path, baseline="nobody")


def test_what_is_no_png_or_too_large_is_not_taken_over(tmp_path, record, put_run):
    run = put_run(tmp_path / "runs", record())
    (run / "images" / "page.png").write_text("<svg onload=alert(1)>")
    (run / "images" / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2**20))
    build(tmp_path / "runs", tmp_path / "report")
    names = {path.name for path in (tmp_path / "report" / FILES).iterdir()}
    assert "digits-simclr-swaps.png" in names
    assert not {"digits-simclr-page.png", "digits-simclr-huge.png"} & names


def test_files_beyond_the_limit_are_left_out_and_names_never_collide(tmp_path):
    out = Output(tmp_path, limit=10)
    assert out.add("a b.svg", "12345") == f"{FILES}/a-b.svg"
    assert out.add("a-b.svg", "12345").startswith(f"{FILES}/a-b-")
    assert out.add("c.svg", "1") is None
    assert (out.left_out, out.size) == (1, 10)


@pytest.mark.parametrize("datasets", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_five_hundred_runs_of_a_data_set_take_less_than_2_mb(record, tmp_path, datasets):
    records = [
        record(f"data{d}", f"method{m}", s, 0.5 + 0.008 * m + 0.001 * ((s * 7 + m + d) % 5))
        for d in range(datasets)
        for m in range(50)
        for s in range(10)
    ]
    index = build_from(at(records), tmp_path)
    page = check(index)
    assert f"Runs: {len(records)}. Data sets: {datasets}." in " ".join(" ".join(page.text).split())
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2e6 * datasets
