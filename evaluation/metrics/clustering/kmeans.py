"""k-means on features."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics.arrays import check_array, check_labels
from disentangle_bench.evaluation.metrics.clustering.agreement import cluster_scores
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


def kmeans_scores(features: Any, labels: Any, num_clusters: int, seed: int = 0, n_init: int = 10) -> dict[str, float]:
    """`cluster_scores` of `kmeans_clusters` with one seed, on the features as given."""
    features = check_array(features, "features")
    truth = check_labels(labels, "labels", features, "features")
    return cluster_scores(truth, kmeans_clusters(features, num_clusters, [seed], n_init=n_init)[0])


def kmeans_clusters(features: Any, num_clusters: int, seeds: Sequence[int], *, n_init: int = 1) -> NDArray[np.int64]:
    """Clusters [S, N] of scikit-learn's k-means (k-means++, Lloyd, best of `n_init` starts), one line a seed.

    It runs on one thread: with several, Lloyd's partial sums are added in the order in which threads end, and
    a rounding error may end in another optimum.

    Args:
        features: [N, D], used as float32.
        num_clusters: k.
        seeds: of the starts.
        n_init: number of starts.

    Raises:
        ValueError: features that are not [N, D].
        MetricUndefined: non-finite features, or more clusters than samples.
    """
    features = check_array(features, "features").astype(np.float32)
    if num_clusters > len(features):
        raise MetricUndefined(f"k-means with {num_clusters} clusters on {len(features)} samples")
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters: then fewer are found
        runs = [KMeans(num_clusters, n_init=n_init, random_state=seed).fit(features).labels_ for seed in seeds]
    return np.stack(runs).astype(np.int64)
