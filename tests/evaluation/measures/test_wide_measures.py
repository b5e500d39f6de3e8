"""Measures for wide codes and for fairness, on spaces whose answer is known."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation import protocol
from disentangle_bench.evaluation.measures.base import ALL
from tests.evaluation.measures.planted import CLASS, COLOR, all_told, bank, content_only, labels, noise, scores

NUMBERS = (TargetSpec("size", "continuous", 1, "content"), TargetSpec("angle", "continuous", 1, "style"))
WIDTH = 64


def rotated(y):
    """Both numbers, and many codes of noise, mixed."""
    n = len(y["size"])
    rng = np.random.default_rng([1, n])
    codes = np.c_[y["size"] * 2, y["angle"] - np.pi, rng.normal(size=(n, WIDTH - 2))]
    return codes @ np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))[0]


def plain(y):
    n = len(y["size"])
    return np.c_[y["size"], y["angle"], np.random.default_rng([1, n]).normal(size=(n, WIDTH - 2))]


def test_each_number_has_a_code_of_its_own_until_they_are_mixed():
    assert scores(bank(plain), "mcc@1", "numbers", NUMBERS) == pytest.approx({"mcc": 1, "ranked": 1})
    assert scores(bank(rotated), "mcc@1", "numbers", NUMBERS)["mcc"] < 0.6
    (row,), _ = protocol.evaluate(bank(plain), (CLASS, COLOR), ["mcc@1"])
    assert row["reason"] == "none of the targets is a number"


def test_a_block_determines_content_and_not_style():
    counts = {"train": 10, "val": 10, "test": 200, "probe": 150, "probe_val": 10}
    y = labels(counts=counts)
    bent = bank(lambda y: np.c_[np.exp(2 * y["size"]), 0.01 * noise(y)[:, :2]], y)
    content = scores(bent, "block_r2@1", "content numbers", NUMBERS)
    assert content["kernel"] > 0.95 > content["linear"] > 0.5
    assert scores(bent, "block_r2@1", "style numbers", NUMBERS)["kernel"] < 0.05


@pytest.mark.parametrize("title", ["med@1", "infomec@1"])
def test_a_code_for_each_factor_scores_above_a_rotation_of_them(title):
    names = {"med@1": "top_disentanglement", "infomec@1": "modularity"}

    def own(y):
        return np.stack([y["class"], y["color"], *noise(y)[:, :2].T * 0.01], axis=1)

    def turned(y):
        return own(y) @ np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]

    one, other = (scores(bank(make), title, ALL, (CLASS, COLOR))[names[title]] for make in (own, turned))
    assert one > 0.8 > other + 0.2


def test_infomec_leaves_out_what_few_points_can_not_tell():
    assert "explicitness" in scores(bank(all_told), "infomec@1", ALL, (CLASS, COLOR))
    few = labels(counts={"train": 10, "val": 10, "test": 10, "probe": 90, "probe_val": 10})
    assert "explicitness" not in scores(bank(all_told, few), "infomec@1", ALL, (CLASS, COLOR))


def test_dci_es_says_its_grid_and_how_deep_trees_have_to_be(monkeypatch):
    measure = protocol.MEASURES["dci_es@1"]
    assert measure.parameters["depths"] == [1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32]
    short = replace(measure, run=partial(measure.run.func, depths=[1, 8], trees=5))
    monkeypatch.setitem(protocol.MEASURES, "dci_es@1", short)
    found = scores(bank(lambda y: np.stack([y["class"], y["color"]], axis=1)), "dci_es@1", ALL, (CLASS, COLOR))
    assert found["informativeness"] == 1
    assert 0.2 < found["explicitness"] < 0.8  # a stump tells two classes, not four


def test_a_classifier_that_is_right_has_gaps_of_parity_at_most():
    found = scores(bank(content_only), "fairness@1", "class by color", (CLASS, COLOR))
    assert found["equalised_odds"] == 0
    assert 0 < found["demographic_parity"] < 0.2
    y = labels()
    for split in ("train", "val"):
        y[split]["color"] = np.minimum(y[split]["class"], 2)
    leaning = scores(
        bank(lambda y: np.eye(3)[y["color"]] + 0.1 * noise(y)[:, :3], y), "fairness@1", "class by color", (CLASS, COLOR)
    )
    assert leaning["equalised_odds"] > 0.5
