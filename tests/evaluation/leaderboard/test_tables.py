"""The leaderboard frame, and what its tables say."""

import math
import random
import re
import subprocess
import sys

import numpy as np
import pytest

from disentangle_bench.evaluation.leaderboard.naming import method_labels
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
from disentangle_bench.evaluation.outcomes import Measured, Outcome, Outcomes, write_outcomes
from disentangle_bench.evaluation.records import find_records, read_record, seal
from disentangle_bench.json_files import write_json
from tests.evaluation.leaderboard.conftest import at, right_or_wrong, write_judged, write_run
from tests.evaluation.leaderboard.made import KNN, LABELS, body, judged, leak, line, rows

IRS = {"measure": "irs@2", "target": "all factors"}


def test_mean_spread_and_interval_of_known_seeds(record):
    values = [0.90, 0.92, 0.97]
    frame = leaderboard(at([record(seed=s, top1=v) for s, v in enumerate(values)]))
    found = line(frame, measure="linear@1", score="top1")
    assert found.n == 3
    assert found["mean"] == pytest.approx(0.93)
    assert found["std"] == pytest.approx(0.0360555, abs=1e-6)  # sqrt((0.03^2 + 0.01^2 + 0.04^2) / 2)
    half = 4.302653 * 0.0360555 / 3**0.5  # t quantile of 0.975 with 2 degrees of freedom, from a table
    assert found.low == pytest.approx(0.93 - half, abs=1e-6)
    assert found.high == pytest.approx(0.93 + half, abs=1e-6)
    assert math.isnan(found.image_part)
    assert (found.rank_low, found.rank_high, found.best) == (1, 1, True)
    assert found.seeds == (0, 1, 2)
    assert found["values"] == tuple(values)
    cost = line(frame, measure="cost", score="train_seconds")
    assert cost["mean"] == pytest.approx(11)
    assert math.isnan(cost.low)


def test_outcomes_beside_the_record_give_the_image_part(record, tmp_path):
    judged(tmp_path, record, (0.9, 0.92, 0.88))
    frame = leaderboard(find_records(tmp_path)[0])
    found = line(frame, score="top1")
    by_image = np.mean(right_or_wrong((0.9, 0.92, 0.88)), axis=0)
    assert found.image_part == pytest.approx(by_image.var(ddof=1) / 400)
    assert found.seed_part == pytest.approx(0.02**2 / 3)
    assert frame.attrs["problems"] == []


def test_the_interval_of_a_weighted_share_above_chance_is_of_its_terms(record, tmp_path):
    rng = np.random.default_rng(0)
    weights, terms = rng.random(400), []
    for seed, right in enumerate(right_or_wrong((0.6, 0.62, 0.58))):
        outcome = Outcome(right, weights, scale=1.25, offset=-0.25)
        path = write_judged(tmp_path, record(seed=seed, metrics=[leak(outcome.figure)]), right)
        kept = Outcomes()
        kept.add("leakage@4", "features", "color", Measured({}, {"leakage": outcome}))
        write_outcomes(path.with_name("outcomes.npz"), kept)
        write_json(path, seal(read_record(path), path.with_name("outcomes.npz")))
        terms.append(outcome.terms)
    found = line(leaderboard(find_records(tmp_path)[0]), measure="leakage@4", score="leakage")
    assert found["mean"] == pytest.approx(np.mean(terms))
    assert (found.low + found.high) / 2 == pytest.approx(found["mean"])
    assert found.image_part == pytest.approx(np.mean(terms, axis=0).var(ddof=1) / 400)


@pytest.mark.parametrize("damage", ["missing", "other", "disagrees"])
def test_outcomes_that_are_not_the_records_are_not_used_and_said_so(record, tmp_path, damage):
    judged(tmp_path, record, (0.9, 0.92, 0.88))
    found, _ = find_records(tmp_path)
    first = next(iter(found))
    outcomes = first.with_name("outcomes.npz")
    if damage == "missing":
        outcomes.unlink()
    elif damage == "other":
        outcomes.write_bytes(b"PK")
    else:
        found[first]["metrics"][0]["scores"]["top1"] = 0.5
    frame = leaderboard(found)
    assert math.isnan(line(frame, score="top1").image_part)
    assert len(frame.attrs["problems"]) == 1
    assert "## Skipped" in to_markdown(frame)
    assert str(first.parent) in to_markdown(frame).replace("\\_", "_")


def test_runs_on_other_test_images_cost_nobody_the_table(record, tmp_path):
    for k, method in enumerate(("a", "b", "c")):
        for seed, right in enumerate(right_or_wrong((0.9, 0.9, 0.9), images=400 if k else 300)):
            write_judged(tmp_path, record(method=method, seed=seed), right)
    frame = leaderboard(find_records(tmp_path)[0])
    parts = frame[frame["score"] == "top1"].set_index("method")["image_part"]
    assert parts.isna().to_dict() == {"a": True, "b": False, "c": False}


def test_one_seed_is_not_ranked_and_says_so(record, tmp_path):
    text = to_markdown(leaderboard(at([record(top1=0.5)])))
    assert body(text)[0][3] == "50.0"
    assert "n = 1: too few seeds to rank" in text
    judged(tmp_path, record, (0.5,))
    judged(tmp_path, record, (0.9,), method="vicreg")
    table = {row[0]: row[3] for row in body(to_markdown(leaderboard(find_records(tmp_path)[0])))}
    assert table["vicreg"].startswith("**90.0 ± 3.0**")  # 1.966 sqrt(0.9 0.1 / 399)
    assert table["simclr"].startswith("50.0 ± 4.9")


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


def test_bold_is_inside_blocks_by_labels_seen(record):
    def runs(method, top1, labels=()):
        return [record(method=method, seed=s, top1=top1 + 0.001 * s, labels=labels) for s in range(3)]

    records = [
        *runs("supervised", 0.99, ("content",)),
        *runs("domains", 0.80, ("domain",)),
        *runs("weaker", 0.60, ("domain",)),
        *runs("simclr", 0.70),
        record(method="broken", top1=None),
    ]
    text = to_markdown(leaderboard(at(records)))
    table = body(text)
    assert [row[0] for row in table] == ["simclr", "broken", "domains", "weaker", "supervised"]
    assert [row[3].split(" ")[0] for row in table] == ["**70.1", "\N{EN DASH}<sup>1</sup>", "**80.1", "60.1", "**99.1"]
    assert [row[3].endswith("(1)**") for row in table] == [True, False, True, False, True]
    assert "(2)" in table[3][3]
    assert "Ceiling: supervised, which saw the labels that are asked for." in text


def test_what_nobody_knows_the_labels_of_is_a_block_of_its_own(record):
    """Encoders from elsewhere; who says what they saw has them compared with what saw as much."""
    given = {"weights": "00ff"}

    def encoder(name, top1, labels, said_by=None):
        found = [record(method=name, seed=s, top1=top1 + 0.001 * s, labels=labels, options=given) for s in range(3)]
        for one in found:
            one["provenance"] |= {"labels_from": said_by} if said_by else {}
        return found

    records = [
        *[record(method="simclr", seed=s, top1=0.7 + 0.001 * s) for s in range(3)],
        *encoder("strange", 0.9, ("unknown",), "nobody"),
        *encoder("older record", 0.8, ()),
        *encoder("said", 0.6, (), "its user"),
        *encoder("ours", 0.5, (), "its file"),
        *encoder("taught", 0.95, ("content",), "its user"),
    ]
    frame = leaderboard(at(records))
    table = {row[0]: row[LABELS] for row in body(to_markdown(frame))}
    assert table == {
        "simclr": "none",
        "said": "none (says its user)",
        "ours": "none",
        "taught": "content (says its user)",
        "strange": "unknown",
        "older record": "unknown",
    }
    blocks = dict(zip(frame["method"], frame["block"], strict=True))
    assert [blocks[name] for name in table] == ["none"] * 3 + ["content"] + ["unknown"] * 2
    ranks = (
        frame[frame["score"] == "top1"].set_index("method")[["rank_low", "rank_high"]].astype(int).agg(tuple, axis=1)
    )
    assert ranks.to_dict() == {n: (k, k) for n, k in zip(table, (1, 2, 3, 1, 1, 2), strict=True)}
    assert "unknown which labels they saw" in to_console(frame, width=100)


def test_leakage_stands_beside_content_less_is_better_and_chance_is_its_own(record):
    other = {"measure": "knn@1", "target": "class", "scores": {"top1": 0.4}}
    records = [
        record(method=m, seed=s, top1=0.5, metrics=[other, leak(v + 0.001 * s)])
        for m, v in (("tight", 0.2), ("leaky", 0.7))
        for s in range(3)
    ]
    text = to_markdown(leaderboard(at(records)))
    assert rows(text)[0][3:6] == ["linear@1 top1 % ↑", "leakage@4 % ↓", "knn@1 top1 % ↑"]
    table = {row[0]: row[4] for row in body(text)}
    assert table["tight"].startswith("**20.1")
    assert table["leaky"].startswith("70.1")
    assert next(row for row in rows(text) if row[0] == "chance")[3:5] == [ABSENT, "0.0"]


def test_a_figure_outside_of_what_its_score_is_valid_for_competes_with_none_and_says_why(record):
    """IRS follows what it should up to four codes: a better figure of 64 takes neither the bold print nor a rank."""
    found = [
        record(method=m, seed=s, metrics=[IRS | {"width": width, "scores": {"irs": value + 0.001 * s}}])
        for m, width, value in (("narrow", 4, 0.5), ("wide", 64, 0.9))
        for s in range(3)
    ]
    frame = leaderboard(at(found))
    text = to_markdown(frame)
    place = rows(text)[0].index("irs@2 ↑")
    assert {row[0]: "**" in row[place] for row in body(text)} == {"narrow": True, "wide": False}
    ranks = frame[frame["score"] == "irs"].set_index("method")["rank_low"].to_dict()
    assert ranks["narrow"] == 1
    assert math.isnan(ranks["wide"])
    assert text.count("the space is wider than the 4 codes") == 1
    for one in found:
        one["metrics"][1]["width"] = 4
    assert {row[0]: "**" in row[place] for row in body(to_markdown(leaderboard(at(found))))}["wide"]


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
    text = to_markdown(leaderboard(at([record(seed=s, top1=v) for s, v in enumerate((0.9, None, 0.8))])))
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


def test_rows_that_cannot_be_told_from_the_best_share_its_rank(record):
    best, near, far = (0.90, 0.92, 0.91, 0.93), (0.91, 0.90, 0.92, 0.905), (0.50, 0.53, 0.52, 0.53)
    named = {"best": best, "near": near, "far": far}
    records = [record(method=m, seed=s, top1=v) for m, vs in named.items() for s, v in enumerate(vs)]
    cells = {row[0]: row[3] for row in body(to_markdown(leaderboard(at(records))))}
    assert cells["best"].endswith("(1-2)**")
    assert cells["near"].endswith("(1-2)**")
    assert cells["far"].endswith("(3)")


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


def test_a_figure_of_more_codes_than_its_score_is_valid_for_is_greyed_with_the_reason(record):
    """IRS holds up to 4 codes: at 4 as ever, at 64 no longer a candidate for the best, and the note says why."""
    made = {"measure": "irs@2", "target": "all factors", "scores": {"irs": 0.5}}
    unknown, narrow, wide = (
        [record(method="simclr", metrics=[made | {"space": "features"} | told], top1=0.9)]
        for told in ({}, {"width": 4}, {"width": 64})
    )
    assert to_markdown(leaderboard(at(unknown))) == to_markdown(leaderboard(at(narrow)))
    assert 'outside"' not in to_html(leaderboard(at(narrow)))
    frame = leaderboard(at(wide))
    text, page = to_markdown(frame), to_html(frame)
    assert re.search(r"\| *0\.500.*<sup>1</sup>", text)
    assert text.count("<sup>1</sup> irs@2 irs: the space is wider than the 4 codes") == 1
    assert 'class="num outside" title="irs@2 irs: the space is wider than the 4 codes' in page
    assert line(frame, measure="irs@2").width == 64
