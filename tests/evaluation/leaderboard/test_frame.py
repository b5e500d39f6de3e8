"""Means and intervals of the leaderboard frame, and which outcomes by image they take."""

import math

import numpy as np
import pytest

from disentangle_bench.evaluation.leaderboard.frame import observations
from disentangle_bench.evaluation.leaderboard.summary import (
    leaderboard,
    to_markdown,
)
from disentangle_bench.evaluation.outcomes import Measured, Outcome, Outcomes, write_outcomes
from disentangle_bench.evaluation.records import find_records, read_record, seal
from disentangle_bench.json_files import write_json
from tests.evaluation.leaderboard.conftest import at, right_or_wrong, write_judged
from tests.evaluation.leaderboard.made import judged, leak, line


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


def test_what_is_wrong_with_outcomes_is_said_of_chosen_measures_too(record, tmp_path):
    judged(tmp_path, record, (0.9, 0.92, 0.88))
    found, _ = find_records(tmp_path)
    next(iter(found)).with_name("outcomes.npz").unlink()
    assert len(leaderboard(found, ["linear@1"]).attrs["problems"]) == 1


def test_runs_whose_encoders_nobody_recorded_are_not_taken_for_one(record, tmp_path):
    """Equal outcomes of seeds that may have trained something: they have seeds' noise, unlike those of the pixels."""
    right = right_or_wrong((0.9, 0.8))
    for method, encoder in (("known", "00f"), ("unknown", "")):
        for seed in range(3):
            made = record(method=method, seed=seed)
            made["provenance"]["encoder"] = encoder
            write_judged(tmp_path, made, right[0])
    for seed, own in enumerate(right_or_wrong((0.8, 0.7, 0.75), seed=1)):
        write_judged(tmp_path, record(method="trained", seed=seed), own)
    frame = leaderboard(find_records(tmp_path)[0])
    parts = frame[frame["score"] == "top1"].set_index("method")["seed_part"]
    assert parts["known"] == 0
    assert parts["unknown"] == parts["trained"] > 0


def test_no_share_of_a_class_is_chance_where_nothing_is_an_accuracy(record, tmp_path):
    """Clusters keep the classes of the test images, too."""
    clusters = {"measure": "clusters@2", "space": "assignment", "scores": {"nmi": 0.5}}
    path = write_judged(tmp_path, record(metrics=[clusters]), right_or_wrong((0.9,))[0])
    kept = Outcomes()
    kept.add("clusters@2", "assignment", "class", Measured({}, ids={"labels": np.array([0, 0, 1])}))
    write_outcomes(path.with_name("outcomes.npz"), kept)
    write_json(path, seal(read_record(path), path.with_name("outcomes.npz")))
    seen = observations(find_records(tmp_path)[0])
    assert seen.loc[seen["measure"] == "clusters@2", "score"].tolist() == ["nmi"]
