"""What all of the classes share: rows by split and column, in the order of their positions, of all processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat
from torchmetrics.utilities.distributed import gather_all_tensors

from disentangle_bench.evaluation.metrics.arrays import Array, computing_on

Split = Literal["train", "val", "test"]
INDEX = "index"


def gather_rows(rows: Tensor, group: Any = None) -> list[Tensor]:
    """The rows [n, ...] of each process, in the order of ranks; a process may have none of a split that others have.

    torchmetrics stands an empty float vector in for what a process lacks, which fits no matrix and no integers.
    """
    known: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(known, (tuple(rows.shape[1:]), rows.dtype) if len(rows) else None, group)
    shape, dtype = next((kind for kind in known if kind), ((), rows.dtype))
    if not len(rows):
        rows = torch.empty((0, *shape), dtype=dtype, device=rows.device)
    return gather_all_tensors(rows, group)


class RowMetric(Metric):
    """A figure of whole splits: `update` keeps rows, `compute` hands all of them to the class's `function`.

    `update` takes an `index` [n], the rows' positions in their split, with any batch or none: rows are then put in
    that order, and one that came twice, as a DistributedSampler pads the last batch, counts once. With it the figure
    is that of one process, to the last digit; without it, that of the rows in the order of ranks.

    `compute` raises what the function raises: `MetricUndefined` (a ValueError) where the rows leave it without a value.

    Args:
        score: the only figure that `compute` returns, as a scalar that `self.log` takes; by default it returns a dict
            of all those of the function.
        options: of the function.
        kwargs: of `torchmetrics.Metric`; `compute_on_cpu=True` keeps rows in the processor's memory.
    """

    is_differentiable = False
    full_state_update = False
    function: ClassVar[Callable[..., float | dict[str, float]]]
    splits: ClassVar[tuple[str, ...]] = ("all",)
    columns: ClassVar[tuple[str, ...]] = ("features",)

    def __init__(self, score: str | None = None, options: Mapping[str, Any] = MappingProxyType({}), **kwargs: Any):
        super().__init__(**{"dist_sync_fn": gather_rows, **kwargs})
        self.score, self.options = score, dict(options)
        for split in self.splits:
            for column in (*self.columns, INDEX):
                self.add_state(f"{split}_{column}", default=[], dist_reduce_fx="cat")

    def figures(self) -> float | dict[str, float]:
        """What the function gives for the rows kept."""
        return type(self).function(*self._inputs(), **self.options)

    def compute(self) -> Tensor | dict[str, Tensor]:
        """The figures of all rows of all processes, each a scalar."""
        # A validation loop computes without gradients; some probes are trained.
        with computing_on(self.device), torch.inference_mode(False), torch.enable_grad():
            found = self.figures()
        if isinstance(found, float):
            return torch.tensor(found, device=self.device)
        if self.score is None:
            return {name: torch.tensor(value, device=self.device) for name, value in found.items()}
        if self.score not in found:
            raise ValueError(f"{type(self).__name__} has no score {self.score!r}: known are {', '.join(found)}")
        return torch.tensor(found[self.score], device=self.device)

    def _keep(self, split: str, **columns: Any) -> None:
        """Keep the rows of a batch; columns that are None are not given."""
        if split not in self.splits:
            raise ValueError(f"{type(self).__name__}: split {split!r} is none of {', '.join(self.splits)}")
        given = {name: torch.as_tensor(rows).detach() for name, rows in columns.items() if rows is not None}
        counts = {name: len(rows) for name, rows in given.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"{type(self).__name__}: the columns of a batch have different numbers of rows: {counts}")
        if max(counts.values()):
            for name, rows in given.items():
                getattr(self, f"{split}_{name}").append(rows.to(self.device))

    def _rows(self, split: str, *columns: str) -> list[Array | None]:
        """Columns of a split as arrays, in the order of positions where they are known; None for one not given."""
        found = {}
        for name in (*columns, INDEX):
            state = getattr(self, f"{split}_{name}")
            rows = dim_zero_cat(state) if len(state) else torch.empty(0)
            rows = rows.float() if rows.dtype in (torch.bfloat16, torch.float16) else rows
            found[name] = rows.cpu().numpy() if len(rows) else None
        counts = {name: len(rows) for name, rows in found.items() if rows is not None}
        if len(set(counts.values())) > 1:
            raise ValueError(
                f"{type(self).__name__}: {split} rows were given with every batch of some columns only: {counts}"
            )
        index = found.pop(INDEX)
        if index is not None:
            _, first = np.unique(index, return_index=True)
            found = {name: None if rows is None else rows[first] for name, rows in found.items()}
        return list(found.values())

    def _inputs(self) -> list[Any]:
        """The columns of each split, as the function takes them."""
        return [rows for split in self.splits for rows in self._required(split, *self.columns)]

    def _required(self, split: str, *columns: str) -> list[Any]:
        """Columns of a split that has to have rows."""
        rows = self._rows(split, *columns)
        if any(column is None for column in rows):
            raise ValueError(f"{type(self).__name__}: no rows of split {split!r} were given to `update`")
        return rows


class LabelledMetric(RowMetric):
    """A figure of one sample of features and what is known of them."""

    columns = ("features", "target")
    higher_is_better = True

    def update(self, features: Any, target: Any, index: Any = None) -> None:
        """Keep the rows of a batch.

        Args:
            features: [n, D].
            target: int [n], or [n, F] where the metric is of several factors.
            index: [n], their positions.
        """
        self._keep("all", features=features, target=target, index=index)


class FittedMetric(RowMetric):
    """A figure that is learnt on the rows of `train` and scored on those of `test`."""

    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    columns = ("features", "target")
    higher_is_better = True

    def update(self, features: Any, target: Any, split: Split = "test", index: Any = None) -> None:
        """Keep the rows of a batch.

        Args:
            features: [n, D].
            target: [n], or [n, F] where the metric is of several factors.
            split: what they are for, `train` or `test`.
            index: [n], their positions in the split.
        """
        self._keep(split, features=features, target=target, index=index)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: a batch alone has no such figure."""
        name = type(self).__name__
        raise TypeError(f"{name} is a figure of whole splits: call `update` for each batch, and `compute` last")
