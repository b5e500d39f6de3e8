"""What features show of themselves: how they spread, and whether they form groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from disentangle_bench.evaluation.metrics import clustering, intrinsic, invariance
from disentangle_bench.evaluation.metrics.torchmetrics.base import WHOLE, LabelledMetric, RowMetric


class FeatureMetric(RowMetric):
    """A figure of features alone."""

    def update(self, features: Any, index: Any = None) -> None:
        """Keep the rows of a batch: features [n, D], and their positions [n]."""
        self._keep(WHOLE, features=features, index=index)


class Uniformity(FeatureMetric):
    """How evenly rows of length 1 spread over the sphere (`metrics.invariance.uniformity`): 0 if all are equal.

    Args:
        t: the kernel's width.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = Uniformity()
    >>> metric.update(torch.eye(3))
    >>> metric.compute()
    tensor(-4.)
    """

    function = staticmethod(invariance.uniformity)
    higher_is_better = False

    def __init__(self, *, t: float = 2.0, **kwargs: Any):
        super().__init__(options={"t": t}, **kwargs)


class EffectiveRank(FeatureMetric):
    """RankMe: exp of the entropy of the singular values (`metrics.intrinsic.effective_rank`).

    >>> import torch
    >>> metric = EffectiveRank()
    >>> metric.update(torch.eye(4))
    >>> round(metric.compute().item(), 4)
    4.0
    """

    function = staticmethod(intrinsic.effective_rank)


class IntrinsicQuality(FeatureMetric):
    """Effective rank, variance by dimension, collapse (`metrics.intrinsic.intrinsic_quality`).

    >>> import torch
    >>> metric = IntrinsicQuality(score="collapsed")
    >>> metric.update(torch.ones(8, 4))
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(intrinsic.intrinsic_quality)


class ClusterScores(LabelledMetric):
    """Agreement of clusters with labels: NMI, ARI, AMI and matched accuracy (`metrics.clustering.cluster_scores`).

    Features are grouped by k-means first (`metrics.clustering.kmeans_scores`); clusters that a method gives itself,
    int [n] in their place, are taken as they are.

    Args:
        num_clusters: k; as many as there are labels if not given.
        seed: of the starts.
        n_init: starts, of which the best counts.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = ClusterScores(num_clusters=2, score="nmi")
    >>> metric.update(torch.tensor([[0.0], [0.1], [5.0], [5.1]]), torch.tensor([0, 0, 1, 1]))
    >>> metric.compute()
    tensor(1.)
    """

    def __init__(self, *, num_clusters: int | None = None, seed: int = 0, n_init: int = 10, **kwargs: Any):
        super().__init__(options={"seed": seed, "n_init": n_init}, **kwargs)
        self.num_clusters = num_clusters

    def figures(self) -> dict[str, float]:
        features, labels = self._inputs()
        if features.ndim == 1:
            return clustering.cluster_scores(labels, features)
        count = self.num_clusters or len(np.unique(labels))
        return clustering.kmeans_scores(features, labels, count, **self.options)


class Silhouette(LabelledMetric):
    """Mean silhouette of given groups (`metrics.clustering.silhouette`); `update` takes their numbers as targets.

    Args:
        seed: of the sample.
        sample_size: at most this many rows are used.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = Silhouette(score="silhouette")
    >>> metric.update(torch.tensor([[0.0], [0.0], [5.0], [5.0]]), torch.tensor([0, 0, 1, 1]))
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(clustering.silhouette)

    def __init__(self, *, seed: int = 0, sample_size: int = 5000, **kwargs: Any):
        super().__init__(options={"seed": seed, "sample_size": sample_size}, **kwargs)
