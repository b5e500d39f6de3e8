"""The spellings of a table: markdown, CSV, LaTeX, HTML and a terminal's."""

import csv
import io
import re

import pytest

from disentangle_bench.evaluation.leaderboard.frame import COST
from disentangle_bench.evaluation.leaderboard.grid import Column
from disentangle_bench.evaluation.leaderboard.summary import (
    View,
    leaderboard,
    to_console,
    to_html,
    to_latex,
    to_markdown,
)
from disentangle_bench.evaluation.leaderboard.writers.formats import best_first
from disentangle_bench.evaluation.leaderboard.writers.formats import csv as to_csv
from tests.evaluation.leaderboard.conftest import at
from tests.evaluation.leaderboard.made import KNN, leak, rows

HOSTILE = "<script>alert(1)</script>|a\\b_{c}*&%$#~^\n`x`"


def test_csv_holds_every_score_in_full(record):
    found = list(csv.DictReader(io.StringIO(to_csv(leaderboard(at([record(top1=1 / 3)]))))))
    by_score = {row["score"]: row for row in found}
    assert float(by_score["top1"]["mean"]) == 1 / 3
    assert {"nll", "forward_passes", "images_seen", "peak_memory_mb"} <= by_score.keys()
    assert by_score["top1"]["runs"] == record()["cell"]["hash"]


def test_hostile_names_are_shown_as_text_in_every_format(record):
    records = [record(HOSTILE, HOSTILE, space=HOSTILE, labels=(HOSTILE,)), record(HOSTILE, "m", top1=None)]
    records[1]["metrics"][0]["reason"] = HOSTILE
    frame = leaderboard(at(records))
    markdown, latex, html = to_markdown(frame), to_latex(frame), to_html(frame)
    assert "<script" not in markdown + html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in markdown
    assert "&lt;script&gt;" in html
    board = markdown.split("How to read")[0]
    columns = {len(re.split(r"(?<!\\)\|", row)) for row in board.splitlines() if row.startswith("|")}
    assert len(columns) == 1  # no name has added a column
    assert r"\textless{}script\textgreater{}alert(1)" in latex
    assert r"\textbar{}a\textbackslash{}b\_\{c\}*\&\%\$\#\textasciitilde{}\textasciicircum{} `x`" in latex
    body = [row for row in latex.splitlines() if row.endswith(r"\\") and "script" in row]
    assert {len(re.split(r"(?<!\\)&", row)) for row in body} == {4, 6}  # what is compared, and costs
    assert next(csv.DictReader(io.StringIO(to_csv(frame))))["dataset"] == HOSTILE


def test_latex_is_a_booktabs_table(record):
    text = to_latex(leaderboard(at([record(seed=s) for s in range(2)])))
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"90.0 $\pm$ 0.0", r"top1 \% $\uparrow$"):
        assert part in text
    assert text.count(r"\begin") == text.count(r"\end") == 4  # two tables


def test_the_best_of_a_column_comes_first_where_its_title_is_clicked():
    orders = {
        (COST, "train_seconds", ""): "ascending",
        (COST, "images_per_second", ""): "descending",
        ("linear@1", "top1", "class"): "descending",
        ("leakage@4", "leakage", "color"): "ascending",
    }
    assert {key: best_first(Column("", key=key)) for key in orders} == orders


def test_no_records_are_no_error():
    frame = leaderboard({})
    assert to_markdown(frame) == "No complete runs.\n"
    assert "No complete runs" in to_html(frame)
    assert "No complete runs" in to_latex(frame)
    assert to_csv(frame).startswith("dataset,method,settings")


@pytest.mark.parametrize("start", list("=+-@\t"))
def test_text_is_no_formula_in_a_spreadsheet(record, start):
    found = next(csv.DictReader(io.StringIO(to_csv(leaderboard(at([record(method=f"{start}cmd|' /C calc'!A0")]))))))
    assert found["method"].startswith("'" + start)
    assert float(found["mean"]) == float(found["mean"])


def seeds(record, **rows):
    """Three runs a method, one percent apart, with leakage and kNN beside the linear probe."""
    return [
        record(method=m, seed=s, top1=v + 0.01 * s, metrics=[leak(0.5), KNN], labels=labels)
        for m, (v, labels) in rows.items()
        for s in range(3)
    ]


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_terminal_gets_a_line_a_method_within_its_width(record, width):
    frame = leaderboard(at(seeds(record, simclr=(0.9, ()), worse=(0.5, ()), supervised=(0.95, ("content",)))))
    text = to_console(frame, width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "\x1b" not in text
    by_method = {line.split()[0]: line for line in lines if line}
    assert "91.0 ±1.4 1" in by_method["simclr"]
    assert "50.0" in by_method["simclr"]  # leakage stands beside content at any width
    assert "51.0 ±1.4 2" in by_method["worse"]
    assert [k for k, line in enumerate(lines) if line.strip() in ("no labels seen", "saw content labels")] == [4, 7]
    hidden = text.partition("Not shown here: ")[2]
    assert ("knn@1 top1 %" in hidden) == (width < 80)
    assert "train s" in hidden


def test_colours_of_a_terminal_say_what_may_be_best_and_names_do_nothing_to_it(record):
    hostile = "a\x1b[31m\x07b"
    frame = leaderboard(at(seeds(record, simclr=(0.9, ()), **{hostile: (0.5, ())})))
    text = to_console(frame, width=100, colour=True)
    row = next(line for line in text.splitlines() if line.startswith("simclr"))
    assert re.search(r"\x1b\[1;32m *91\.0 ±1\.6\x1b\[0m", row)
    other = next(line for line in text.splitlines() if line.startswith("a[31mb"))
    assert not re.search(r"\x1b\[1;32m *51\.0", other)
    assert "\x07" not in text


LONG = [f"simclr augmentation.jitter_p=0.2 weight_decay={decay}" for decay in ("0.0001", "0.00001")]


@pytest.mark.parametrize(("width", "transpose"), [(60, False), (120, False), (80, True)])
def test_a_name_is_folded_and_never_cut(record, width, transpose):
    frame = leaderboard(at(seeds(record, **dict.fromkeys(LONG, (0.9, ())))))
    text = to_console(frame, view=View(["linear", "leakage"], transpose=transpose), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert "=0.0001 " in text
    assert "=0.00001" in text
    assert all(name in text for name in LONG) == (width == 120 and not transpose)  # in one line where there is room
    assert "91.0 ±" in text


def test_a_transposed_table_has_a_row_a_figure_in_every_format(record):
    frame = leaderboard(at(seeds(record, simclr=(0.9, ()), worse=(0.5, ()))))
    view = View(["knn"], transpose=True)
    found = rows(to_markdown(frame, view=view))
    assert found[0] == ["", "simclr", "worse"]
    assert found[5] == ["knn@1 top1 % ↑", "**40.0 ± 0.0 (1-2)**", "**40.0 ± 0.0 (1-2)**"]
    assert r"knn@1 top1 \% $\uparrow$ & \textbf{40.0 $\pm$ 0.0 (1-2)} & " in to_latex(frame, view)
    assert "linear@1" not in to_latex(frame, view)
    assert to_html(frame, view).count('<th scope="row">') == 4  # space, labels seen, n and the figure
    lines = to_console(frame, view=view, width=100).splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("knn@1")] == [["knn@1", "top1"]]
