"""k-means on features."""

from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics.arrays import (
    matrix,
    row_labels,
)
from disentangle_bench.evaluation.metrics.clustering.agreement import cluster_scores
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


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
