"""The report: a folder that is complete, small, the same each time, and safe to open."""

import re
from html.parser import HTMLParser

import pytest

from disentangle_bench.evaluation.leaderboard.report.output import FILES, Output
from disentangle_bench.evaluation.leaderboard.report.page import build, build_from
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
    for kind in ("seeds.svg", "color-leakage.svg", "pareto.svg", "curves.svg"):
        assert {f"digits-{kind}", f"colored_digits-{kind}"} <= pictures
    for kind in ("map-features.png", "neighbours.png", "views.png", "confusion-features-class.png", "swaps.png"):
        assert f"digits-simclr-{kind}" in pictures
    without = {name for name in pictures if name[:-4] + ".csv" not in names}
    assert {re.sub(r".*-", "", name) for name in without} == {"views.png", "swaps.png"}  # images as they are
    assert {"leaderboard.csv", "runs.csv", "overall-ranking.csv", "comparison-with-baseline.csv"} <= names


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


def test_five_thousand_runs_give_a_report_below_20_mb(record, tmp_path):
    records = [
        record(f"data{d}", f"method{m}", s, 0.5 + 0.008 * m + 0.001 * ((s * 7 + m + d) % 5))
        for d in range(10)
        for m in range(50)
        for s in range(10)
    ]
    index = build_from(at(records), tmp_path)
    page = check(index)
    assert "Runs: 5000. Data sets: 10." in " ".join(" ".join(page.text).split())
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 20e6
