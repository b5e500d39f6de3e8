"""The base classes: rows by split and column, in the order of their positions, of all processes."""

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
WHOLE = "all"
"""Rows that are of no named split."""


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
    splits: ClassVar[tuple[str, ...]] = (WHOLE,)
    columns: ClassVar[tuple[str, ...]] = ("features",)

    def __init__(self, score: str | None = None, options: Mapping[str, Any] = MappingProxyType({}), **kwargs: Any):
        super().__init__(**{"dist_sync_fn": gather_rows, **kwargs})
        self.score, self.options = score, dict(options)
        for split in dict.fromkeys((*self.splits, WHOLE)):
            for column in (*self.columns, INDEX):
                self.add_state(f"{split}_{column}", default=[], dist_reduce_fx="cat")

    def figures(self) -> float | dict[str, float]:
        """The function's figures for the rows kept."""
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

    def _keep(self, split: str | None, **columns: Any) -> None:
        """Keep the rows of a batch; columns that are None are not given."""
        split = WHOLE if split is None else split
        if split not in (*self.splits, WHOLE):
            raise ValueError(f"{type(self).__name__}: split {split!r} is none of {', '.join(self.splits)}")
        given = {name: torch.as_tensor(rows).detach() for name, rows in columns.items() if rows is not None}
        counts = {name: len(rows) for name, rows in given.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"{type(self).__name__}: the columns of a batch have different numbers of rows: {counts}")
        if max(counts.values()):
            for name, rows in given.items():
                getattr(self, f"{split}_{name}").append(rows.to(self.device))

    def _rows(self, split: str, *columns: str) -> list[Array | None]:
        """Columns of a split as arrays; rows of no split are halved into `train` and `test`. None for one not given."""
        if split == WHOLE or not len(getattr(self, f"{WHOLE}_{self.columns[0]}")):
            return self._stored(split, *columns)
        if named := [name for name in self.splits if len(getattr(self, f"{name}_{self.columns[0]}"))]:
            raise ValueError(
                f"{type(self).__name__}: some batches say their split ({', '.join(named)}), others don't: "
                "all of them have to, or none"
            )
        whole = self._stored(WHOLE, *columns)
        size = max(len(rows) for rows in whole if rows is not None)
        drawn = np.random.default_rng(0).permutation(size)
        part = {"train": drawn[: size // 2], "test": drawn[size // 2 :]}.get(split, drawn[:0])
        return [rows[np.sort(part)] if rows is not None and len(part) else None for rows in whole]

    def _stored(self, split: str, *columns: str) -> list[Array | None]:
        """Columns of a split as `update` took them, in the order of positions where they are known."""
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

    columns = ("features", "targets")
    higher_is_better = True

    def update(self, features: Any, targets: Any, index: Any = None) -> None:
        """Keep the rows of a batch.

        Args:
            features: [n, D].
            targets: int [n], or [n, F] where the metric is of several factors.
            index: [n], their positions.
        """
        self._keep(WHOLE, features=features, targets=targets, index=index)


class FittedMetric(RowMetric):
    """A figure that is learnt on the rows of `train` and scored on those of `test`.

    Where no batch says its split, one half of all rows is learnt on and the other is scored: the same halves each time,
    drawn at random.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    columns = ("features", "targets")
    higher_is_better = True

    def update(self, features: Any, targets: Any, split: Split | None = None, index: Any = None) -> None:
        """Keep the rows of a batch.

        Args:
            features: [n, D].
            targets: [n], or [n, F] where the metric is of several factors.
            split: what they are for, `train` or `test`; None with every batch: half of all rows each.
            index: [n], their positions in the split.
        """
        self._keep(split, features=features, targets=targets, index=index)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: a batch alone has no such figure."""
        name = type(self).__name__
        raise TypeError(f"{name} is a figure of whole splits: call `update` for each batch, and `compute` last")
