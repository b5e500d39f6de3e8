"""What can be read off frozen features."""

from __future__ import annotations

from typing import Any

from disentangle_bench.evaluation.metrics import probes
from disentangle_bench.evaluation.metrics.torchmetrics.base import FittedMetric


class LinearProbe(FittedMetric):
    """Multinomial logistic regression on standardised features (`metrics.probes.linear_probe`).

    Args:
        num_classes: of the data set.
        seed: of the validation rows, a stratified tenth of those of `train`.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = LinearProbe(num_classes=2, score="top1")
    >>> x, y = torch.linspace(-1, 1, 40)[:, None], torch.arange(40) // 20
    >>> metric.update(x, y, split="train")
    >>> metric.update(x, y, split="test")
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(probes.linear_probe)

    def __init__(self, *, num_classes: int, seed: int = 0, **kwargs: Any):
        super().__init__(options={"num_classes": num_classes, "seed": seed}, **kwargs)


class KNNProbe(FittedMetric):
    """The weighted nearest-neighbour classifier (`metrics.probes.knn`).

    Args:
        num_classes: of the data set.
        k: neighbours a query, at most the rows of `train`.
        temperature: of the weights.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = KNNProbe(num_classes=2, k=1, score="top1")
    >>> metric.update(torch.eye(2), torch.tensor([0, 1]), split="train")
    >>> metric.update(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0]), split="test")
    >>> metric.compute()
    tensor(0.5000)
    """

    function = staticmethod(probes.knn)

    def __init__(self, *, num_classes: int, k: int = 200, temperature: float = 0.5, **kwargs: Any):
        super().__init__(options={"num_classes": num_classes, "k": k, "temperature": temperature}, **kwargs)


class MLPProbe(FittedMetric):
    """The deep probe of Kahana & Hoshen 2022 (`metrics.probes.mlp_probe`).

    Args:
        num_classes: of the data set.
        hidden: width of the layers between.
        layers: number of linear layers.
        epochs: the most epochs.
        seed: of weights, validation rows and batches.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = MLPProbe(num_classes=2, layers=1, epochs=50, score="top1")
    >>> x, y = torch.linspace(-1, 1, 40)[:, None], torch.arange(40) // 20
    >>> metric.update(x, y, split="train")
    >>> metric.update(x[[0, -1]], y[[0, -1]], split="test")
    >>> metric.compute()
    tensor(1.)
    """

    function = staticmethod(probes.mlp_probe)

    def __init__(
        self,
        *,
        num_classes: int,
        hidden: int = 128,
        layers: int = 6,
        epochs: int = 100,
        seed: int = 0,
        **kwargs: Any,
    ):
        size = {"num_classes": num_classes, "hidden": hidden, "layers": layers}
        super().__init__(options=size | {"epochs": epochs, "seed": seed}, **kwargs)


class RidgeProbe(FittedMetric):
    """R^2 of ridge regression of a number or an angle (`metrics.probes.ridge_probe`).

    Args:
        circular: whether the target is an angle in radians.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = RidgeProbe(score="r2")
    >>> x = torch.linspace(-1, 1, 40)[:, None]
    >>> metric.update(x, x[:, 0], split="train")
    >>> metric.update(x, x[:, 0], split="test")
    >>> round(metric.compute().item(), 4)
    1.0
    """

    function = staticmethod(probes.ridge_probe)

    def __init__(self, *, circular: bool = False, **kwargs: Any):
        super().__init__(options={"circular": circular}, **kwargs)


class Informativeness(FittedMetric):
    """How well a linear head reads a target: 0 a constant guess, 1 perfectly (`metrics.probes.informativeness`).

    Rows of split `val`, which pick the head's strength, may be left out.

    Args:
        num_classes: of a target with classes; None: it is a number.
        circular: whether the number is an angle in radians.
        seed: of the validation rows, where none are given.
        kwargs: of `RowMetric`.

    >>> import torch
    >>> metric = Informativeness(num_classes=2, score="told")
    >>> x, y = torch.linspace(-1, 1, 40)[:, None], torch.arange(40) // 20
    >>> metric.update(x, y, split="train")
    >>> metric.update(x[:30], y[:30], split="test")
    >>> metric.compute()
    tensor(1.)
    """

    splits = ("train", "val", "test")

    def __init__(self, *, num_classes: int | None = None, circular: bool = False, seed: int = 0, **kwargs: Any):
        super().__init__(options={"num_classes": num_classes, "circular": circular, "seed": seed}, **kwargs)

    def figures(self) -> dict[str, float]:
        x, y = self._rows("val", "features", "targets")
        val = None if x is None or y is None else (x, y)
        train, test = self._required("train", *self.columns), self._required("test", *self.columns)
        return probes.informativeness(*train, *test, val=val, **self.options)
