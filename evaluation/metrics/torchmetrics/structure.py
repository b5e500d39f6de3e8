"""What features show of themselves: how they spread, and whether they form groups."""

from __future__ import annotations

from typing import Any

from disentangle_bench.evaluation.metrics import clustering, intrinsic, invariance
from disentangle_bench.evaluation.metrics.torchmetrics.base import LabelledMetric, RowMetric


class FeatureMetric(RowMetric):
    """A figure of features alone."""

    def update(self, features: Any, index: Any = None) -> None:
        """Keep the rows of a batch: features [n, D], and their positions [n]."""
        self._keep("all", features=features, index=index)


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


class KMeansAgreement(LabelledMetric):
    """Agreement of k-means on the features with labels (`metrics.clustering.kmeans_scores`).

    Args:
        num_clusters: k.
        seed: of the starts.
        n_init: starts, of which the best counts.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = KMeansAgreement(num_clusters=2, score="nmi")
    >>> metric.update(torch.tensor([[0.0], [0.1], [5.0], [5.1]]), torch.tensor([0, 0, 1, 1]))
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(clustering.kmeans_scores)

    def __init__(self, *, num_clusters: int, seed: int = 0, n_init: int = 10, **kwargs: Any):
        super().__init__(options={"num_clusters": num_clusters, "seed": seed, "n_init": n_init}, **kwargs)


class Silhouette(LabelledMetric):
    """Mean silhouette of given groups (`metrics.clustering.silhouette`); `update` takes their numbers as target.

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


class MatchedAccuracy(RowMetric):
    """Accuracy of clusters, matched one to one with labels (`acc` of `metrics.clustering.cluster_scores`).

    >>> import torch
    >>> metric = MatchedAccuracy()
    >>> metric.update(torch.tensor([2, 2, 0, 0]), torch.tensor([0, 0, 1, 1]))
    >>> metric.compute()
    tensor(1.)
    """

    columns = ("cluster", "target")
    higher_is_better = True

    def update(self, cluster: Any, target: Any, index: Any = None) -> None:
        """Keep the rows of a batch: clusters int [n], labels int [n], and their positions [n]."""
        self._keep("all", cluster=cluster, target=target, index=index)

    def figures(self) -> float:
        clusters, labels = self._required("all", *self.columns)
        return clustering.cluster_scores(labels, clusters)["acc"]
