"""Is what should be there readable? Probes and clusters of content targets."""

from __future__ import annotations

from functools import partial

import numpy as np

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import ACCURACY, Measure, Score, Space, each


def linear(space: Space, target: TargetSpec, *, seed: int = 0) -> dict[str, float]:
    """Multinomial logistic regression on standardised features, its strength picked on the validation split."""
    from disentangle_bench.evaluation.metrics.probes import linear_probe

    x, y = space.x, space.labels(target)
    return space.once(
        ("linear", target.name, seed),
        lambda: linear_probe(
            x["train"], y["train"], x["test"], y["test"], num_classes=target.size, val=(x["val"], y["val"]), seed=seed
        ),
    )


def few_shot(space: Space, target: TargetSpec, *, share: float, draws: int = 5, seed: int = 0) -> dict[str, float]:
    """The linear probe with few labels: the mean over several draws of them, and `spread`, the deviation of top1.

    A fifth of the drawn images picks the strength, so no label beyond the drawn ones is used; each class has at least
    two of them.
    """
    from disentangle_bench.evaluation.metrics.probes import linear_probe

    x, y = space.x, space.labels(target)
    scores = []
    for draw in range(draws):
        rows = _labelled(y["train"], share, seed + draw)
        few = x["train"][rows], y["train"][rows]
        scores.append(linear_probe(*few, x["test"], y["test"], num_classes=target.size, val=0.2, seed=seed + draw))
    means = {key: float(np.mean([score[key] for score in scores])) for key in scores[0] if key != "l2"}
    spread = float(np.std([score["top1"] for score in scores], ddof=1)) if draws > 1 else 0.0
    return means | {"labels": float(len(rows)), "spread": spread}


def _labelled(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Sorted rows of a stratified share, at least two of each class that has them."""
    order = np.random.default_rng(seed).permutation(len(y))
    parts = []
    for value in np.unique(y):
        members = order[y[order] == value]
        parts.append(members[: max(2, round(share * len(members)))])
    return np.sort(np.concatenate(parts))


def knn(space: Space, target: TargetSpec, *, k: int = 20, temperature: float = 0.07) -> dict[str, float]:
    """Cosine-weighted vote of the nearest training images."""
    from disentangle_bench.evaluation.metrics import probes

    x, y = space.x, space.labels(target)
    return probes.knn(
        x["train"], y["train"], x["test"], y["test"], num_classes=target.size, k=k, temperature=temperature
    )


def mlp(space: Space, target: TargetSpec, *, hidden: int = 128, layers: int = 6, seed: int = 0) -> dict[str, float]:
    """The deep probe of the domain-contrastive paper: six layers, on rows of length 1."""
    from disentangle_bench.evaluation.metrics.arrays import unit_rows
    from disentangle_bench.evaluation.metrics.probes import mlp_probe

    x, y = space.x, space.labels(target)
    fit, test = (unit_rows(x[split], split) for split in ("train", "test"))
    size = {"num_classes": target.size, "hidden": hidden, "layers": layers}
    return mlp_probe(fit, y["train"], test, y["test"], **size, seed=seed)


def kmeans(space: Space, target: TargetSpec, *, n_init: int = 10, seed: int = 0) -> dict[str, float]:
    """k-means of the test features with as many clusters as there are classes."""
    from disentangle_bench.evaluation.metrics.clustering import kmeans_scores

    return kmeans_scores(
        space.x["test"], space.y["test"][target.name], num_clusters=target.size, seed=seed, n_init=n_init
    )


def kmeans_train_test(space: Space, target: TargetSpec, *, n_init: int = 10, seed: int = 0) -> dict[str, float]:
    """k-means of all images, training and test alike, as papers on clustering do."""
    from disentangle_bench.evaluation.metrics.clustering import kmeans_scores

    x, y = _everything(space, target)
    return kmeans_scores(x, y, num_clusters=target.size, seed=seed, n_init=n_init)


def clusters(space: Space, target: TargetSpec) -> dict[str, float]:
    """The method's own clusters (argmax of its assignment) on the test split."""
    from disentangle_bench.evaluation.metrics.clustering import assignment_scores

    return assignment_scores(space.x["test"], space.y["test"][target.name])


def clusters_train_test(space: Space, target: TargetSpec) -> dict[str, float]:
    """The method's own clusters of all images, training and test alike."""
    from disentangle_bench.evaluation.metrics.clustering import assignment_scores

    return assignment_scores(*_everything(space, target))


def _everything(space: Space, target: TargetSpec) -> tuple[np.ndarray, np.ndarray]:
    splits = ("train", "val", "test")
    return tuple(np.concatenate([parts[s] for s in splits]) for parts in (space.x, space.labels(target)))  # type: ignore[return-value]


def silhouette(space: Space, target: TargetSpec, *, sample_size: int = 5000, seed: int = 0) -> dict[str, float]:
    """Silhouette of the classes themselves: do they lie tight and apart?"""
    from disentangle_bench.evaluation.metrics import clustering

    return clustering.silhouette(space.x["test"], space.y["test"][target.name], seed, sample_size=sample_size)


CLUSTERING = {
    "nmi": Score("up", 0, 1, "near 0"),
    "ari": Score("up", -0.5, 1, "0"),
    "acc": Score("up", 0, 1, "a little over 1 / classes"),
}
_FEW = "fit and strength picked on a drawn share of train, 5 draws, scored on test"
_SIMCLR = "Chen et al.: A Simple Framework for Contrastive Learning of Visual Representations (ICML 2020), table 7"

MEASURES = (
    Measure(
        name="linear",
        version=1,
        subjects=each("content"),
        splits="fit on train, strength picked on val, refitted on train + val, scored on test",
        source="the usual linear evaluation (Zhang et al. 2016), solved to convergence instead of by SGD",
        scores={"top1": ACCURACY},
        run=linear,
    ),
    Measure(
        name="linear_1pct",
        version=1,
        subjects=each("content"),
        splits=_FEW,
        source=f"the shares of {_SIMCLR}; a linear probe instead of fine-tuning",
        scores={"top1": ACCURACY},
        run=partial(few_shot, share=0.01),
    ),
    Measure(
        name="linear_10pct",
        version=1,
        subjects=each("content"),
        splits=_FEW,
        source=f"the shares of {_SIMCLR}; a linear probe instead of fine-tuning",
        scores={"top1": ACCURACY},
        run=partial(few_shot, share=0.1),
    ),
    Measure(
        name="knn",
        version=1,
        subjects=each("content"),
        splits="neighbours from train, scored on test",
        source="Wu et al.: Unsupervised Feature Learning via Non-Parametric Instance Discrimination (CVPR 2018)",
        scores={"top1": ACCURACY},
        run=knn,
    ),
    Measure(
        name="mlp",
        version=1,
        subjects=each("content"),
        splits="fit on nine tenths of train, stopped on the other tenth, scored on test",
        source="Kahana & Hoshen: A Contrastive Objective for Learning Disentangled Representations (ECCV 2022)",
        scores={"top1": ACCURACY},
        run=mlp,
    ),
    Measure(
        name="kmeans",
        version=1,
        subjects=each("content"),
        splits="fitted and scored on test",
        source="k-means; NMI (arithmetic mean), ARI, accuracy of the best one-to-one matching",
        scores=CLUSTERING,
        run=kmeans,
    ),
    Measure(
        name="kmeans_train_test",
        version=1,
        subjects=each("content"),
        splits="fitted and scored on train + val + test",
        source="k-means as papers on clustering report it; scores as in kmeans",
        scores=CLUSTERING,
        run=kmeans_train_test,
    ),
    Measure(
        name="clusters",
        version=1,
        subjects=each("content"),
        splits="scored on test",
        source="the method's own assignment; scores as in kmeans",
        scores=CLUSTERING,
        run=clusters,
        spaces=("assignment",),
    ),
    Measure(
        name="clusters_train_test",
        version=1,
        subjects=each("content"),
        splits="scored on train + val + test",
        source="the method's own assignment as papers on clustering report it; scores as in kmeans",
        scores=CLUSTERING,
        run=clusters_train_test,
        spaces=("assignment",),
    ),
    Measure(
        name="silhouette",
        version=1,
        subjects=each("content"),
        splits="5,000 images of test",
        source="Rousseeuw: Silhouettes (J. Comput. Appl. Math. 1987), of the classes",
        scores={"silhouette": Score("up", -1, 1, "near 0")},
        run=silhouette,
    ),
)
