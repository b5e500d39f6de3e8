"""How well groups agree with labels: NMI, ARI, AMI and matched accuracy; k-means on features; silhouette."""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
    silhouette_score,
)
from sklearn.metrics.cluster import contingency_matrix
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics.arrays import integers, matrix, row_labels, varying
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


def cluster_scores(labels: Any, clusters: Any) -> dict[str, float]:
    """Agreement of a grouping with labels; only who shares a group counts, not what the groups are called.

    Args:
        labels: int [N], any values.
        clusters: int [N], any values; their number may differ from the number of labels.

    Returns:
        nmi: mutual information over the arithmetic mean of both entropies, in [0, 1].
        ari: Rand index, adjusted: 0 for chance, 1 for equal groups; may be negative.
        ami: mutual information, adjusted in the same way (arithmetic mean).
        acc: share of samples whose cluster is the one matched with their label, under the best one-to-one
            matching (Hungarian algorithm on the rectangular table); clusters left over match nothing.

    Raises:
        ValueError: shapes that differ or are not [N], or values that are not integers.
        MetricUndefined: no samples, or labels of one kind only (nothing to agree with).
    """
    truth, groups = integers(labels, "labels"), integers(clusters, "clusters")
    if truth.shape != groups.shape or truth.ndim != 1:
        raise ValueError(f"labels has shape {truth.shape} but clusters {groups.shape}: both must be [N]")
    if len(np.unique(truth)) < 2:
        raise MetricUndefined(f"clustering scores need two labels or more, got {len(np.unique(truth))}")
    table = contingency_matrix(truth, groups)
    rows, columns = linear_sum_assignment(table, maximize=True)
    return {
        "nmi": float(normalized_mutual_info_score(truth, groups, average_method="arithmetic")),
        "ari": float(adjusted_rand_score(truth, groups)),
        "acc": float(table[rows, columns].sum() / len(truth)),
        "ami": float(adjusted_mutual_info_score(truth, groups, average_method="arithmetic")),
    }


def assignment_scores(probabilities: Any, labels: Any) -> dict[str, float]:
    """`cluster_scores` of the most probable cluster (lowest index on ties) of each row of [N, K]."""
    return cluster_scores(labels, matrix(probabilities, "probabilities").argmax(axis=1))


def kmeans_scores(features: Any, labels: Any, num_clusters: int, seed: int = 0, n_init: int = 10) -> dict[str, float]:
    """`cluster_scores` of scikit-learn's k-means (k-means++, best of `n_init` starts, Lloyd) on the features as given.

    It runs on one thread: with several, Lloyd's partial sums are added in the order in which threads end, and
    a rounding error may end in another optimum.

    Args:
        features: [N, D], used as float32.
        labels: int [N].
        num_clusters: k.
        seed: of the starts.
        n_init: number of starts.

    Raises:
        ValueError: wrong shapes (both named).
        MetricUndefined: non-finite features, more clusters than samples, or one kind of label only.
    """
    features = matrix(features, "features")
    truth = row_labels(labels, "labels", features, "features")
    if num_clusters > len(features):
        raise MetricUndefined(f"k-means with {num_clusters} clusters on {len(features)} samples")
    with threadpool_limits(1):
        model = KMeans(num_clusters, n_init=n_init, random_state=seed).fit(features.astype(np.float32))
    return cluster_scores(truth, model.labels_)


def silhouette(features: Any, clusters: Any, seed: int = 0, *, sample_size: int = 5000) -> dict[str, float]:
    """Mean silhouette (Rousseeuw 1987), Euclidean, in [-1, 1]: high where clusters are tight and apart.

    Args:
        features: [N, D].
        clusters: int [N].
        seed: of the sample.
        sample_size: at most this many rows are used, drawn without replacement; bounds memory and time.

    Raises:
        ValueError: wrong shapes (both named).
        MetricUndefined: non-finite or constant features, or not between 2 and n - 1 clusters among the n rows used.
    """
    features = matrix(features, "features")
    groups = row_labels(clusters, "clusters", features, "features")
    if len(features) > sample_size:
        rows = np.sort(np.random.default_rng(seed).choice(len(features), sample_size, replace=False))
        features, groups = features[rows], groups[rows]
    varying(features, "features")
    found = len(np.unique(groups))
    if not 2 <= found < len(features):
        raise MetricUndefined(f"silhouette of {found} clusters among {len(features)} samples")
    with threadpool_limits(1):
        return {"silhouette": float(silhouette_score(features.astype(np.float64), groups))}
