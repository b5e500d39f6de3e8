"""What the tables of a board say: their columns, notes, chance, and equal bytes for equal records."""

import random
import re
import subprocess
import sys

from disentangle_bench.evaluation.leaderboard.summary import (
    View,
    leaderboard,
    to_console,
    to_html,
    to_latex,
    to_markdown,
)
from disentangle_bench.evaluation.leaderboard.writers.formats import ABSENT
from disentangle_bench.evaluation.leaderboard.writers.formats import csv as to_csv
from disentangle_bench.evaluation.records import find_records
from tests.evaluation.leaderboard.conftest import at, write_run
from tests.evaluation.leaderboard.made import KNN, body, leak, rows


def test_markdown_shows_percent_ranks_and_what_they_mean(record):
    text = to_markdown(leaderboard(at([record(seed=s, top1=v) for s, v in enumerate((0.9, 0.92, 0.97))])))
    header = rows(text)[0]
    assert header[3] == "linear@1 top1 % ↑"
    assert "nll" not in text  # in the record and the csv, not among the protocol's shown scores
    only = body(text)[0]
    assert only == ["simclr", "none", "3", "**93.0 ± 9.0 (1)**"]
    costs = rows(text.split("## digits: spaces and costs")[1])
    assert costs[0] == ["method", "space", "train s", "images/s", "params", "peak MB"]
    assert costs[2] == ["simclr", "features", "11", "300", "120,000", "512"]
    assert "How to read a cell" in text
    assert "Chance: share of the most frequent class (linear@1 top1)." in text
    assert "Budget: 30 epochs for every method. Options: untuned defaults for every method." in text


def test_order_of_records_makes_no_difference_to_a_byte(record):
    records = [record(d, m, s, 0.1 * s + 0.05 * len(m)) for d in "ab" for m in ("simclr", "vicreg") for s in range(4)]
    first = [to(leaderboard(at(records))) for to in (to_markdown, to_csv, to_latex, to_html)]
    random.Random(1).shuffle(records)
    assert [to(leaderboard(at(records))) for to in (to_markdown, to_csv, to_latex, to_html)] == first


def test_bytes_are_equal_in_another_process(record, tmp_path):
    """String hashes differ between processes; nothing may depend on the order of a set."""
    import json

    records = [record("d", m, s, 0.5, labels=("style", "domain")) for m in "abcdef" for s in range(2)]
    (tmp_path / "records.json").write_text(json.dumps(records))
    code = (
        "import json, sys; from pathlib import Path; from disentangle_bench.evaluation.leaderboard.summary import *;"
        "found = {Path(str(k)): r for k, r in enumerate(json.load(open(sys.argv[1])))};"
        "f = leaderboard(found); sys.stdout.buffer.write((to_markdown(f) + formats.csv(f)).encode())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "records.json")]
    other = subprocess.run(command, capture_output=True, check=True, env={"PYTHONHASHSEED": "7"}).stdout
    frame = leaderboard(at(records))
    assert other.decode() == to_markdown(frame) + to_csv(frame)


def test_rows_are_sorted_by_a_column_best_first(record):
    values = {"leaky": (0.9, 0.7), "tight": (0.5, 0.2)}
    found = [record(method=m, top1=top1, metrics=[leak(leakage)]) for m, (top1, leakage) in values.items()]
    for column, order in (("", ["leaky", "tight"]), ("leakage", ["tight", "leaky"])):
        assert [row[0] for row in body(to_markdown(leaderboard(at(found)), view=View(sort=column)))] == order


def test_chance_that_was_recorded_stands_in_the_last_row_and_has_no_column(record):
    scores = {"nmi": 0.5, "ami": 0.4, "nmi_domain": 0.3, "chance": 0.054}
    text = to_markdown(
        leaderboard(at([record(metrics=[{"measure": "kmeans@2", "target": "class", "scores": scores}])]))
    )
    header, chance = rows(text)[0], next(row for row in rows(text) if row[0] == "chance")
    told = dict(zip(header, chance, strict=True))
    assert "kmeans@2 chance" not in header
    assert told["kmeans@2 nmi ↑"] == told["kmeans@2 nmi_domain ↓"] == "0.054"
    assert (told["kmeans@2 ami ↑"], told["linear@1 top1 % ↑"]) == ("0.000", ABSENT)


def test_chance_of_an_accuracy_is_the_share_of_the_most_frequent_class(record, tmp_path):
    """Where the outcomes tell the classes of the test images; three of these seven are of class 2."""
    write_run(tmp_path, record())
    found = leaderboard(find_records(tmp_path)[0])
    text = to_markdown(found)
    assert next(row for row in rows(text) if row[0] == "chance")[3] == "42.9"
    assert "linear@1 chance" not in rows(text)[0]
    assert "most frequent class" not in text


def test_chance_of_an_accuracy_stands_under_no_other_score(record):
    scores = {"worst_domain": 0.3, "top1": 0.9, "chance": 0.43}
    text = to_markdown(leaderboard(at([record(metrics=[{"measure": "worst_group@2", "scores": scores}])])))
    assert "worst_group@2 worst_domain % ↑" in rows(text)[0]
    assert "chance" not in [row[0] for row in rows(text)]  # nothing is told of any other column


def test_a_score_that_no_run_has_gets_no_column(record):
    scores = {"nmi": 0.5, "ami": 0.4, "chance": 0.054}
    found = leaderboard(at([record(metrics=[{"measure": "kmeans@2", "target": "class", "scores": scores}])]))
    header = rows(to_markdown(found))[0]
    assert "kmeans@2 nmi ↑" in header
    assert "kmeans@2 nmi_domain ↓" not in header


def test_each_method_has_one_row_and_speaks_by_the_space_that_it_declared(record):
    def styled(seed):
        spaces = [
            {"space": "content", "measure": "linear@1", "target": "class", "scores": {"top1": 0.7}},
            {"space": "content", **leak(0.1)},
            leak(0.8),
        ]
        return record(method="styled", seed=seed, top1=0.9, invariant_space="content", metrics=spaces)

    frame = leaderboard(at([styled(s) for s in range(3)]))
    text = to_markdown(frame)
    (row,) = body(text)
    assert row[3] == "**90.0 ± 0.0 (1)**"
    assert row[4] == r"**10.0 ± 0.0 (1) \[content\]**"
    assert "\n\\[content\\]: the figure is of that space, which the method declares for the question" in text
    assert r"10.0 $\pm$ 0.0 (1) [content]" in to_latex(frame)
    assert "<b>10.0 ± 0.0 (1) [content]</b>" in to_html(frame)
    terminal = to_console(frame, width=70)
    assert re.search(r"styled .* 10\.0 ±0\.0 1 \[content\]", terminal)
    assert "[content]: the figure is of that space" in terminal
    assert "| styled   | features; invariance: content |" in text.split("spaces and costs")[1]
    matrix = rows(text.split("which space tells what")[1])
    assert [r[:2] for r in matrix[2:]] == [["styled", "features"], ["styled", "content"]]
    assert [r[3].split(" ")[0] for r in matrix[2:]] == ["80.0", "10.0"]
    asked = leaderboard(at([styled(s) for s in range(3)]), spaces=["content"])
    assert [r[3] for r in body(to_markdown(asked))] == [r"**70.0 ± 0.0 (1) \[content\]**"]
    both = leaderboard(at([styled(s) for s in range(3)]), spaces=["content", "features"])
    assert [r[1] for r in body(to_markdown(both))] == ["features", "content"]
    assert all(
        table[0].startswith("| method   | space ")
        for table in re.findall(r"(?:^\|.*\n)+", to_markdown(both), re.MULTILINE)
        for table in [table.splitlines()]
    )


def test_what_describes_has_no_arrow_no_rank_and_no_bold(record):
    rank = {"measure": "intrinsic@1", "target": "", "scores": {"rankme": 12.0}}
    text = to_markdown(leaderboard(at([record(seed=s, metrics=[rank]) for s in range(3)])))
    further = rows(text.split("## digits: further figures")[1])
    assert (further[0][1], further[2][1]) == ("intrinsic@1 rankme", "12.000 ± 0.000")


def test_columns_measures_and_order_can_be_chosen(record):
    knn = lambda value: [{"measure": "knn@1", "target": "class", "scores": {"top1": value}}]  # noqa: E731
    found = at([record(method="a", top1=0.9, metrics=knn(0.1)), record(method="b", top1=0.5, metrics=knn(0.8))])
    frame = leaderboard(found)
    assert [row[0] for row in body(to_markdown(frame))] == ["a", "b"]
    assert [row[0] for row in body(to_markdown(frame, view=View(sort="knn")))] == ["b", "a"]
    assert rows(to_markdown(frame, view=View(["knn@1 top1", "train_seconds"])))[0][3:] == ["knn@1 top1 % ↑", "train s"]
    assert set(leaderboard(found, measures=["knn"])["measure"]) == {"knn@1", "cost"}


def test_undefined_figures_show_a_dash_and_the_reason(record):
    frame = leaderboard(at([record(seed=s, top1=v) for s, v in enumerate((0.9, None, 0.8))]))
    text = to_markdown(frame)
    assert r"85.0 $\pm$ 63.5 (n = 2)\textsuperscript{1}" in to_latex(frame)
    assert "85.0 ±63.5 (n = 2) [1]" in to_console(frame, width=100)
    assert "85.0 ± 63.5 (n = 2)<sup>1</sup>" in text  # 12.7062 sqrt(0.1^2 / 2 / 2), t with one degree of freedom
    assert "<sup>1</sup> linear@1 of class: 1 of the runs have none: one class only" in text


def test_several_targets_of_a_measure_have_a_column_each(record):
    extra = [{"measure": "linear@1", "target": "shape", "scores": {"top1": 0.4}}]
    text = to_markdown(leaderboard(at([record(seed=s, metrics=extra) for s in range(3)])))
    header, row = rows(text)[0], body(text)[0]
    assert header[3:5] == ["linear@1 top1 (class) % ↑", "linear@1 top1 (shape) % ↑"]
    assert row[3:5] == ["**90.0 ± 0.0 (1)**", "**40.0 ± 0.0 (1)**"]


def test_other_versions_of_a_protocol_have_no_column_but_are_named(record):
    extra = [{"measure": "linear@0", "target": "class", "scores": {"top1": 0.123}}]
    frame = leaderboard(at([record(metrics=extra)]))
    text = to_markdown(frame)
    assert "12.3" not in text
    assert "unknown to this version of the protocol: linear@0" in text
    assert "linear@0,top1" in to_csv(frame)


def told(space, target, value):
    return {"space": space, "measure": "informativeness@2", "target": target, "scores": {"told": value}}


def test_a_page_has_room_for_every_table(record):
    """What methods are compared by stands first; of many scores the first of each measure, the others below."""
    scores = {"kmeans@2": ("nmi", "nmi_domain", "ami"), "clusters@2": ("nmi", "nmi_domain"), "mcc@1": ("mcc", "ranked")}
    metrics = [{"measure": m, "target": "class", "scores": dict.fromkeys(names, 0.5)} for m, names in scores.items()]
    frame = leaderboard(at([record(seed=s, metrics=[*metrics, KNN, leak(0.5)]) for s in range(3)]))
    text = to_markdown(frame)
    board, further, costs = (rows(part)[0] for part in f"\n{text}".split("\n## ")[1:])
    firsts = ["linear@1 top1 % ↑", "leakage@4 % ↓", "knn@1 top1 % ↑", "kmeans@2 nmi ↑", "clusters@2 nmi ↑", "mcc@1 ↑"]
    assert board == ["method", "labels seen", "n", *firsts]
    assert further == [
        "method",
        "kmeans@2 nmi_domain ↓",
        "kmeans@2 ami ↑",
        "clusters@2 nmi_domain ↓",
        "mcc@1 ranked ↑",
    ]
    assert costs[:3] == ["method", "space", "train s"]
    chosen = rows(to_markdown(frame, view=View(["kmeans@2", "train_seconds"])))[0]
    assert chosen == ["method", "labels seen", "n", "kmeans@2 nmi ↑", *further[1:3], "train s"]
    terminal = to_console(frame, width=200)
    assert "further figures" not in terminal
    assert all(title.rstrip(" ↑↓") in terminal.partition("Not shown here: ")[2] for title in further[1:])
    assert to_csv(frame).count("\n") > len(board) + len(further)


def test_what_is_compared_holds_each_target_of_a_measure(record):
    scores = {"kmeans@2": ("nmi", "nmi_domain", "ami"), "clusters@2": ("nmi", "nmi_domain"), "mcc@1": ("mcc", "ranked")}
    metrics = [{"measure": m, "target": "class", "scores": dict.fromkeys(names, 0.5)} for m, names in scores.items()]
    shape = {"measure": "linear@1", "target": "shape", "scores": {"top1": 0.4}}
    header = rows(to_markdown(leaderboard(at([record(metrics=[*metrics, shape])]))))[0]
    assert header[3:5] == ["linear@1 top1 (class) % ↑", "linear@1 top1 (shape) % ↑"]


def test_notes_go_with_their_cells_into_the_tables_below(record):
    none = {"measure": "clusters@2", "space": "assignment", "target": "class", "scores": None, "reason": "no clusters"}
    some = {"measure": "kmeans@2", "target": "class", "scores": dict.fromkeys(("nmi", "nmi_domain", "ami"), 0.5)}
    many = [some, {"measure": "mcc@1", "target": "class", "scores": {"mcc": 0.5, "ranked": 0.5}}, KNN, none]
    text = to_markdown(leaderboard(at([record(top1=None, metrics=[*many, leak(0.5, rising=0.03)])])))
    board, further, *_ = f"\n{text}".split("\n## ")[1:]
    assert "<sup>3</sup> clusters@2 of class: no clusters" in board
    assert "<sup>1</sup> clusters@2 of class: no clusters" in further
    assert "one class only" not in further


def test_which_space_tells_what_is_a_table_of_its_own(record):
    found = [told(s, t, v) for s, t, v in (("features", "class", 0.9), ("features", "hue", 0.8), ("style", "hue", 1.0))]
    frame = leaderboard(at([record(seed=0, metrics=found), record(seed=1, metrics=found)]))
    text = to_markdown(frame)
    board, matrix = text.split("## digits: which space tells what")
    assert "hue" not in board
    assert rows(matrix) == [
        ["method", "space", "class %", "hue %", "linear@1 top1 %"],
        rows(matrix)[1],
        ["simclr", "features", "90.0 ± 0.0", "80.0 ± 0.0", "90.0 ± 0.0"],
        ["simclr", "style", ABSENT, "100.0 ± 0.0", ABSENT],
    ]
    assert "**" not in matrix  # best means nothing here
    assert "which space tells what" in to_html(frame)
    assert "which space tells what" in to_latex(frame)
    assert "which space tells what" not in to_markdown(leaderboard(at([record()])))
