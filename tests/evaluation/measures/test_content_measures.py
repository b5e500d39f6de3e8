"""Probes, neighbours, clusters and descriptions of a space, on codes of known quality."""

import numpy as np
import pytest

from disentangle_bench.evaluation.features import FeatureBank
from tests.evaluation.measures.planted import bank, content_only, labels, measured, noise, onehot, scores

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
