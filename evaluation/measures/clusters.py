"""Do images of a class lie together? Clusters of content targets: by k-means, and a method's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import CONTENT_AND_DOMAINS, Measure, Score, Space, each, measured
from disentangle_bench.evaluation.outcomes import Key, Measured, Outcome, Outcomes


def kmeans(space: Space, target: TargetSpec, *domains: TargetSpec, starts: int = 10, seed: int = 0) -> Measured:
    """k-means of the standardised test features with as many clusters as there are classes: the mean over its seeds.

    `nmi_spread` is the deviation of the NMI over them, `chance` the NMI that groups of these sizes have by chance,
    `nmi_domain` the NMI with the domain, the mean over domain targets.
    """
    groups = _kmeans(space, space.x["test"], target.size, starts, seed, "test")
    return _agreement(groups, space.y["test"], target, domains, by_image=True)


def kmeans_train_test(
    space: Space, target: TargetSpec, *domains: TargetSpec, starts: int = 10, seed: int = 0
) -> Measured:
    """k-means of all images, training and test alike, as papers on clustering do; otherwise as `kmeans`."""
    x, y = _everything(space)
    return _agreement(_kmeans(space, x, target.size, starts, seed, "all"), y, target, domains, by_image=False)


def clusters(space: Space, target: TargetSpec, *domains: TargetSpec) -> Measured:
    """The method's own clusters (argmax of its assignment) on the test split."""
    return _agreement(_argmax(space.x["test"]), space.y["test"], target, domains, by_image=True)


def clusters_train_test(space: Space, target: TargetSpec, *domains: TargetSpec) -> Measured:
    """The method's own clusters of all images, training and test alike."""
    x, y = _everything(space)
    return _agreement(_argmax(x), y, target, domains, by_image=False)


def _everything(space: Space) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    splits = ("train", "val", "test")
    names = space.y["test"]
    return (
        np.concatenate([space.x[split] for split in splits]),
        {name: np.concatenate([space.y[split][name] for split in splits]) for name in names},
    )


def _kmeans(space: Space, x: np.ndarray, count: int, starts: int, seed: int, images: str) -> np.ndarray:
    import torch

    from disentangle_bench.evaluation.metrics.arrays import check_array
    from disentangle_bench.evaluation.metrics.clustering import kmeans_clusters
    from disentangle_bench.evaluation.metrics.probes.logistic import Standardizer

    def fit() -> np.ndarray:
        features = check_array(x, "features")
        standardized = Standardizer([features], torch.device("cpu"))(features).numpy()
        return kmeans_clusters(standardized, count, range(seed, seed + starts))

    return space.cached(("k-means", images, count, starts, seed), fit)


def _argmax(probabilities: np.ndarray) -> np.ndarray:
    """Int [1, N]; the lowest of equal ones."""
    from disentangle_bench.evaluation.metrics.arrays import check_array

    return check_array(probabilities, "probabilities").argmax(axis=1)[None]


def _agreement(
    groups: np.ndarray, y: dict[str, np.ndarray], target: TargetSpec, domains: tuple[TargetSpec, ...], *, by_image: bool
) -> Measured:
    """Means over groupings int [S, N] of their scores against the classes, and of the NMI with the domains."""
    from disentangle_bench.evaluation.metrics.clustering import chance_nmi, cluster_scores, matched

    truth = y[target.name]
    found = [cluster_scores(truth, group) for group in groups]
    means = {key: float(np.mean([score[key] for score in found])) for key in found[0]}
    means["chance"] = float(np.mean([chance_nmi(truth, group) for group in groups]))
    if len(groups) > 1:
        means["nmi_spread"] = float(np.std([score["nmi"] for score in found], ddof=1))
    told = [
        cluster_scores(y[domain.name], group)["nmi"]
        for domain in domains
        if len(np.unique(y[domain.name])) > 1
        for group in groups
    ]
    if told:
        means["nmi_domain"] = float(np.mean(told))
    right = np.sum([matched(truth, group) for group in groups], axis=0).astype(np.float32)
    outcomes = {"acc": Outcome(right, scale=1 / len(groups))} if by_image else {}
    return measured(outcomes, means, clusters=groups, labels=truth)


def terms_of(place: tuple[str, str, str], scores: Mapping[str, float], kept: Outcomes) -> dict[str, Outcome]:
    """Terms by test image of agreements with clusters, from the clusters that a run keeps.

    They are terms of the NMI (`nmi_terms`), the mean over groupings. The AMI is (NMI - chance) / (1 - chance), and
    moves as that does: what chance gives hardly moves with an image.

    Args:
        place: (measure, space, target) of the clusters.
        scores: that a record has of them.
        kept: beside the record.

    Returns:
        `nmi`, `ami` where there is one, and `nmi_domain` where the domains are those that leakage was measured of;
        empty where there are no clusters, or training images are among them.
    """
    from disentangle_bench.evaluation.metrics.clustering import nmi_terms

    groups, truth = (kept.ids.get(Key(*place, name)) for name in ("clusters", "labels"))
    if groups is None or truth is None or Key(*place, "acc") not in kept.outcomes:
        return {}
    if groups.ndim != 2 or groups.shape[1:] != truth.shape:  # of a file that somebody made: `bench verify` tells
        return {}

    def terms(*labels: np.ndarray) -> np.ndarray:
        found = [nmi_terms(one.astype(np.int64), group.astype(np.int64)) for one in labels for group in groups]
        return np.asarray(np.mean(found, axis=0))

    by_class = terms(truth)
    found = {"nmi": Outcome(by_class)}
    if "ami" in scores and (chance := scores.get("chance", 1.0)) < 1:
        found["ami"] = Outcome(scores["ami"] + (by_class - by_class.mean()) / (1 - chance))
    told = {k.target: v for k, v in kept.ids.items() if k.measure.startswith("leakage@") and k.score == "labels"}
    domains = {name: labels for name, labels in told.items() if labels.shape == truth.shape}
    if domains and "nmi_domain" in scores:
        by_domain = Outcome(terms(*domains.values()))
        if np.isclose(by_domain.figure, scores["nmi_domain"]):
            found["nmi_domain"] = by_domain
    return found


def silhouette(space: Space, target: TargetSpec, *, sample_size: int = 5000, seed: int = 0) -> dict[str, float]:
    """Silhouette of the classes themselves: do they lie tight and apart?"""
    from disentangle_bench.evaluation.metrics import clustering

    return clustering.silhouette(space.x["test"], space.y["test"][target.name], seed, sample_size=sample_size)


OWN_CLUSTERS = {  # AMI, ARI and the accuracy of the best matching stand in the records and the csv
    "nmi": Score("up", 0, 1, "the score `chance`"),
    "nmi_domain": Score("down", 0, 1, "near the score `chance`"),
    "chance": Score(None, 0, 1, "itself"),
}
CLUSTERING = OWN_CLUSTERS | {"ami": Score("up", -0.5, 1, "0")}
_clustering = partial(Measure, version=2, targets=CONTENT_AND_DOMAINS, aspect="content")

MEASURES = (
    _clustering(
        name="kmeans",
        splits="fitted and scored on test",
        source="k-means on standardised features, mean over 10 seeds; NMI (arithmetic mean), its mean over "
        "permutations, AMI, ARI, accuracy of the best one-to-one matching, NMI with the domain",
        scores=CLUSTERING,
        run=kmeans,
    ),
    _clustering(
        name="kmeans_train_test",
        splits="fitted and scored on train + val + test",
        source="k-means as papers on clustering report it; scores as in kmeans",
        scores=OWN_CLUSTERS,
        run=kmeans_train_test,
    ),
    _clustering(
        name="clusters",
        splits="scored on test",
        source="the method's own assignment; scores as in kmeans",
        scores=OWN_CLUSTERS,
        run=clusters,
        spaces=("assignment",),
    ),
    _clustering(
        name="clusters_train_test",
        splits="scored on train + val + test",
        source="the method's own assignment as papers on clustering report it; scores as in kmeans",
        scores=OWN_CLUSTERS,
        run=clusters_train_test,
        spaces=("assignment",),
    ),
    Measure(
        name="silhouette",
        version=1,
        targets=each("content"),
        splits="5,000 images of test",
        source="Rousseeuw: Silhouettes (J. Comput. Appl. Math. 1987), of the classes",
        aspect="content",
        scores={"silhouette": Score("up", -1, 1, "near 0")},
        run=silhouette,
    ),
)
