"""From splits to batches: one indexing operation a batch in this process, or worker processes that make them.

Images in memory lie in one array (as a rule a memory map that all workers and ranks share); images made on demand are
decoded or rendered when asked for, whole batches at a time. Both give the same batches.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from disentangle_bench.datamodules.batches.samplers import Batches
from disentangle_bench.datamodules.batches.split import Split
from disentangle_bench.datamodules.targets import TargetSpec

Batch = dict[str, Tensor]
MOST_WORKERS = 8
"""Most worker processes by default."""


class BatchDataset(Dataset):
    """A split from which whole batches are taken by position (no loop over images)."""

    def __init__(self, split: Split, specs: tuple[TargetSpec, ...]):
        self.split = split
        self.targets = {
            spec.key: torch.from_numpy(
                np.ascontiguousarray(split.targets[spec.name], np.int64 if spec.discrete else np.float32)
            )
            for spec in specs
        }

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, positions: Tensor) -> Batch:
        batch = {"image": torch.from_numpy(self.split.take(positions.numpy())), "index": positions}
        return batch | {key: values[positions] for key, values in self.targets.items()}


class TrainingLoader(DataLoader):
    """A data loader that resumes within an epoch: its checkpoint holds the number of batches done.

    `state_dict` and `load_state_dict` are Lightning's interface for such loaders.
    """

    sampler: Batches  # type: ignore[assignment]
    _handed_out = 0
    _resumed: dict[str, int] | None = None

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """The batches of the sampler's epoch that are still to come.

        A generator, so that nothing is drawn before the first batch is wanted: Lightning asks for the iterator
        first and tells the sampler the epoch afterwards, when worker processes would be at their first batches.
        """
        resumed, self._resumed = self._resumed, None
        self._handed_out = resumed["batches"] if resumed and resumed["epoch"] == self.sampler.epoch else 0
        self.sampler.skip(self._handed_out)
        for batch in super().__iter__():
            self._handed_out += 1  # not what the workers have prepared, but what has been used
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The epoch, and how many of its batches are done."""
        return {"epoch": self.sampler.epoch, "batches": self._handed_out}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on there, once the sampler is told that epoch."""
        self._resumed = state_dict


def loader(
    dataset: BatchDataset, batches: Iterable[Tensor], num_workers: int | None, *, persistent: bool = False
) -> DataLoader:
    """Batches in the order that the sampler gives; the number of workers never changes what is in them.

    Args:
        dataset: where images and targets come from.
        batches: positions of each batch (a sampler or a sequence).
        num_workers: worker processes; None means none for images in memory (indexing is faster than handing
            batches between processes) and one a usable core, at most 8, for images made on demand.
        persistent: whether workers live on between passes.
    """
    if num_workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        num_workers = workers_for(dataset.split, cores)
    return (TrainingLoader if isinstance(batches, Batches) else DataLoader)(
        dataset,
        sampler=batches,  # type: ignore[arg-type]  # any iterable of index tensors will do: batch_size is None
        batch_size=None,
        num_workers=num_workers,
        persistent_workers=persistent and num_workers > 0,
        pin_memory=torch.cuda.is_available(),  # from where a GPU takes batches while the processor goes on
        generator=torch.Generator(),  # its own: looking at the data must not move torch's global stream
    )


def workers_for(split: Split, cores: int) -> int:
    """Default number of worker processes for a split, see `loader`."""
    return min(cores, MOST_WORKERS) if getattr(split.images, "on_demand", False) else 0


def in_order(
    split: Split,
    targets: tuple[TargetSpec, ...],
    batch_size: int,
    num_workers: int | None,
    rank: int = 0,
    num_replicas: int = 1,
) -> DataLoader:
    """All images of a split, in order and unaugmented; each of several processes gets consecutive whole batches."""
    dataset = BatchDataset(split, targets)
    batches = torch.arange(len(dataset)).split(batch_size)
    first, last = (len(batches) * part // num_replicas for part in (rank, rank + 1))
    return loader(dataset, batches[first:last], num_workers)
