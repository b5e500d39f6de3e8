"""The comparison of two sides, and the gate that rests on it."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from disentangle_bench.evaluation.leaderboard.compare import (
    NothingToCompare,
    against,
    compare_methods,
    compare_records,
)
from disentangle_bench.evaluation.leaderboard.frame import observations
from disentangle_bench.evaluation.leaderboard.statistics import holm
from disentangle_bench.evaluation.leaderboard.writers.comparison import as_text
from tests.evaluation.leaderboard.conftest import at, write_judged
from tests.evaluation.leaderboard.made import compare, put

NOISE = (0.001, -0.002, 0.0015, 0.0005)


def side(record, shift=0.0, method="simclr", seeds=range(4), **options):
    return [
        record(method=method, seed=s, top1=0.8 + 0.01 * s + shift + NOISE[s] * bool(shift), **options) for s in seeds
    ]


def test_a_loss_beyond_noise_and_threshold_is_worse(record, tmp_path):
    result = compare(put(tmp_path / "a", side(record)), put(tmp_path / "b", side(record, -0.05)))
    assert result.exit_code == 3
    only = result.table.iloc[0]
    assert (only["n"], only["verdict"]) == (4, "worse")
    assert only["gain"] == pytest.approx(-0.05 + sum(NOISE) / 4)
    half = 3.182446 * np.std(NOISE, ddof=1) / 2  # t quantile with 3 degrees of freedom, from a table
    assert only["low"] == pytest.approx(only["gain"] - half)
    assert "1 figures: 1 worse, 0 underpowered, 0 better, 0 same" in as_text(result)


def test_the_same_runs_are_the_same(record):
    result = compare_records(at(side(record)), at(side(record)))
    assert result.exit_code == 0
    assert result.table["verdict"].tolist() == ["same"]


def test_a_gain_is_better_and_not_held_against(record):
    result = compare_records(at(side(record)), at(side(record, 0.05)))
    assert result.table["verdict"].tolist() == ["better"]
    assert result.exit_code == 0
    assert result.table["p_same"].iloc[0] > 0.95  # to be the same it must not be better either
    assert compare_records(at(side(record)), at(side(record, 0.005))).table["verdict"].tolist() == ["better"]


def test_rounding_is_no_gain(record):
    before, after = ([record(seed=s, top1=value) for s in range(3)] for value in (0.3, 0.1 + 0.2))
    assert compare_records(at(before), at(after)).table["verdict"].tolist() == ["same"]


def test_runs_are_paired_by_their_seeds(record):
    only = compare_records(at(side(record)), at(side(record, seeds=(3, 1, 2)))).table.iloc[0]
    assert only[["n", "before", "after", "gain"]].tolist() == pytest.approx([3, 0.82, 0.82, 0])


def test_what_seeds_do_is_pooled_over_the_methods_of_a_column(record):
    """A method whose seeds happen to agree is not more certain than the others."""
    steady = side(record, method="vicreg")
    trained_again = [of_encoder(r, f"again {r['cell']['seed']}") for r in steady]
    table = compare_records(at(side(record) + steady), at(side(record, 0.05) + trained_again)).table
    half = ((table["high"] - table["low"]) / 2).tolist()
    pooled = np.sqrt(np.var(NOISE, ddof=1) / 2 / 4)
    assert half == pytest.approx([2.446912 * pooled] * 2)  # t quantile with 6 degrees of freedom, from a table


def of_encoder(record, encoder):
    return record | {"provenance": record["provenance"] | {"encoder": encoder}}


def judged_again(record, off):
    (row,) = record["metrics"]
    scores = row["scores"] | {"top1": row["scores"]["top1"] + off}
    return record | {"metrics": [row | {"scores": scores}]}


def test_what_no_seed_changes_has_no_noise_of_seeds_and_tells_none_of_others(record):
    """The pixels are the same encoder whatever the seed; nor is there noise between runs and themselves."""
    pixels, brighter = (
        [of_encoder(record(method="pixels", seed=seed, top1=top1), name) for seed in range(4)]
        for name, top1 in (("pixels", 0.6), ("brighter", 0.5))
    )
    for unchanged in (pixels, side(record, method="vicreg")):
        rounded = [judged_again(r, 2e-16) for r in unchanged]
        table = compare_records(at(unchanged + side(record)), at(rounded + side(record, -0.05))).table
        own, other = (table[(table["method"] == "simclr") == trained].iloc[0] for trained in (False, True))
        assert own["verdict"] == "same"
        assert own[["gain", "low", "high"]].tolist() == pytest.approx([0, 0, 0], abs=1e-12)
        half = 3.182446 * np.std(NOISE, ddof=1) / 2  # as without the others
        assert (other["high"] - other["low"]) / 2 == pytest.approx(half)
    table = compare_records(at(pixels + side(record)), at(brighter + side(record, -0.05))).table
    changed = table[table["method"] == "pixels"].iloc[0]
    assert np.isnan(changed["low"]), "without outcomes by image nothing is known of its noise"
    assert changed["verdict"] == "underpowered"


def test_holms_correction_is_that_of_statsmodels_and_leaves_out_what_was_not_tested():
    p = np.array([0.04, np.nan, 0.011, 0.6, 0.012, np.nan, 0.02, 0.9])
    tested = np.isfinite(p)
    assert holm(p)[tested] == pytest.approx(multipletests(p[tested], method="holm")[1])
    assert np.isnan(holm(p)[~tested]).all()


def test_a_loss_below_the_threshold_passes(record):
    before, after = at(side(record)), at(side(record, -0.02))
    assert compare_records(before, after, 0.03).table["verdict"].tolist() == ["same"]
    assert compare_records(before, after, 0.01).exit_code == 3


def test_a_loss_within_noise_is_underpowered(record):
    before = [record(seed=s, top1=v) for s, v in enumerate((0.8, 0.9, 0.7, 0.85))]
    after = [record(seed=s, top1=v) for s, v in enumerate((0.9, 0.7, 0.6, 0.87))]
    result = compare_records(at(before), at(after))
    assert result.table["gain"].iloc[0] < -0.04
    assert result.table["verdict"].tolist() == ["underpowered"]
    assert result.exit_code == 4
    assert "underpowered" in as_text(result)


def test_one_seed_without_outcomes_tells_nothing(record):
    result = compare_records(at([record(top1=0.8)]), at([record(top1=0.2)]))
    assert result.exit_code == 4
    assert result.table[["low", "high", "p_worse", "p_same"]].isna().all(axis=None)


def test_one_seed_says_nothing_about_others_whatever_its_images_say(record, tmp_path):
    images = np.arange(400)
    for name, right in (("before", images < 360), ("same", images < 360), ("worse", images < 100)):
        write_judged(tmp_path / name, record(), right)
    for after in ("same", "worse"):
        result = compare(tmp_path / "before", tmp_path / after)
        assert result.table["verdict"].tolist() == ["underpowered"]
        assert result.exit_code == 4
        assert result.table[["p_worse", "p_better", "p_same"]].isna().all(axis=None)
        assert "n = 1: one seed says nothing about other seeds: run at least 3; an interval" in as_text(result)
    assert result.table["low"].iloc[0] < -0.65 < result.table["high"].iloc[0]  # of the images


def test_encoders_from_elsewhere_have_no_seeds_and_are_judged_by_images(record, tmp_path):
    """Two of them, or two versions of one; one against something that was trained here is underpowered."""
    images = np.arange(400)
    for name, right in (("before", images < 360), ("same", images < 360), ("worse", images < 300)):
        given = record(options={"weights": "00ff"}, budget={})
        given["config"]["budget"] = {}
        write_judged(tmp_path / name, given, right)
    assert compare(tmp_path / "before", tmp_path / "same").exit_code == 0
    result = compare(tmp_path / "before", tmp_path / "worse")
    assert result.exit_code == 3
    assert "one seed" not in as_text(result)
    here = record(budget={"epochs": 1})
    write_judged(tmp_path / "here", here, images < 300)
    assert compare(tmp_path / "before", tmp_path / "here").exit_code == 4


def judged(root, record, rng, methods, accuracy, seeds=3, images=360):
    """Runs with outcomes by image, of the same images on both sides: seeds differ by 1.2 points."""
    easy = np.random.default_rng(0).normal(size=images)
    for method in methods:
        for seed in range(seeds):
            own = accuracy + 0.012 * rng.normal()
            order = np.argsort(np.argsort(-easy - rng.normal(size=images)))
            write_judged(root, record(method=method, seed=seed), order < round(own * images))
    return root


def test_ten_points_lost_are_flagged_and_no_change_is_not(record, tmp_path):
    """Three methods, n = 3, N = 360."""
    rng, methods = np.random.default_rng(0), ("a", "b", "c")
    flagged = {0.8: 0, 0.9: 0}
    for k in range(12):
        before = judged(tmp_path / f"{k}", record, rng, methods, 0.9)
        for accuracy in flagged:
            after = judged(tmp_path / f"{k} {accuracy}", record, rng, methods, accuracy)
            flagged[accuracy] += compare(before, after).exit_code == 3
    assert flagged[0.8] == 12
    assert flagged[0.9] <= 1


def test_more_leakage_is_worse(record):
    def leaking(value):
        rows = [{"measure": "leakage@4", "target": "color", "scores": {"leakage": value, "chance": 0.1}}]
        return at([record(seed=s, metrics=rows) for s in range(3)])

    result = compare_records(leaking(0.3), leaking(0.5))
    assert result.table.loc[result.table["verdict"] == "worse", "measure"].tolist() == ["leakage@4"]
    assert compare_records(leaking(0.3), leaking(0.5), only=["linear@1"]).exit_code == 0


def test_only_what_speaks_for_a_method_and_has_a_direction_is_compared(record):
    rows = [
        {"space": "projection", "measure": "linear@1", "target": "class", "scores": {"top1": 0.5}},
        {"measure": "intrinsic@1", "target": "", "scores": {"rankme": 3.0}},
        {"measure": "informativeness@2", "target": "hue", "scores": {"told": 0.5}},
    ]
    found = at([record(seed=s, metrics=rows) for s in range(3)])
    assert compare_records(found, found).table[["measure", "space"]].to_numpy().tolist() == [["linear@1", "features"]]


def test_what_is_on_one_side_only_is_named(record):
    before, after = at([record(), record(method="old")]), at([record(), record(method="new")])
    result = compare_records(before, after)
    assert result.missing == ["digits/old linear@1 top1 (class)"]
    assert result.new == ["digits/new linear@1 top1 (class)"]
    assert "missing on the second side: digits/old" in as_text(result)


def test_equal_settings_are_one_method_whatever_their_label_on_either_side(record):
    before = side(record, options={"temperature": 0.5})
    after = side(record, -0.05, options={"temperature": 0.5}) + side(record, options={"temperature": 0.1})
    result = compare_records(at(before), at(after))
    assert result.exit_code == 3
    assert result.missing == []


def test_sides_that_share_nothing_are_refused(record, tmp_path):
    with pytest.raises(NothingToCompare, match="no figure"):
        compare_records(at([record(seed=0)]), at([record(seed=1)]))
    with pytest.raises(NothingToCompare):
        compare(put(tmp_path / "a", [record()]), tmp_path / "nowhere")
    with pytest.raises(ValueError, match="threshold"):
        compare_records(at([record()]), at([record()]), threshold=-1)


def test_two_methods_of_one_set_of_records(record):
    found = at(side(record) + side(record, -0.05, method="vicreg"))
    result = compare_methods(found, "simclr", "vicreg")
    assert result.table["method"].tolist() == ["simclr -> vicreg"]
    assert result.exit_code == 3
    assert compare_methods(found, "vicreg", "simclr").exit_code == 0
    with pytest.raises(NothingToCompare, match="no method 'byol' among the records: simclr, vicreg"):
        compare_methods(found, "simclr", "byol")


def test_a_method_of_ones_own_is_compared_by_its_name_or_path(record):
    theirs = side(record, -0.05, method="my_file.Mine")
    for one in theirs:
        one["config"]["names"] = {"method": "mine"}
    found = at(side(record) + theirs)
    for name in ("mine", "my_file.Mine", "my_file:Mine"):
        assert compare_methods(found, "simclr", name).table["method"].tolist() == ["simclr -> mine"]


def test_every_method_against_a_baseline(record):
    seen = observations(at(side(record) + side(record, -0.05, method="vicreg") + side(record, 0.05, method="byol")))
    table = against(seen, "simclr")
    assert dict(zip(table["method"], table["verdict"], strict=True)) == {"byol": "better", "vicreg": "worse"}
    with pytest.raises(ValueError, match="no baseline 'nobody' in these records: byol, simclr, vicreg"):
        against(seen, "nobody")
