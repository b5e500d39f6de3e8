"""Clustering scores against the reference figures, closed forms and their undefined cases."""

import numpy as np
import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics import MetricUndefined
from disentangle_bench.evaluation.metrics.clustering import (
    chance_nmi,
    cluster_scores,
    kmeans_clusters,
    kmeans_scores,
    nmi_terms,
    silhouette,
)

RNG = np.random.default_rng(0)


def blobs(clusters: int = 4, each: int = 60, dim: int = 8, spread: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(clusters), each)
    return rng.normal(size=(clusters, dim))[labels] + spread * rng.normal(size=(len(labels), dim)), labels


@pytest.mark.parametrize("case", ["munkres_a", "munkres_b"])
def test_scores_meet_munkres_figures(golden, case):
    file = golden(f"metrics/{case}")
    scores = cluster_scores(file["in_true"], file["in_pred"])
    for name in ("acc", "nmi", "ari"):
        assert scores[name] == pytest.approx(file[f"out_{name}"].item(), rel=1e-9)


@pytest.mark.parametrize("case", ["equal", "more_clusters", "fewer_clusters", "probs"])
def test_scores_meet_contrastive_clustering_figures(golden, case):
    file = golden(f"cade/scores_{case}")
    scores = cluster_scores(file["in_true"], file["in_pred"])
    if "in_probs" in file:
        assert cluster_scores(file["in_true"], file["in_probs"].argmax(1)) == scores
    for name in ("acc", "nmi", "ari", "ami"):
        assert scores[name] == pytest.approx(file[f"out_{name}"].item(), rel=1e-9, abs=1e-12)


def test_names_of_clusters_do_not_matter():
    labels, clusters = RNG.integers(5, size=300), RNG.integers(7, size=300)
    renamed = np.array([100, -3, 7, 0, 55, 2, 9])[clusters]
    assert cluster_scores(labels + 1, renamed) == pytest.approx(cluster_scores(labels, clusters), abs=1e-12)
    assert cluster_scores(labels, labels * 3 - 40) == pytest.approx(dict.fromkeys(("nmi", "ari", "acc", "ami"), 1))


def test_independent_clusters_score_chance():
    scores = cluster_scores(RNG.integers(5, size=20_000), RNG.integers(5, size=20_000))
    assert scores["ari"] == pytest.approx(0, abs=2e-3)
    assert scores["ami"] == pytest.approx(0, abs=2e-3)
    assert scores["nmi"] == pytest.approx(0, abs=2e-3)
    assert scores["acc"] == pytest.approx(0.2, abs=0.02)


def test_accuracy_matches_one_cluster_with_one_label():
    # two clusters share a label: only the larger one counts, which a majority vote would not notice
    assert cluster_scores([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 2, 2])["acc"] == pytest.approx(5 / 6)
    assert cluster_scores([0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 0, 0])["acc"] == pytest.approx(2 / 6)


def test_kmeans_finds_blobs_whatever_the_scale():
    features, labels = blobs()
    for scaled in (features, features.astype(np.float32) * 1e3, torch.from_numpy(features).bfloat16()):
        assert kmeans_scores(scaled, labels, 4)["acc"] == 1.0
    assert kmeans_scores(features, labels, 2)["acc"] == pytest.approx(0.5)


def test_kmeans_does_not_depend_on_threads():
    features, labels = blobs(clusters=10, spread=1.5)
    runs = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            runs.append(kmeans_scores(features, labels, 10, seed=3, n_init=2))
    assert runs[0] == runs[1]
    assert runs[0] != kmeans_scores(features, labels, 10, seed=4, n_init=1)


def test_silhouette_tells_tight_groups_from_random_ones():
    features, labels = blobs(spread=0.01)
    assert silhouette(features, labels)["silhouette"] > 0.98
    assert abs(silhouette(features, RNG.permutation(labels))["silhouette"]) < 0.1
    sampled = silhouette(features, labels, seed=1, sample_size=100)
    assert sampled == silhouette(features, labels, seed=1, sample_size=100)
    assert sampled != silhouette(features, labels, seed=2, sample_size=100)


def test_undefined_cases_say_why():
    features, labels = blobs(each=5)
    broken = features.copy()
    broken[0, :2], broken[3, 0] = np.nan, np.inf
    with pytest.raises(MetricUndefined, match="features contain 3 non-finite values"):
        kmeans_scores(broken, labels, 4)
    with pytest.raises(MetricUndefined, match="21 clusters on 20 samples"):
        kmeans_scores(features, labels, 21)
    with pytest.raises(MetricUndefined, match="two labels or more, got 1"):
        cluster_scores(np.zeros(9, int), np.arange(9))
    with pytest.raises(MetricUndefined, match="1 clusters"):
        silhouette(features, np.zeros_like(labels))
    with pytest.raises(MetricUndefined, match="constant"):
        silhouette(np.ones_like(features), labels)
    with pytest.raises(ValueError, match=r"\(20,\) but clusters \(19,\)"):
        cluster_scores(labels, labels[1:])
    with pytest.raises(ValueError, match=r"\(19,\) but features \(20, 8\)"):
        kmeans_scores(features, labels[1:], 4)
    with pytest.raises(ValueError, match="integers"):
        cluster_scores(labels, labels + 0.5)


def test_chance_is_the_mean_nmi_of_permuted_labels_also_of_few_groups():
    rng = np.random.default_rng(0)
    labels, groups = np.arange(60) % 10, np.arange(60) // 30
    permuted = [normalized_mutual_info_score(rng.permutation(labels), groups) for _ in range(400)]
    assert chance_nmi(labels, groups) == pytest.approx(np.mean(permuted), rel=0.05)


def table_of(rng, images, classes, clusters, told):
    labels = rng.integers(classes, size=images)
    return labels, np.where(rng.random(images) < told, labels % clusters, rng.integers(clusters, size=images))


@pytest.mark.parametrize(("classes", "clusters", "told"), [(10, 10, 0.5), (3, 7, 0.3), (4, 2, 0.8), (3, 1, 0.5)])
def test_the_nmi_is_the_mean_of_its_terms_which_are_what_leaving_an_image_out_takes(classes, clusters, told):
    labels, groups = table_of(np.random.default_rng(0), 20_000, classes, clusters, told)
    terms = nmi_terms(labels + 3, groups * 2)
    whole = normalized_mutual_info_score(labels, groups)
    assert terms.mean() == pytest.approx(whole, abs=1e-9)
    without = [normalized_mutual_info_score(np.delete(labels, i), np.delete(groups, i)) for i in range(40)]
    moved = (whole - np.array(without)) * (len(labels) - 1)
    assert terms[:40] - whole == pytest.approx(moved, rel=0.03, abs=0.02)


def test_the_spread_of_terms_tells_how_far_the_nmi_of_other_images_lies():
    rng = np.random.default_rng(0)
    drawn = [table_of(rng, 2000, 10, 10, 0.5) for _ in range(300)]
    told = np.mean([nmi_terms(*one).std() / np.sqrt(2000) for one in drawn])
    assert told == pytest.approx(np.std([nmi_terms(*one).mean() for one in drawn]), rel=0.1)


def test_of_several_starts_the_tightest_clusters_are_kept():
    x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)

    def spread(starts):
        groups = kmeans_clusters(x, 12, [0], n_init=starts)[0]
        return sum(((x[groups == k] - x[groups == k].mean(axis=0)) ** 2).sum() for k in np.unique(groups))

    assert spread(20) < 0.98 * spread(1)
