"""Whether single codes carry single factors: codes float [n, D], factors int [n, F]."""

from __future__ import annotations

from typing import Any

from disentangle_bench.evaluation.metrics import disentanglement as functions
from disentangle_bench.evaluation.metrics.torchmetrics.base import FittedMetric, LabelledMetric


class MIG(LabelledMetric):
    """Mutual information gap (`metrics.disentanglement.mig`).

    Args:
        bins: of equal width that each code is cut in.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    >>> metric = MIG(score="mig")
    >>> metric.update(factors.float(), factors)
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(functions.mig)

    def __init__(self, *, bins: int = 20, **kwargs: Any):
        super().__init__(options={"bins": bins}, **kwargs)


class IRS(LabelledMetric):
    """Interventional robustness score (`metrics.disentanglement.irs`).

    Args:
        quantile: of a code's deviation at a value of a factor.
        bins: that factors are cut in.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    >>> metric = IRS(score="irs")
    >>> metric.update(factors.float(), factors)
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(functions.irs)

    def __init__(self, *, quantile: float = 0.99, bins: int = 20, **kwargs: Any):
        super().__init__(options={"quantile": quantile, "bins": bins}, **kwargs)


class DCI(FittedMetric):
    """Disentanglement, completeness, informativeness by boosted trees (`metrics.disentanglement.dci`).

    Time grows with codes x factors: hand it a sample.

    Args:
        seed: of the trees.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(10, 1)
    >>> metric = DCI(score="disentanglement")
    >>> metric.update(factors.float(), factors, split="train")
    >>> metric.update(factors.float(), factors, split="test")
    >>> round(metric.compute().item(), 3)
    1.0
    """

    function = staticmethod(functions.dci)

    def __init__(self, *, seed: int = 0, **kwargs: Any):
        super().__init__(options={"seed": seed}, **kwargs)


class SAP(FittedMetric):
    """Separated attribute predictability (`metrics.disentanglement.sap`).

    Args:
        continuous: whether the factors' values are numbers rather than names.
        standardize: give every code the same deviation first.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(10, 1)
    >>> metric = SAP(score="sap")
    >>> metric.update(factors.float(), factors, split="train")
    >>> metric.update(factors.float(), factors, split="test")
    >>> metric.compute()
    tensor(0.5000)
    """

    function = staticmethod(functions.sap)

    def __init__(self, *, continuous: bool = False, standardize: bool = False, **kwargs: Any):
        super().__init__(options={"continuous": continuous, "standardize": standardize}, **kwargs)


class Modularity(FittedMetric):
    """Modularity of single codes, explicitness of all (`metrics.disentanglement.modularity_explicitness`).

    Args:
        bins: of equal width that each code is cut in.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> factors = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(10, 1)
    >>> metric = Modularity(score="modularity")
    >>> metric.update(factors.float(), factors, split="train")
    >>> metric.update(factors.float(), factors, split="test")
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(functions.modularity_explicitness)

    def __init__(self, *, bins: int = 20, **kwargs: Any):
        super().__init__(options={"bins": bins}, **kwargs)


class FactorVAEScore(FittedMetric):
    """FactorVAE score (`metrics.disentanglement.factor_vae`) of votes drawn by `sample_votes`.

    Votes drawn from the rows of `train` name the codes, those drawn from the rows of `test` are scored.

    Args:
        train_votes: drawn from the rows of `train`.
        test_votes: drawn from those of `test`.
        batch_size: rows of a vote.
        prune_threshold: least standard deviation of a code that counts.
        seed: of the draws.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(10, 1)
    >>> metric = FactorVAEScore(train_votes=100, test_votes=100, score="eval_accuracy")
    >>> metric.update(factors.float(), factors, split="train")
    >>> metric.update(factors.float(), factors, split="test")
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(functions.factor_vae_of_codes)

    def __init__(
        self,
        *,
        train_votes: int = 10_000,
        test_votes: int = 5000,
        batch_size: int = 64,
        prune_threshold: float = 0.05,
        seed: int = 0,
        **kwargs: Any,
    ):
        drawn = {"train_votes": train_votes, "test_votes": test_votes, "batch_size": batch_size, "seed": seed}
        super().__init__(options=drawn | {"prune_threshold": prune_threshold}, **kwargs)


class BetaVAEScore(FittedMetric):
    """beta-VAE score (`metrics.disentanglement.beta_vae`) of points drawn by `sample_pairs`.

    Args:
        train_points: drawn from the rows of `train`, to learn from.
        test_points: drawn from those of `test`, to score.
        batch_size: pairs of a point.
        seed: of the draws and the regression.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(10, 1)
    >>> metric = BetaVAEScore(train_points=100, test_points=100, score="eval_accuracy")
    >>> metric.update(factors.float(), factors, split="train")
    >>> metric.update(factors.float(), factors, split="test")
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(functions.beta_vae_of_codes)

    def __init__(
        self,
        *,
        train_points: int = 10_000,
        test_points: int = 5000,
        batch_size: int = 64,
        seed: int = 0,
        **kwargs: Any,
    ):
        drawn = {"train_points": train_points, "test_points": test_points, "batch_size": batch_size, "seed": seed}
        super().__init__(options=drawn, **kwargs)
