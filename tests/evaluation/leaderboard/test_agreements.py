"""Agreement with clusters: its interval has a part of the test images, from the clusters that runs keep."""

import math

import numpy as np
import pytest

from disentangle_bench.evaluation.leaderboard.frame import observations
from disentangle_bench.evaluation.leaderboard.summary import leaderboard
from disentangle_bench.evaluation.measures.clusters import terms_of
from disentangle_bench.evaluation.metrics.clustering import cluster_scores
from disentangle_bench.evaluation.outcomes import FILE as OUTCOMES
from disentangle_bench.evaluation.outcomes import Measured, Outcome, Outcomes, write_outcomes
from disentangle_bench.evaluation.records import FILE, find_records, seal
from disentangle_bench.json_files import write_json
from tests.evaluation.leaderboard.conftest import write_run
from tests.evaluation.leaderboard.made import line


def clustered(root, record, seed, name, by_image=True, others_domain=False):
    """A run whose five groupings of 300 images follow the class in 6 of 10."""
    rng = np.random.default_rng(0)
    labels, hues = rng.integers(4, size=(2, 300))
    rng = np.random.default_rng(seed + 1)
    groups = np.where(rng.random((5, 300)) < 0.6, labels, rng.integers(4, size=(5, 300)))
    scores = {
        name: float(np.mean([cluster_scores(truth, group)[score] for group in groups]))
        for name, truth, score in (("nmi", labels, "nmi"), ("ami", labels, "ami"), ("nmi_domain", hues, "nmi"))
    } | {"chance": 0.01}
    kept = Outcomes()
    right = {"acc": Outcome(groups[0] == labels)} if by_image else {}
    kept.add(name, "features", "class", Measured({}, right, {"clusters": groups, "labels": labels}))
    kept.add("leakage@4", "features", "hue", Measured({}, {}, {"labels": hues[::-1] if others_domain else hues}))
    made = record(seed=seed, metrics=[{"measure": name, "target": "class", "scores": scores}])
    run = write_run(root, made, False)
    write_outcomes(run / OUTCOMES, kept)
    write_json(run / FILE, seal(made, run / OUTCOMES))


def image_parts(root, name):
    found = find_records(root)[0]
    assert observations(found).attrs["problems"] == []
    frame = leaderboard(found)
    return {score: line(frame, measure=name, score=score).image_part for score in ("nmi", "ami", "nmi_domain")}


def test_agreements_have_an_interval_of_the_test_images(tmp_path, record):
    for seed in range(3):
        clustered(tmp_path, record, seed, "kmeans@2")
    parts = image_parts(tmp_path, "kmeans@2")
    assert 0.005**2 < parts["nmi"] < 0.02**2
    assert parts["ami"] == pytest.approx(parts["nmi"] / 0.99**2)
    assert 0 < parts["nmi_domain"] < 0.02**2


def test_training_images_are_no_test_images(tmp_path, record):
    clustered(tmp_path, record, 0, "kmeans_train_test@2", by_image=False)
    assert all(map(math.isnan, image_parts(tmp_path, "kmeans_train_test@2").values()))


def test_a_domain_that_does_not_give_the_figure_is_another_one(tmp_path, record):
    clustered(tmp_path, record, 0, "kmeans@2", others_domain=True)
    parts = image_parts(tmp_path, "kmeans@2")
    assert math.isnan(parts["nmi_domain"])
    assert parts["nmi"] > 0


@pytest.mark.parametrize("change", ["flat", "shorter", "domain", "chance"])
def test_clusters_that_somebody_made_up_end_no_table(change):
    """Of other shapes than the labels, or with figures that lack one: a part is missing, nothing fails."""
    labels, groups = np.arange(12) % 3, np.arange(24).reshape(2, 12) % 4
    place, scores = ("kmeans@2", "features", "class"), {"nmi": 0.5, "ami": 0.4, "nmi_domain": 0.1, "chance": 0.1}
    hues = labels[:5] if change == "domain" else labels
    if change == "chance":
        del scores["chance"]
    shown = {"flat": groups[0], "shorter": groups[:, :7]}.get(change, groups)
    kept = Outcomes()
    kept.add(*place, Measured({}, {"acc": Outcome(labels == 0)}, {"clusters": shown, "labels": labels}))
    kept.add("leakage@4", "features", "hue", Measured({}, {}, {"labels": hues}))
    found = set(terms_of(place, scores, kept))
    assert found == {"flat": set(), "shorter": set(), "domain": {"nmi", "ami"}, "chance": {"nmi"}}[change]


def test_of_several_domains_the_terms_are_of_the_mean_over_all_of_them():
    rng = np.random.default_rng(0)
    labels, hue, place, groups = rng.integers(3, size=(4, 90))
    told = [cluster_scores(domain, groups)["nmi"] for domain in (hue, place)]
    kept = Outcomes()
    right = {"acc": Outcome(labels == groups)}
    kept.add("kmeans@2", "features", "class", Measured({}, right, {"clusters": groups[None], "labels": labels}))
    for name, domain in (("hue", hue), ("place", place)):
        kept.add("leakage@4", "features", name, Measured({}, {}, {"labels": domain}))
    found = terms_of(("kmeans@2", "features", "class"), {"nmi_domain": np.mean(told)}, kept)
    assert found["nmi_domain"].figure == pytest.approx(np.mean(told))
