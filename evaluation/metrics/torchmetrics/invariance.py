"""How much of what should not matter is in the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from disentangle_bench.evaluation.metrics import invariance
from disentangle_bench.evaluation.metrics.retrieval import cross_domain
from disentangle_bench.evaluation.metrics.torchmetrics.base import WHOLE, RowMetric, Split


class DomainLeakage(RowMetric):
    """How well the strongest of three adversaries tells the domain (`metrics.invariance.domain_leakage`).

    Args:
        num_domains: of the data set.
        seed: of the MLP and of the parts of the curve.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = DomainLeakage(num_domains=2, score="normalized")
    >>> x, d = torch.linspace(-1, 1, 60)[:, None], torch.arange(60) // 30
    >>> metric.update(x, d, split="train")
    >>> metric.update(x, d, split="test")
    >>> metric.compute()
    tensor(1.)
    """

    splits = ("train", "val", "test")
    columns = ("features", "targets", "weights")
    higher_is_better = False

    def __init__(self, *, num_domains: int, seed: int = 0, **kwargs: Any):
        super().__init__(options={"num_domains": num_domains, "seed": seed}, **kwargs)

    def update(
        self, features: Any, targets: Any, split: Split | None = None, index: Any = None, weights: Any = None
    ) -> None:
        """Keep the rows of a batch.

        Args:
            features: [n, D].
            targets: int [n], the domains.
            split: what they are for; rows of `val` pick the adversary, without any a tenth of those of `train` do. None
                with every batch: half of all rows are those of `train`, the others of `test`.
            index: [n], their positions in the split.
            weights: [n], under which content and domain are independent; all equal without.
        """
        self._keep(split, features=features, targets=targets, index=index, weights=weights)

    def figures(self) -> dict[str, float]:
        train, test = self._required("train", "features", "targets"), self._required("test", "features", "targets")
        val = self._rows("val", "features", "targets")
        weights = [self._rows(split, "features", "weights")[1] for split in self.splits]
        return invariance.domain_leakage(
            *train,
            *test,
            val=None if val[0] is None else (val[0], val[1]),
            weights=None if all(one is None for one in weights) else (weights[0], weights[1], weights[2]),
            **self.options,
        )


class CrossDomainRetrieval(RowMetric):
    """Retrieval by cosine from other domains than the query's (`metrics.retrieval.cross_domain`).

    Args:
        ks: how many of the nearest to look at.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = CrossDomainRetrieval(ks=(1,), score="recall@1")
    >>> metric.update(torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]))
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(cross_domain)
    columns = ("features", "targets", "domains")
    higher_is_better = True

    def __init__(self, *, ks: Sequence[int] = (1, 5), **kwargs: Any):
        super().__init__(options={"ks": tuple(ks)}, **kwargs)

    def update(self, features: Any, targets: Any, domains: Any, index: Any = None) -> None:
        """Keep the rows of a batch: features [n, D], labels int [n], domains int [n], and their positions [n]."""
        self._keep(WHOLE, features=features, targets=targets, domains=domains, index=index)


class TransformInvariance(RowMetric):
    """How little a transform moves embeddings (`metrics.invariance.similarity`); 1: not at all, 0: to another image's.

    >>> import torch
    >>> metric = TransformInvariance()
    >>> metric.update(torch.eye(2), torch.eye(2))
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(invariance.similarity)
    columns = ("features", "moved")
    higher_is_better = True

    def update(self, features: Any, moved: Any, index: Any = None) -> None:
        """Keep the rows of a batch: images' [n, D], those of the same images transformed [n, D], positions [n]."""
        self._keep(WHOLE, features=features, moved=moved, index=index)


class Alignment(RowMetric):
    """Mean distance of positive pairs to a power (`metrics.invariance.alignment`).

    Args:
        alpha: the power.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = Alignment()
    >>> metric.update(torch.eye(2), torch.eye(2).flip(0))
    >>> metric.compute()
    tensor(2.)
    """

    function = staticmethod(invariance.alignment)
    columns = ("features", "other")
    higher_is_better = False

    def __init__(self, *, alpha: float = 2.0, **kwargs: Any):
        super().__init__(options={"alpha": alpha}, **kwargs)

    def update(self, features: Any, other: Any, index: Any = None) -> None:
        """Keep the rows of a batch, of length 1: both halves of its pairs [n, D], and their positions [n]."""
        self._keep(WHOLE, features=features, other=other, index=index)
