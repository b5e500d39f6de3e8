"""Probes, neighbours, clusters and descriptions of a space, on codes of known quality."""

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.features import FeatureBank
from disentangle_bench.evaluation.measures.base import Space
from disentangle_bench.evaluation.measures.clusters import kmeans, kmeans_train_test
from disentangle_bench.evaluation.measures.content import few_shot, linear, validation
from tests.evaluation.measures.planted import (
    CLASS,
    COLOR,
    all_told,
    bank,
    content_only,
    labels,
    measured,
    noise,
    onehot,
    scores,
)

PERFECT = {
    "linear@1": {"top1": 1},
    "linear_1pct@1": {"top1": 1},
    "linear_10pct@1": {"top1": 1},
    "knn@1": {"top1": 1},
    "mlp@1": {"top1": 1},
    "kmeans@2": {"nmi": 1, "ari": 1, "acc": 1},
    "kmeans_train_test@2": {"nmi": 1, "ari": 1, "acc": 1},
}


@pytest.mark.parametrize("title", PERFECT)
def test_codes_that_hold_the_class_get_everything_right(title):
    found = scores(bank(content_only), title)
    assert {key: found[key] for key in PERFECT[title]} == pytest.approx(PERFECT[title])


@pytest.mark.parametrize("title", [title for title in PERFECT if title.startswith(("linear", "knn", "mlp"))])
def test_noise_gives_chance(title):
    assert scores(bank(noise), title)["top1"] == pytest.approx(0.25, abs=0.08)


def test_each_of_two_contents_has_a_head_of_its_own():
    """On one space, one after the other, as a run measures them."""
    both = bank(all_told)
    space = Space("features", both.features["features"], both.targets)
    assert [linear(space, target).scores["top1"] for target in (CLASS, COLOR)] == [1, 1]


@pytest.mark.parametrize("title", ["kmeans@2", "kmeans_train_test@2"])
def test_clusters_of_noise_agree_with_nothing(title):
    found = scores(bank(noise), title)
    assert found["ari"] == pytest.approx(0, abs=0.02)
    assert found["ami"] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("title", ["clusters@2", "clusters_train_test@2"])
def test_a_methods_own_clusters(title):
    relabelled = bank(lambda y: np.eye(4)[(y["class"] + 1) % 4], space="assignment")
    found = scores(relabelled, title)
    assert [found[key] for key in ("nmi", "ari", "acc", "ami")] == pytest.approx([1] * 4)
    assert found["nmi_domain"] < 0.03
    assert found["chance"] < 0.03
    assert (title, "class") not in measured(bank(content_only), [title])


@pytest.mark.parametrize("title", ["kmeans", "clusters"])
def test_clusters_of_training_and_test_images_are_judged_on_both(title):
    y = labels()
    spoilt = {split: onehot(values["class"] if split == "test" else values["color"], 4) for split, values in y.items()}
    space = "assignment" if title == "clusters" else "features"
    features = FeatureBank({space: {split: x.astype(np.float32) for split, x in spoilt.items()}}, y)
    assert scores(features, f"{title}@2")["nmi"] == pytest.approx(1)
    assert scores(features, f"{title}_train_test@2")["nmi"] < 0.7


def test_silhouette_of_classes():
    assert scores(bank(content_only), "silhouette@1")["silhouette"] > 0.9
    assert abs(scores(bank(noise), "silhouette@1")["silhouette"]) < 0.05


def test_few_labels_are_as_many_as_the_name_says():
    found = scores(bank(content_only), "linear_10pct@1")
    assert found["labels"] == pytest.approx(60, abs=3)
    assert scores(bank(content_only), "linear_1pct@1")["labels"] == 8  # two of each class at least
    assert found["spread"] == 0


def test_few_labels_are_drawn_anew_and_the_figure_is_the_mean_over_the_draws():
    faint = bank(lambda y: onehot(y["class"], 4, 2) + noise(y)[:, :4])
    space = Space("features", faint.features["features"], faint.targets)
    found = few_shot(space, CLASS, share=0.05)
    accuracy = (found.ids["predicted"] == found.ids["labels"]).mean(axis=1)
    assert len(set(map(bytes, found.ids["predicted"]))) == 5
    assert found.scores["top1"] == pytest.approx(accuracy.mean())
    assert found.scores["spread"] == pytest.approx(accuracy.std(ddof=1))


def test_clusters_are_those_of_ten_seeds_each_scored_by_scikit_learn():
    faint = bank(lambda y: onehot(y["class"], 4, 2) + noise(y)[:, :4])
    space = Space("features", faint.features["features"], faint.targets)
    found = kmeans(space, CLASS, COLOR)
    nmi = [normalized_mutual_info_score(found.ids["labels"], group) for group in found.ids["clusters"]]
    assert len(set(nmi)) > 1
    assert found.scores["nmi"] == pytest.approx(np.mean(nmi))
    assert found.scores["nmi_spread"] == pytest.approx(np.std(nmi, ddof=1))
    rng = np.random.default_rng(0)
    guesses = [
        normalized_mutual_info_score(rng.permutation(found.ids["labels"]), found.ids["clusters"][0]) for _ in range(99)
    ]
    assert found.scores["chance"] == pytest.approx(np.mean(guesses), rel=0.2)


def test_clusters_of_all_images_follow_those_of_the_test_images_and_are_no_outcomes_of_these():
    """On one space, one after the other, as a run measures them."""
    faint = bank(lambda y: onehot(y["class"], 4, 2) + noise(y)[:, :4])
    space = Space("features", faint.features["features"], faint.targets)
    test, every = kmeans(space, CLASS, COLOR), kmeans_train_test(space, CLASS, COLOR)
    classes = [space.y[split]["class"] for split in ("train", "val", "test")]
    assert every.ids["labels"].tolist() == np.concatenate(classes).tolist()
    assert every.ids["clusters"].shape == (10, sum(map(len, classes)))
    assert test.ids["labels"].tolist() == classes[2].tolist()
    assert (set(test.outcomes), set(every.outcomes)) == ({"acc"}, set())


@pytest.mark.parametrize(("colours", "told"), [(1, False), (2, True), (3, True)])
def test_agreement_with_a_domain_is_told_where_there_are_two_of_it(colours, told):
    y = labels()
    for values in y.values():
        values["color"] = values["color"] % colours
    assert ("nmi_domain" in scores(bank(content_only, y), "kmeans@2")) == told


def test_options_are_chosen_by_images_in_which_the_class_goes_with_nothing():
    """Three of four validation images go with the colour; under weights they count as much as the fourth."""
    y = labels()
    for split in ("train", "probe_val"):
        y[split]["color"] = y[split]["class"] % 3
    y["probe_val"]["color"][::4] = (y["probe_val"]["class"][::4] + 1) % 3
    weights = np.where(np.arange(len(y["probe_val"]["class"])) % 4, 1 / 3, 1.0).astype(np.float32)
    colours = bank(lambda y: onehot(y["color"], 3), y).features
    plain, weighed = (scores(FeatureBank(colours, y, w), "validation@1")["top1"] for w in ({}, {"probe_val": weights}))
    assert plain > 0.5
    assert weighed < plain - 0.1


def test_clusters_of_the_domain_are_told_from_clusters_of_the_class():
    colours = bank(lambda y: onehot(y["color"], 3) + 0.1 * noise(y)[:, :3])
    found = scores(colours, "kmeans@2")
    assert found["nmi_domain"] > 0.7
    assert found["nmi"] < 0.05
    assert found["nmi_spread"] > 0


def test_kmeans_does_not_depend_on_the_scale_of_a_dimension():
    stretched = bank(lambda y: content_only(y) * [1, 100, 0.01, 1])
    plain, scaled = scores(bank(content_only), "kmeans@2"), scores(stretched, "kmeans@2")
    assert scaled == pytest.approx(plain, abs=1e-6)


def test_label_free_measures():
    flat = bank(lambda y: np.ones((len(y["class"]), 5)) + 1e-6 * noise(y)[:, :5])
    assert scores(flat, "intrinsic@1", "")["collapsed"] == 1
    assert scores(bank(noise), "intrinsic@1", "")["rankme"] == pytest.approx(6, abs=0.1)
    assert scores(flat, "uniformity@1", "")["uniformity"] == pytest.approx(0, abs=1e-6)
    spread = scores(bank(noise), "uniformity@1", "")["uniformity"]
    assert spread < -2
    assert scores(bank(lambda y: 100 * noise(y)), "uniformity@1", "")["uniformity"] == pytest.approx(spread, abs=1e-5)


def test_a_class_that_training_lacks_costs_its_images():
    y = labels()
    for split in ("train", "val"):
        y[split]["class"] = y[split]["class"] % 3
    share = float((y["test"]["class"] != 3).mean())
    for title in ("linear@1", "knn@1", "linear_10pct@1"):
        assert scores(bank(content_only, y), title)["top1"] == pytest.approx(share, abs=0.01)


def test_validation_does_not_reward_what_goes_with_the_class_in_training_only():
    rng = np.random.default_rng(0)
    y = {"train": np.arange(2000) % 2, "probe_val": np.arange(1000) % 2}

    def space(honest):
        x = {}
        for split, truth in y.items():
            hint = truth if honest or split == "train" else rng.integers(0, 2, len(truth))
            x[split] = (hint[:, None] + 0.3 * rng.normal(size=(len(truth), 3))).astype(np.float32)
        x["probe"] = x["train"]  # has to be there, and no test split
        return Space("features", x, {split: {"class": truth} for split, truth in y.items()})

    target = TargetSpec("class", "class", 2, "content")
    assert validation(space(True), target)["top1"] > 0.95
    assert validation(space(False), target)["top1"] < 0.6
