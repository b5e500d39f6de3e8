"""The comparison of two sides, and the gate that rests on it."""

import pytest

from disentangle_bench.evaluation.leaderboard.compare import NothingToCompare, compare, compare_methods, compare_records
from disentangle_bench.evaluation.records import FILE, write_json

NOISE = (0.001, -0.002, 0.0015, 0.0005)


def side(record, shift=0.0, method="simclr", seeds=range(4), **options):
    return [
        record(method=method, seed=s, top1=0.8 + 0.01 * s + shift + NOISE[s] * bool(shift), **options) for s in seeds
    ]


def put(root, records):
    for r in records:
        write_json(root / r["cell"]["hash"] / FILE, r)
    return root


def test_a_loss_beyond_noise_and_threshold_is_worse(record, tmp_path):
    result = compare(put(tmp_path / "a", side(record)), put(tmp_path / "b", side(record, -0.05)))
    assert result.worse
    assert result.exit_code == 3
    only = result.table.iloc[0]
    assert (only["n"], only["verdict"]) == (4, "worse")
    assert only["gain"] == pytest.approx(-0.05 + sum(NOISE) / 4)
    assert "WORSE: 1 of 1 figures lost more than 0.01" in result.text()


def test_the_same_runs_are_not_worse(record):
    result = compare_records(side(record), side(record))
    assert not result.worse
    assert result.exit_code == 0
    assert result.table["verdict"].tolist() == ["not distinguishable"]
    assert "not worse: 0 of 1 figures" in result.text()


def test_a_gain_is_better_and_not_held_against(record):
    result = compare_records(side(record), side(record, 0.05))
    assert result.table["verdict"].tolist() == ["better"]
    assert not result.worse


def test_a_loss_below_the_threshold_is_told_but_passes(record):
    before, after = side(record), side(record, -0.02)
    assert compare_records(before, after, 0.03).table["verdict"].tolist() == ["worse"]
    assert not compare_records(before, after, 0.03).worse
    assert compare_records(before, after, 0.01).worse


def test_a_loss_within_noise_passes(record):
    before = [record(seed=s, top1=v) for s, v in enumerate((0.8, 0.9, 0.7, 0.85))]
    after = [record(seed=s, top1=v) for s, v in enumerate((0.9, 0.7, 0.6, 0.87))]
    result = compare_records(before, after)
    assert result.table["gain"].iloc[0] < -0.04
    assert not result.worse


def test_one_seed_is_held_to_the_threshold_alone(record):
    assert compare_records([record(top1=0.8)], [record(top1=0.78)]).worse
    assert not compare_records([record(top1=0.8)], [record(top1=0.795)]).worse


def test_more_leakage_is_worse(record):
    def leaking(value):
        row = {"measure": "leakage@1", "target": "color", "scores": {"linear": value, "chance": 0.1}}
        return [record(metrics=[row])]

    result = compare_records(leaking(0.3), leaking(0.5))
    assert result.table.loc[result.table["regressed"], "measure"].tolist() == ["leakage@1"]
    assert not compare_records(leaking(0.3), leaking(0.5), only=["linear@1"]).worse


def test_what_is_on_one_side_only_is_named(record):
    result = compare_records([record(), record(method="old")], [record(), record(method="new")])
    assert result.missing == ["digits/old/features linear@1 top1 (class)"]
    assert result.new == ["digits/new/features linear@1 top1 (class)"]
    assert "missing on the second side: digits/old" in result.text()


def test_equal_settings_are_one_method_whatever_their_label_on_either_side(record):
    before = side(record, options={"temperature": 0.5})
    after = side(record, -0.05, options={"temperature": 0.5}) + side(record, options={"temperature": 0.1})
    result = compare_records(before, after)
    assert result.worse
    assert result.missing == []


def test_sides_that_share_nothing_are_refused(record, tmp_path):
    with pytest.raises(NothingToCompare, match="no figure"):
        compare_records([record(seed=0)], [record(seed=1)])
    with pytest.raises(NothingToCompare):
        compare(put(tmp_path / "a", [record()]), tmp_path / "nowhere")
    with pytest.raises(ValueError, match="threshold"):
        compare_records([record()], [record()], threshold=-1)


def test_two_methods_of_one_set_of_records(record):
    records = side(record) + side(record, -0.05, method="vicreg")
    result = compare_methods(records, "simclr", "vicreg")
    assert result.table["method"].tolist() == ["simclr -> vicreg"]
    assert result.worse
    assert not compare_methods(records, "vicreg", "simclr").worse
    with pytest.raises(NothingToCompare, match="no method 'byol' among the records: simclr, vicreg"):
        compare_methods(records, "simclr", "byol")


def test_skipped_records_and_names_for_the_terminal(record, tmp_path):
    before = put(tmp_path / "a", [record(method="a\x1b[31mb", top1=0.8)])
    after = put(tmp_path / "b", [record(method="a\x1b[31mb", top1=0.5)])
    (after / "bad").mkdir()
    (after / "bad" / FILE).write_text("{")
    text = compare(before, after).text()
    assert "\x1b" not in text
    assert "skipped: " in text
