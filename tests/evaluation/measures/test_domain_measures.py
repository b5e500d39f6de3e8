"""Leakage, groups, unseen domains and retrieval, on codes whose domain is told, hidden or confounded."""

import numpy as np
import pandas as pd
import pytest

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.features import FeatureBank
from disentangle_bench.evaluation.measures.base import ALL, Space
from disentangle_bench.evaluation.measures.domain import unseen_domain, worst_group
from disentangle_bench.evaluation.measures.probing import share_unknown
from disentangle_bench.evaluation.metrics import probes
from disentangle_bench.evaluation.metrics.invariance import domain_leakage
from tests.evaluation.measures.planted import (
    CLASS,
    COLOR,
    COUNTS,
    all_told,
    bank,
    content_only,
    correlated,
    labels,
    measured,
    noise,
    onehot,
    scores,
)


def test_leakage_of_everything_and_of_nothing():
    told, hidden = (scores(bank(make), "leakage@4", "color") for make in (all_told, content_only))
    assert told["leakage"] > 0.98
    assert hidden["leakage"] < 0.15
    kinds = {"linear", "mlp", "knn", "leakage", "chance", "rising", "adversary", "quarter", "half"}
    assert told.keys() == kinds
    assert scores(bank(lambda y: np.ones((len(y["class"]), 4))), "leakage@4", "color")["leakage"] == 0


def test_domains_that_nobody_could_learn_are_not_called_hidden():
    """A perfect code of four domains; two of them are in the test images only, so nobody who learns can name them."""
    y = labels()
    for split, values in y.items():
        values["class"] = values["class"] % 2 + 2 * (split == "test")
    targets = (TargetSpec("class", "class", 4, "domain"), COLOR)
    found = measured(bank(lambda y: onehot(y["class"], 4), y), ["leakage@4", "informativeness@2", "mig@2"], targets)
    assert "100% of the test images have a class that no image of probe has" in found["leakage@4", "class"]["reason"]
    assert "no image of probe has" in found["informativeness@2", "class"]["reason"]
    assert "1 of the targets varies" in found["mig@2", ALL]["reason"]


def test_domains_of_images_that_weigh_nothing_are_neither_learnt_nor_asked_for():
    y = {"probe": {"color": np.array([0, 1, 2])}, "test": {"color": np.array([0, 1, 2, 2])}}
    weights = {"probe": np.array([1, 1, 0]), "test": np.array([1, 1, 1, 0])}
    x = {split: np.zeros((len(values["color"]), 1)) for split, values in y.items()}
    assert share_unknown(Space("features", x, y), COLOR) == 0
    assert share_unknown(Space("features", x, y, weights=weights), COLOR) == pytest.approx(1 / 3)


def test_a_neighbour_that_weighs_nothing_takes_nobodys_place():
    rng = np.random.default_rng(0)
    x, d = rng.normal(size=(300, 5)), rng.integers(2, size=300)
    x[:, 0] += d
    idle = np.tile(x[:200], (6, 1))
    rows, test = slice(0, 200), slice(200, 300)
    fit = {"num_domains": 2, "val": (x[rows], d[rows])}
    alone = domain_leakage(x[rows], d[rows], x[test], d[test], **fit)
    weights = (np.r_[np.zeros(1200), np.ones(200)], np.ones(200), np.ones(100))
    crowded = domain_leakage(
        np.r_[idle, x[rows]], np.r_[np.zeros(1200, int), d[rows]], x[test], d[test], weights=weights, **fit
    )
    assert crowded["knn"] == alone["knn"]


def test_leakage_is_that_of_the_strongest_adversary_above_chance():
    def faint(y):
        return onehot(y["color"], 3, 1.5) + noise(y)[:, :3]

    uneven = {"test": np.random.default_rng(0).random(COUNTS["test"])}
    plain = bank(faint)
    for weights in ({}, uneven):
        found = scores(FeatureBank(plain.features, plain.targets, weights), "leakage@4", "color")
        check_curve(found)


def check_curve(found):
    strongest = (found["linear"], found["mlp"], found["knn"])[int(found["adversary"])]
    assert 0.05 < found["leakage"] < 0.95
    assert found["leakage"] == pytest.approx((strongest - found["chance"]) / (1 - found["chance"]), abs=1e-12)
    assert found["rising"] == pytest.approx(strongest - found["half"], abs=1e-7)


def test_adversaries_learn_the_domain_where_the_class_does_not_give_it_away():
    """In training the colour is the class's; who learns it there looks at the class, and misses the colour itself."""
    y = labels()
    for split in ("train", "val"):
        y[split]["color"] = y[split]["class"] % 3

    def faint(y):
        return np.concatenate([onehot(y["class"], 4), onehot(y["color"], 3, 0.5) + 0.05 * noise(y)[:, :3]], axis=1)

    assert scores(bank(faint, y), "leakage@4", "color")["leakage"] > 0.95
    assert scores(bank(faint, y), "informativeness@2", "color")["told"] > 0.95
    assert scores(bank(content_only, y), "leakage@4", "color")["leakage"] < 0.15


def independence(values):
    """Weights p(class) p(color) / p(class, color) of each image."""
    pairs = np.zeros((4, 3))
    np.add.at(pairs, (values["class"], values["color"]), 1 / len(values["class"]))
    apart = np.outer(pairs.sum(axis=1), pairs.sum(axis=0))
    return (apart / np.maximum(pairs, 1e-12))[values["class"], values["color"]].astype(np.float32)


def test_weights_take_the_place_of_independent_images():
    """Where class and colour go together everywhere, the class passes for leakage, unless images are weighed."""
    y = {split: correlated(values, 0.6) for split, values in labels().items()}
    plain = bank(content_only, y)
    weights = {split: independence(y[split]) for split in ("probe", "probe_val", "test")}
    weighed = FeatureBank(plain.features, y, weights)
    assert scores(plain, "leakage@4", "color")["leakage"] > 0.4
    found = scores(weighed, "leakage@4", "color")
    assert found["leakage"] < 0.12
    shares = np.bincount(y["test"]["color"], weights=weights["test"]) / weights["test"].sum()
    assert found["chance"] == pytest.approx(shares.max(), abs=1e-6)
    assert scores(plain, "informativeness@2", "color")["told"] > 0.4
    assert scores(weighed, "informativeness@2", "color")["told"] < 0.12
    assert scores(weighed, "informativeness@2", "class")["told"] > 0.98
    nothing = FeatureBank(plain.features, y, weights | {"probe": np.zeros(COUNTS["probe"], np.float32)})
    assert "in every domain" in measured(nothing, ["leakage@4"])["leakage@4", "color"]["reason"]


def test_adversaries_learn_under_the_weights():
    """Each would else take the class for the colour's best sign, where the code tells both, and find less."""
    y = {split: correlated(values, 0.9) for split, values in labels().items()}
    weights = {split: independence(y[split]) for split in ("probe", "probe_val", "test")}

    def both(y):
        return np.concatenate([onehot(y["class"], 4), onehot(y["color"], 3, 1.5) + noise(y)[:, :3]], axis=1)

    found = scores(FeatureBank(bank(both, y).features, y, weights), "leakage@4", "color")
    assert min(found[name] for name in ("linear", "mlp", "knn")) > 0.65  # without weights 0.52, 0.58 and 0.47


def shifted():
    """Codes of the colour alone; in training and validation it tells the class, in test it doesn't."""
    y = labels(counts={"train": 600, "val": 200, "test": 600, "probe": 900, "probe_val": 150})
    for split in ("train", "val"):
        y[split]["color"] = y[split]["class"] % 3
    return y, lambda y: np.concatenate([onehot(y["color"], 3), noise(y)], axis=1)


def test_worst_group_and_the_gap_of_a_shifted_correlation():
    y, colours = shifted()
    found = scores(bank(colours, y), "worst_group@2", "class by color")
    assert found["in_distribution"] > 0.7
    assert found["gap"] > 0.3
    assert found["worst_group"] <= found["worst_domain"] <= found["top1"]
    assert (found["groups"], found["groups_left_out"]) == (12, 0)
    fine = scores(bank(content_only, y), "worst_group@2", "class by color")
    assert (fine["gap"], fine["worst_group"], fine["refitted_worst_group"]) == (0, 1, 1)

    def both(y):  # the class is there, but a head that has not seen it apart from the colour need not look
        return np.concatenate([onehot(y["color"], 3), onehot(y["class"], 4, 0.05) + 0.02 * noise(y)[:, :4]], axis=1)

    torn = scores(bank(both, y), "worst_group@2", "class by color")
    assert torn["refitted_top1"] > torn["top1"] + 0.3
    assert torn["refitted_worst_group"] > torn["worst_group"] + 0.3


def faint_space(rare):
    """Of colour 2 some test images alone, and codes that tell the class of three in four or so."""
    y = labels()
    rows = np.flatnonzero(y["test"]["color"] == 2)
    y["test"]["color"][rows[rare:]] = 0
    faint = bank(lambda y: onehot(y["class"], 4, 2) + noise(y)[:, :4] + 0.6 * y["color"][:, None], y)
    return Space("features", faint.features["features"], y)


def test_groups_are_of_one_class_and_one_domain_and_of_enough_images():
    space = faint_space(rare=24)
    found = worst_group(space, CLASS, COLOR)
    images = pd.DataFrame({"class": found.ids["labels"], "color": space.y["test"]["color"]})
    assert (images.value_counts() < 10).any()
    for name, ids in (("", "predicted"), ("refitted_", "refitted")):
        images["right"] = found.ids[ids] == found.ids["labels"]
        group = images.groupby(["class", "color"])["right"].agg(["mean", "size"])
        counted = group[group["size"] >= 10]["mean"]
        worst = images.set_index(["class", "color"]).index == counted.idxmin()
        assert (found.outcomes[f"{name}worst_group"].weights == worst).all()
        assert found.scores[f"{name}worst_group"] == pytest.approx(counted.min())
        assert found.scores[f"{name}worst_domain"] == pytest.approx(images.groupby("color")["right"].mean().min())
        assert (found.scores["groups"], found.scores["groups_left_out"]) == (len(counted), len(group) - len(counted))
    assert found.scores["gap"] == pytest.approx(found.scores["in_distribution"] - found.scores["top1"])


def test_the_validation_images_that_pick_the_strength_are_not_those_that_are_scored(monkeypatch):
    space, picked = faint_space(rare=24), []
    fitted = probes.fit_linear
    monkeypatch.setattr(probes, "fit_linear", lambda *a, val, **k: picked.append(val[0]) or fitted(*a, val=val, **k))
    found = worst_group(space, CLASS, COLOR)
    (used,) = picked
    rest = ~(space.x["val"][:, None] == used).all(axis=2).any(axis=1)
    assert (len(used), rest.sum()) == (50, 50)
    head = fitted(
        space.x["train"], space.y["train"]["class"], num_classes=4, val=(used, space.y["val"]["class"][~rest])
    )
    right = head.predict(space.x["val"][rest]) == space.y["val"]["class"][rest]
    assert found.scores["in_distribution"] == pytest.approx(right.mean(), abs=0.03)


def test_every_domain_that_is_left_out_counts_alike():
    space = faint_space(rare=24)
    measured = unseen_domain(space, CLASS, COLOR)
    found = measured.scores
    domains = [found[f"color {value}"] for value in range(3)]
    assert len(set(domains)) == 3
    assert found["top1"] == pytest.approx(np.mean(domains))
    assert found["worst"] == min(domains)
    assert (measured.outcomes["worst"].weights == (space.y["test"]["color"] == np.argmin(domains))).all()


def test_a_domain_that_the_probe_has_not_seen():
    y = labels()
    for split in ("train", "val"):  # a probe that sees this colour, and no other, doesn't know class 3
        y[split]["class"][y[split]["color"] == 0] %= 3
    assert scores(bank(content_only, y), "unseen_domain@1", "class by color")["worst"] == 1

    def turned(y):  # in each colour the classes stand elsewhere
        return onehot((y["class"] + y["color"]) % 4, 4) + onehot(y["color"], 3).sum(axis=1, keepdims=True) * 0

    found = scores(bank(turned), "unseen_domain@1", "class by color")
    assert found["top1"] < 0.25
    assert {"color 0", "color 1", "color 2"} <= found.keys()


def test_retrieval_across_domains():
    found = scores(bank(content_only), "retrieval@1", "class by color")
    assert (found["recall@1"], found["map"]) == (1, pytest.approx(1))
    assert scores(bank(noise), "retrieval@1", "class by color")["recall@1"] == pytest.approx(0.25, abs=0.08)


def test_queries_whose_class_no_other_domain_has_do_not_count():
    y = labels()
    y["test"]["color"][y["test"]["class"] == 3] = 0
    found = scores(bank(content_only, y), "retrieval@1", "class by color")
    assert (found["recall@1"], found["map"]) == (1, pytest.approx(1))
    assert found["queries"] == (y["test"]["class"] != 3).sum()
