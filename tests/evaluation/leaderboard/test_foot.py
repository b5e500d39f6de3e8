"""What stands above and below a table: commands, cautions, options, budgets, ceilings."""

import re

import pytest

from disentangle_bench.evaluation.leaderboard.foot import cautions
from disentangle_bench.evaluation.leaderboard.frame import provenance
from disentangle_bench.evaluation.leaderboard.naming import method_labels
from disentangle_bench.evaluation.leaderboard.summary import (
    leaderboard,
    to_console,
    to_markdown,
)
from disentangle_bench.evaluation.leaderboard.writers.formats import ABSENT
from disentangle_bench.evaluation.records import find_records
from tests.evaluation.leaderboard.conftest import at
from tests.evaluation.leaderboard.made import KNN, body, judged, leak, rows


def test_tuned_options_are_told_from_defaults(record):
    tuned = record(method="vicreg")
    tuned["config"]["tuned"] = 12
    assert "Options: tuned, 12 draws for vicreg; untuned defaults for simclr." in to_markdown(
        leaderboard(at([record(), tuned]))
    )
    tuned["config"]["tuned_at"] = {"steps": 50}
    assert "tuned, 12 draws of 50 steps for vicreg" in to_markdown(leaderboard(at([record(), tuned])))
    seeds = [record(method="vicreg", seed=1), tuned]  # of one row, whose options came out as the defaults are
    assert "Options: tuned, 12 draws of 50 steps or untuned defaults for every" in to_markdown(leaderboard(at(seeds)))


def test_options_that_were_set_by_hand_are_no_defaults(record):
    def hand(record, **given):
        record["config"]["by_hand"] = given
        return record

    text = to_markdown(leaderboard(at([hand(record(), lr=0.1), record(method="vicreg")])))
    assert "Options set by hand: method.lr=0.1 for simclr; untuned defaults for vicreg." in text
    tuned = hand(record(), lr=0.1)
    tuned["config"]["tuned"] = 12
    assert "Options: tuned, 12 draws; options set by hand: method.lr=0.1 for every" in to_markdown(
        leaderboard(at([tuned]))
    )
    seeds = [hand(record(), lr=0.1), record(seed=1)]  # the same settings, which a suite's file says and a command line
    assert [row[0] for row in body(to_markdown(leaderboard(at(seeds))))] == ["simclr"]
    assert len(method_labels(seeds)) == 1


def test_budgets_that_differ_are_in_the_label_and_in_the_foot(record):
    frame = leaderboard(at([record(budget={"epochs": 3}), record(budget={"minutes": 2.5})]))
    assert set(frame["method"]) == {"simclr (epochs=3)", "simclr (minutes=2.5)"}
    text = to_markdown(frame)
    assert "Budget: 2.5 minutes for simclr (minutes=2.5); 3 epochs for simclr (epochs=3)." in text


def test_only_what_is_meant_as_a_ceiling_is_called_one_and_only_where_nothing_lies_above(record):
    """A method that sees content labels besides for another end is none."""
    accuracies = {"supervised": (0.8, ("content",)), "odr": (0.9, ("content", "domain")), "simclr": (0.7, ())}
    knn = {"supervised": 0.5, "odr": 0.4, "simclr": 0.6}

    def found(*methods):
        return [
            record(method=m, top1=accuracies[m][0], labels=accuracies[m][1], metrics=[leak(0.5), KNN | top1(knn[m])])
            for m in methods
        ]

    said = "Ceiling: supervised, which saw the labels that are asked for."
    text = to_markdown(leaderboard(at(found(*accuracies))))
    assert f"{said} Not of linear@1 top1, where odr reached more. Not of knn@1 top1, where simclr reached more." in text
    assert "Ceiling" not in to_markdown(leaderboard(at(found("odr", "simclr"))))
    experiment = found("supervised")
    experiment[0]["config"]["experiments"] = [{"suite": "s", "label": "with labels", "published": []}]
    assert "Ceiling: with labels, which" in to_markdown(leaderboard(at(experiment)))


def top1(value):
    return {"scores": {"top1": value}}


def test_a_foot_explains_no_interval_and_no_rank_that_is_not_there(record, tmp_path):
    alone = to_markdown(leaderboard(at([record(top1=0.5)])))
    assert "How to read a cell: 95.4 means that the method reached 95.4; nothing tells how far other seeds" in alone
    assert "n = 1: no interval" in alone
    assert not re.search("half-width|Tukey|Bold|on average|best to the third", alone)
    judged(tmp_path, record, (0.5,))
    by_image = to_markdown(leaderboard(find_records(tmp_path)[0]))
    assert "that with other test images it would most likely reach between" in by_image
    assert "± is the half-width of the 95 % interval over test images." in by_image
    assert not re.search("random seeds|Tukey|on average|best to the third", by_image)
    assert "n = 1: too few seeds to rank; bold there rests on the test images alone." in by_image
    three = to_markdown(leaderboard(at([record(seed=s, top1=0.5 + 0.01 * s) for s in range(3)])))
    for part in ("95.4 ± 0.9 (1-3)", "Tukey", "Bold", "on average", "over seeds and test images"):
        assert part in three
    terminal = to_console(leaderboard(at([record(top1=0.5)])), width=100)
    assert "93.6: the mean over seeds (n). ↑" in terminal


def test_no_interval_at_all_is_not_taken_for_certainty(record, tmp_path):
    judged(tmp_path / "some", record, (0.9,))
    assert "rule of three" not in to_markdown(leaderboard(find_records(tmp_path / "some")[0]))
    judged(tmp_path / "all", record, (1.0,))
    text = to_markdown(leaderboard(find_records(tmp_path / "all")[0]))
    assert "100.0 ± 0.0" in text
    assert "of others, up to 3 in N may not (rule of three)" in text


def test_amounts_are_spelt_as_people_do(record):
    costs = {"images_seen": 12_800, "forward_passes": 25_600}
    records = [record(method=m, budget={"epochs": 1}, cost=costs) for m in ("simclr", "vicreg")]
    text = to_markdown(leaderboard(at(records)))
    assert "Budget: 1 epoch for every method." in text
    assert "images seen (12,800), forward passes (25,600), training seconds (10)" in text


def test_the_training_of_an_encoder_from_elsewhere_was_not_measured(record):
    """Its record says that nothing was spent on it here; a floor that doesn't train has really taken no time."""
    none = {"train_seconds": 0.0, "images_per_second": 0.0, "images_seen": 0, "forward_passes": 0}
    theirs = record(method="theirs", options={"weights": "00ff"}, cost=none)
    theirs["config"]["budget"] = {}
    ours = record(method="file of a run", options={"weights": "01ff"}, cost=none)
    text = to_markdown(leaderboard(at([theirs, ours, record(method="pixels", cost=none)])))
    costs = {row[0]: row[2:4] for row in rows(text.split("spaces and costs")[1])}
    assert costs["theirs"] == costs["file of a run"] == [ABSENT, ABSENT]
    assert costs["pixels"] == ["0", "0"]
    assert "train_seconds" not in set(leaderboard(at([theirs]))["score"])


def test_a_leakage_that_still_rises_is_a_lower_bound(record):
    records = [record(method=m, metrics=[leak(0.5, rising=r)]) for m, r in (("rising", 0.03), ("flat", 0.01))]
    text = to_markdown(leaderboard(at(records)))
    table = {row[0]: row[4] for row in body(text)}
    assert table["rising"] == "≥ 50.0<sup>1</sup>"
    assert table["flat"] == "50.0"
    assert "<sup>1</sup> Still rising" in text


def test_a_worst_group_says_how_many_groups_it_leaves_out(record):
    figures = {"worst_group": 0.4, "worst_domain": 0.5, "groups_left_out": 10.0}
    row = {"space": "features", "measure": "worst_group@2", "target": "class by color", "scores": figures}
    text = to_markdown(leaderboard(at([record(metrics=[row])])))
    assert "40.0<sup>1</sup>" in text
    assert "50.0<sup>1</sup>" not in text
    assert "<sup>1</sup> 10 groups have too few test images to count." in text


def test_cautions_name_data_and_versions_that_differ(record):
    same, other = record(seed=0), record(seed=1)
    assert cautions([same, record(seed=1)]) == []
    other["provenance"]["data"]["fingerprint"] = "ffff"
    other["provenance"]["versions"]["torch"] = "1.0"
    other["provenance"]["git"]["dirty"] = True
    same["cost"] |= {"train_seconds": 10.0}
    other["cost"] |= {"train_seconds": 5.0, "devices": 2}
    found = cautions([same, other])
    assert found == [
        "digits: code that was not committed, in runs of: simclr",
        "digits: data with the same options differ between runs: ab12, ffff",
        "digits: devices differ between runs: 1, 2",
        "digits: torch differ between runs: 1.0, 2.14.1",
    ]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("bench run --suite a --jobs 2 --out /somewhere/runs --seeds 3", "bench run --suite a --seeds 3"),
        ("bench run --out=runs --method 'with penalty' --launcher slurm", "bench run --method 'with penalty'"),
        ("bench run --method 'unbalanced", "bench run --method 'unbalanced"),
    ],
)
def test_a_board_names_commands_without_what_no_figure_follows(record, command, shown):
    found = record()
    found["provenance"]["command"] = command
    assert f"- Command: `{shown}`\n" in provenance([found])
    assert "devices" not in provenance([found])
    found["cost"]["devices"] = 2
    assert "no GPU, 2 devices a run\n" in provenance([found])
