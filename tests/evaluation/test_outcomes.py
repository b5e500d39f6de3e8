"""Outcomes by test image come back as they went in, give the figure, and are never a pickle."""

import json

import numpy as np
import pytest

from disentangle_bench.evaluation.outcomes import (
    BadOutcomes,
    Key,
    Measured,
    Outcome,
    Outcomes,
    read_outcomes,
    write_outcomes,
)


@pytest.fixture
def some() -> Outcomes:
    draw = np.random.default_rng(0)
    right, weights = draw.random(37) < 0.7, draw.random(37)
    found = Outcomes()
    found.add(
        "linear@1",
        "style/color",
        "class",
        Measured(
            {"top1": float(right.mean())},
            {"top1": Outcome(right), "told": Outcome(right, weights, scale=1.25, offset=-0.25)},
            {"predicted": draw.integers(0, 300, 37)},
        ),
    )
    found.add("recovery@1", "features", "", Measured({}, {"mean": Outcome(draw.normal(size=37).astype(np.float32))}))
    return found


def test_they_come_back(some, tmp_path):
    write_outcomes(tmp_path / "outcomes.npz", some)
    back = read_outcomes(tmp_path / "outcomes.npz")
    assert back.outcomes.keys() == some.outcomes.keys()
    for key, outcome in some.outcomes.items():
        assert back.outcomes[key].figure == outcome.figure
        np.testing.assert_array_equal(back.outcomes[key].values, outcome.values)
    for key, ids in some.ids.items():
        np.testing.assert_array_equal(back.ids[key], ids)


def test_terms_have_the_figure_as_their_plain_mean(some):
    for outcome in some.outcomes.values():
        assert outcome.terms.mean() == pytest.approx(outcome.figure, abs=1e-12)
    key = Key("linear@1", "style/color", "class", "told")
    weights, right = some.outcomes[key].weights, some.outcomes[key].values
    assert some.outcomes[key].figure == pytest.approx(1.25 * (weights @ right) / weights.sum() - 0.25)


def test_weights_alone_are_no_noise():
    weights = np.random.default_rng(0).random(50)
    assert Outcome(np.ones(50, bool), weights).terms == pytest.approx(np.ones(50))


def test_equal_outcomes_give_equal_bytes(some, tmp_path):
    for name in "ab":
        write_outcomes(tmp_path / name, some)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_bits_are_packed(tmp_path):
    found = Outcomes()
    noise = np.random.default_rng(0).random(100_000) < 0.5  # not compressible
    found.add("knn@1", "features", "class", Measured({}, {"top1": Outcome(noise)}))
    write_outcomes(tmp_path / "outcomes.npz", found)
    assert (tmp_path / "outcomes.npz").stat().st_size < 100_000 / 8 + 1000


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"[]"])
def test_damage_is_named(content, tmp_path):
    path = tmp_path / "outcomes.npz"
    path.write_bytes(content)
    with pytest.raises(BadOutcomes, match=r"outcomes\.npz"):
        read_outcomes(path)


@pytest.mark.parametrize(
    "wrong",
    [
        Outcome(np.zeros(0, bool)),
        Outcome(np.ones((2, 2))),
        Outcome(np.ones(4), np.ones(3)),
        Outcome(np.ones(4), np.zeros(4)),
        Outcome(np.ones(2), np.array([2.0, -1.0])),
        Outcome(np.ones(2), np.array([1.0, np.nan])),
    ],
)
def test_outcomes_that_give_no_figure_are_damage(wrong, tmp_path):
    found, path = Outcomes(), tmp_path / "outcomes.npz"
    found.add("linear@1", "features", "class", Measured({}, {"top1": wrong}))
    write_outcomes(path, found)
    with pytest.raises(BadOutcomes, match=r"(values|weights) of shape"):
        read_outcomes(path)


@pytest.mark.parametrize("wrong", [np.zeros(0, int), np.zeros((2, 0), int), np.zeros((1, 2, 3), int)])
def test_ids_of_no_image_are_damage(wrong, tmp_path):
    found, path = Outcomes(), tmp_path / "outcomes.npz"
    found.add("linear@1", "features", "class", Measured({}, ids={"labels": wrong}))
    write_outcomes(path, found)
    with pytest.raises(BadOutcomes, match="ids of shape"):
        read_outcomes(path)


def test_a_pickle_is_refused(tmp_path):
    path = tmp_path / "outcomes.npz"
    np.savez(path.with_suffix(""), index=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadOutcomes):
        read_outcomes(path)
    for kind in ("|O", "<U4"):
        index = np.frombuffer(json.dumps([{"key": list("abcd"), "ids": [0, kind, [1]]}]).encode(), np.uint8)
        np.savez(path.with_suffix(""), index=index, data=np.zeros(16, np.uint8))
        with pytest.raises(BadOutcomes, match="arrays of"):
            read_outcomes(path)


def test_none_is_empty(tmp_path):
    assert read_outcomes(tmp_path / "outcomes.npz") == Outcomes()
