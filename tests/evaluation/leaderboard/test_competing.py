"""Who is compared with whom: blocks by labels seen, ranks, bold print, and figures that compete with none."""

import math
import re

from disentangle_bench.evaluation.leaderboard.frame import block_of
from disentangle_bench.evaluation.leaderboard.summary import (
    leaderboard,
    to_console,
    to_html,
    to_markdown,
)
from disentangle_bench.evaluation.leaderboard.writers.formats import ABSENT
from disentangle_bench.evaluation.records import find_records
from tests.evaluation.leaderboard.conftest import at
from tests.evaluation.leaderboard.made import LABELS, body, judged, leak, line, rows

IRS = {"measure": "irs@2", "target": "all factors"}


def test_one_seed_is_not_ranked_and_says_so(record, tmp_path):
    text = to_markdown(leaderboard(at([record(top1=0.5)])))
    assert body(text)[0][3] == "50.0"
    assert "n = 1: too few seeds to rank" in text
    judged(tmp_path, record, (0.5,))
    judged(tmp_path, record, (0.9,), method="vicreg")
    table = {row[0]: row[3] for row in body(to_markdown(leaderboard(find_records(tmp_path)[0])))}
    assert table["vicreg"].startswith("**90.0 ± 3.0**")  # 1.966 sqrt(0.9 0.1 / 399)
    assert table["simclr"].startswith("50.0 ± 4.9")


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


def test_who_saw_the_class_and_the_domain_competes_with_those_that_saw_the_class():
    told = {labels: block_of(labels) for labels in ("none", "content", "content, domain", "domain", "domain, style")}
    assert told == {
        "none": "none",
        "content": "content",
        "content, domain": "content",
        "domain": "domain",
        "domain, style": "domain",
    }


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


def test_rows_that_cannot_be_told_from_the_best_share_its_rank(record):
    best, near, far = (0.90, 0.92, 0.91, 0.93), (0.91, 0.90, 0.92, 0.905), (0.50, 0.53, 0.52, 0.53)
    named = {"best": best, "near": near, "far": far}
    records = [record(method=m, seed=s, top1=v) for m, vs in named.items() for s, v in enumerate(vs)]
    cells = {row[0]: row[3] for row in body(to_markdown(leaderboard(at(records))))}
    assert cells["best"].endswith("(1-2)**")
    assert cells["near"].endswith("(1-2)**")
    assert cells["far"].endswith("(3)")


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
