"""The silhouette of given groups."""

from typing import Any

import numpy as np
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics.arrays import check_array, check_labels, check_varying
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


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
    features = check_array(features, "features")
    groups = check_labels(clusters, "clusters", features, "features")
    if len(features) > sample_size:
        rows = np.sort(np.random.default_rng(seed).choice(len(features), sample_size, replace=False))
        features, groups = features[rows], groups[rows]
    check_varying(features, "features")
    found = len(np.unique(groups))
    if not 2 <= found < len(features):
        raise MetricUndefined(f"silhouette of {found} clusters among {len(features)} samples")
    with threadpool_limits(1):
        return {"silhouette": float(silhouette_score(features.astype(np.float64), groups))}
