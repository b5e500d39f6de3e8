"""The leaderboard frame and its four spellings."""

import csv
import io
import random
import re
import subprocess
import sys

import pytest

from disentangle_bench.evaluation.leaderboard.frame import cautions, method_labels
from disentangle_bench.evaluation.leaderboard.summary import leaderboard, to_csv, to_html, to_latex, to_markdown
from disentangle_bench.evaluation.leaderboard.table import ABSENT

HOSTILE = "<script>alert(1)</script>|a\\b_{c}*&%$#~^\n`x`"


def line(frame, **wanted):
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def rows(markdown):
    return [[c.strip() for c in row.strip("|").split(" | ")] for row in markdown.splitlines() if row.startswith("|")]


def test_mean_spread_and_interval_of_known_seeds(record):
    values = [0.90, 0.92, 0.97]
    frame = leaderboard([record(seed=s, top1=v) for s, v in enumerate(values)])
    found = line(frame, measure="linear@1", score="top1")
    assert found.n == 3
    assert found["mean"] == pytest.approx(0.93)
    assert found["std"] == pytest.approx(0.0360555, abs=1e-6)  # sqrt((0.03^2 + 0.01^2 + 0.04^2) / 2)
    half = 4.302653 * 0.0360555 / 3**0.5  # t quantile of 0.975 with 2 degrees of freedom, from a table
    assert found.low == pytest.approx(0.93 - half, abs=1e-6)
    assert found.high == pytest.approx(0.93 + half, abs=1e-6)
    assert found.seeds == "0 1 2"
    assert list(map(float, found["values"].split())) == values
    assert line(frame, measure="cost", score="train_seconds")["mean"] == pytest.approx(11)


def test_one_seed_has_no_interval_and_says_so(record):
    frame = leaderboard([record(top1=0.5)])
    assert line(frame, score="top1")[["std", "low", "high"]].isna().all()
    text = to_markdown(frame)
    assert "50.0" in text
    assert "50.0 ±" not in text
    assert "n = 1: one run, so neither a spread nor an interval." in text
    assert "± is" not in text


def test_markdown_shows_percent_budget_and_what_plus_minus_is(record):
    text = to_markdown(leaderboard([record(seed=s, top1=v) for s, v in enumerate((0.9, 0.92, 0.97))]))
    header, _, only = rows(text)
    assert header[4] == "linear@1 top1 % ↑"
    assert "nll" not in text  # in the record and the csv, not among the protocol's shown scores
    assert only[:5] == ["simclr", "features", "none", "3", "**93.0 ± 3.6**"]
    assert only[5:] == ["11", "300", "120,000", "512"]
    assert "standard deviation (ddof = 1) over the n runs of a row, which differ in the training seed only" in text
    assert "Budget: 30 epochs for every method." in text


def test_order_of_records_makes_no_difference_to_a_byte(record):
    records = [record(d, m, s, 0.1 * s + 0.05 * len(m)) for d in "ab" for m in ("simclr", "vicreg") for s in range(4)]
    first = [to(leaderboard(records)) for to in (to_markdown, to_csv, to_latex, to_html)]
    random.Random(1).shuffle(records)
    assert [to(leaderboard(records)) for to in (to_markdown, to_csv, to_latex, to_html)] == first


def test_bytes_are_equal_in_another_process(record, tmp_path):
    """String hashes differ between processes; nothing may depend on the order of a set."""
    import json

    records = [record("d", m, s, 0.5, labels=("style", "domain")) for m in "abcdef" for s in range(2)]
    (tmp_path / "records.json").write_text(json.dumps(records))
    code = (
        "import json, sys; from disentangle_bench.evaluation.leaderboard.summary import *;"
        "f = leaderboard(json.load(open(sys.argv[1]))); sys.stdout.buffer.write((to_markdown(f) + to_csv(f)).encode())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "records.json")]
    other = subprocess.run(command, capture_output=True, check=True, env={"PYTHONHASHSEED": "7"}).stdout
    frame = leaderboard(records)
    assert other.decode() == to_markdown(frame) + to_csv(frame)


def test_two_settings_of_a_method_are_never_averaged(record):
    records = [record(seed=s, top1=0.9, options={"temperature": 0.5, "dim": 8}) for s in range(2)]
    records += [record(seed=s, top1=0.1, options={"temperature": 0.1, "dim": 8}) for s in range(2)]
    records += [record("other", seed=0, top1=0.3, options={"temperature": 0.5, "dim": 8})]
    frame = leaderboard(records)
    top1 = frame[(frame["score"] == "top1") & (frame["dataset"] == "digits")]
    assert dict(zip(top1["method"], top1["mean"], strict=True)) == {
        "simclr (temperature=0.5)": pytest.approx(0.9),
        "simclr (temperature=0.1)": pytest.approx(0.1),
    }
    assert set(frame.loc[frame["dataset"] == "other", "method"]) == {"simclr (temperature=0.5)"}


def test_a_method_with_one_setting_keeps_its_name_though_budgets_differ_between_data_sets(record):
    labels = method_labels([record("a", budget={"epochs": 3}), record("b", budget={"epochs": 5})])
    assert set(labels.values()) == {"simclr"}


def test_budgets_that_differ_are_in_the_label_and_in_the_foot(record):
    frame = leaderboard([record(budget={"epochs": 3}), record(budget={"minutes": 2.5})])
    assert set(frame["method"]) == {"simclr (epochs=3)", "simclr (minutes=2.5)"}
    text = to_markdown(frame)
    assert "Budget: 2.5 minutes for simclr (minutes=2.5); 3 epochs for simclr (epochs=3)." in text


def test_settings_that_differ_in_no_option_are_told_apart_by_their_hash(record):
    other = record(seed=1)
    other["cell"]["settings"] = "abcdef0123456789"
    frame = leaderboard([record(), other])
    assert "simclr [abcdef01]" in set(frame["method"])
    assert frame["method"].nunique() == 2


def test_best_is_bold_among_those_that_saw_no_content_label(record):
    records = [
        record(method="supervised", top1=0.99, labels=("content",)),
        record(method="domains", top1=0.80, labels=("domain",)),
        record(method="simclr", top1=0.70),
        record(method="broken", top1=None),
    ]
    table = rows(to_markdown(leaderboard(records)))[2:]
    assert [row[0] for row in table] == ["supervised", "domains", "simclr", "broken"]  # best first, undefined last
    assert [row[4] for row in table] == ["99.0", "**80.0**", "70.0", "\N{EN DASH}<sup>1</sup>"]


def test_less_is_better_where_the_protocol_says_so(record):
    leak = {"measure": "leakage@1", "target": "color"}
    chance = {"chance": 0.1}
    records = [
        record(method="tight", top1=0.5, metrics=[leak | {"scores": {"linear": 0.2} | chance}]),
        record(method="leaky", top1=0.5, metrics=[leak | {"scores": {"linear": 0.7} | chance}]),
    ]
    header, _, leaky, tight = rows(to_markdown(leaderboard(records)))
    assert header[5] == "leakage@1 linear % ↓"
    assert (tight[5], leaky[5]) == ("**20.0**", "70.0")
    assert (tight[6], leaky[6]) == ("10.0", "10.0")  # a chance level is nobody's merit


def test_undefined_figures_show_a_dash_and_the_reason(record):
    text = to_markdown(leaderboard([record(seed=s, top1=v) for s, v in enumerate((0.9, None, 0.8))]))
    assert "**85.0 ± 7.1 (n=2)**<sup>1</sup>" in text
    assert "<sup>1</sup> linear@1 of class: 1 of the runs have none: one class only" in text


def test_several_targets_of_a_measure_have_a_column_each(record):
    extra = [{"measure": "linear@1", "target": "shape", "scores": {"top1": 0.4}}]
    header, _, row = rows(to_markdown(leaderboard([record(metrics=extra)])))
    assert header[4:6] == ["linear@1 top1 (class) % ↑", "linear@1 top1 (shape) % ↑"]
    assert row[4:6] == ["**90.0**", "**40.0**"]


def test_other_versions_of_a_protocol_have_no_column_but_are_named(record):
    extra = [{"measure": "linear@0", "target": "class", "scores": {"top1": 0.123}}]
    frame = leaderboard([record(metrics=extra)])
    text = to_markdown(frame)
    assert "12.3" not in text
    assert "unknown to this version of the protocol: linear@0" in text
    assert "linear@0,top1" in to_csv(frame)


def test_rows_that_cannot_be_told_from_the_best_are_marked(record):
    best, near, far = (0.90, 0.92, 0.91, 0.93), (0.91, 0.90, 0.92, 0.905), (0.50, 0.53, 0.52, 0.53)
    named = {"best": best, "near": near, "far": far}
    records = [record(method=m, seed=s, top1=v) for m, vs in named.items() for s, v in enumerate(vs)]
    cells = {row[0]: row[4] for row in rows(to_markdown(leaderboard(records)))[2:]}
    assert cells["near"].endswith("≈")
    assert not cells["best"].endswith("≈")
    assert not cells["far"].endswith("≈")


def test_csv_holds_every_score_in_full(record):
    found = list(csv.DictReader(io.StringIO(to_csv(leaderboard([record(top1=1 / 3)])))))
    by_score = {row["score"]: row for row in found}
    assert float(by_score["top1"]["mean"]) == 1 / 3
    assert {"nll", "forward_passes", "images_seen", "peak_memory_mb"} <= by_score.keys()
    assert by_score["top1"]["runs"] == record()["cell"]["hash"]


def test_hostile_names_are_shown_as_text_in_every_format(record):
    records = [record(HOSTILE, HOSTILE, space=HOSTILE, labels=(HOSTILE,)), record(HOSTILE, "m", top1=None)]
    records[1]["metrics"][0]["reason"] = HOSTILE
    frame = leaderboard(records)
    markdown, latex, html = to_markdown(frame), to_latex(frame), to_html(frame)
    assert "<script" not in markdown + html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in markdown
    assert "&lt;script&gt;" in html
    columns = {len(re.split(r"(?<!\\)\|", row)) for row in markdown.splitlines() if row.startswith("|")}
    assert len(columns) == 1  # no name has added a column
    assert r"\textless{}script\textgreater{}alert(1)" in latex
    assert r"\textbar{}a\textbackslash{}b\_\{c\}*\&\%\$\#\textasciitilde{}\textasciicircum{} `x`" in latex
    body = [row for row in latex.splitlines() if row.endswith(r"\\") and "script" in row]
    assert {len(re.split(r"(?<!\\)&", row)) for row in body} == {9}
    assert next(csv.DictReader(io.StringIO(to_csv(frame))))["dataset"] == HOSTILE


def test_latex_is_a_booktabs_table(record):
    text = to_latex(leaderboard([record(seed=s) for s in range(2)]))
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\textbf{90.0 $\pm$ 0.0}", r"top1 \% $\uparrow$"):
        assert part in text
    assert text.count(r"\begin") == text.count(r"\end") == 2


def test_no_records_are_no_error():
    frame = leaderboard([])
    assert to_markdown(frame) == "No complete runs.\n"
    assert "No complete runs" in to_html(frame)
    assert "No complete runs" in to_latex(frame)
    assert to_csv(frame).startswith("dataset,method,settings")


def test_cautions_name_data_and_versions_that_differ(record):
    same, other = record(seed=0), record(seed=1)
    assert cautions([same, record(seed=1)]) == []
    other["provenance"]["data"]["fingerprint"] = "ffff"
    other["provenance"]["versions"]["torch"] = "1.0"
    other["provenance"]["git"]["dirty"] = True
    found = cautions([same, other])
    assert found == [
        "digits: code that was not committed, in runs of: simclr",
        "digits: data with the same options differ between runs: ab12, ffff",
        "digits: torch differ between runs: 1.0, 2.14.1",
    ]


def told(space, target, value):
    return {"space": space, "measure": "informativeness@1", "target": target, "scores": {"told": value}}


def test_which_space_tells_what_is_a_table_of_its_own(record):
    found = [told(s, t, v) for s, t, v in (("features", "class", 0.9), ("features", "hue", 0.8), ("style", "hue", 1.0))]
    frame = leaderboard([record(seed=0, metrics=found), record(seed=1, metrics=found)])
    text = to_markdown(frame)
    board, matrix = text.split("## digits: which space tells what")
    assert "hue" not in board
    assert rows(matrix) == [
        ["method", "space", "class", "hue"],
        rows(matrix)[1],
        ["simclr", "features", "0.900 ± 0.000", "0.800 ± 0.000"],
        ["simclr", "style", ABSENT, "1.000 ± 0.000"],
    ]
    assert "**" not in matrix  # best means nothing here
    assert "which space tells what" in to_html(frame)
    assert "which space tells what" in to_latex(frame)
    assert "which space tells what" not in to_markdown(leaderboard([record()]))


def test_what_a_space_tells_is_not_compared_as_better_or_worse(record):
    from disentangle_bench.evaluation.leaderboard.frame import observations
    from disentangle_bench.evaluation.leaderboard.paired import scored

    seen = observations([record(metrics=[told("features", "hue", 0.8)])])
    assert set(scored(seen)["measure"]) == {"linear@1"}
