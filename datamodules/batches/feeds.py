"""From images to batches: what a split is, and the two ways to hand it out.

`memory`: decoded uint8 images lie in one array (as a rule a memory map that all workers and ranks share) and a batch
is one indexing operation. `stream`: images are decoded when asked for, whole batches at a time, in worker processes.
Both give the same batches.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from disentangle_bench.datamodules.batches.samplers import Batches
from disentangle_bench.datamodules.targets import TargetSpec

Batch = dict[str, Tensor]
Feed = Literal["auto", "memory", "stream"]
SplitName = Literal["train", "val", "test", "probe", "probe_val"]
MEMORY_SHARE = 0.5
"""`auto` feeds from memory when the decoded images take at most this share of the machine's RAM."""


class Images(Protocol):
    """What a split needs of its images: an array, or something that makes them when asked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """uint8 [len(rows), C, H, W], a new array."""


@dataclass(frozen=True)
class Split:
    """Images of one split and what is known about each.

    Attributes:
        images: uint8 [M, C, H, W], in memory, a memory map that splits share, or made on demand.
        targets: name -> [N] values of this split, in order.
        rows: int64 [N] positions of this split's images in `images`; None means all of them, in order.
        digest: hash of all of `images`, where it is known without taking them one by one, or what computes it.
        names: bytes [M], a name (as a rule the file's) for each of `images`, for messages to people.
        weights: float32 [N], under which content and domain are independent in this split (0 for images that have to be
            left out for that), for probes and their scores; None where all images count alike.
    """

    images: Images
    targets: dict[str, np.ndarray]
    rows: np.ndarray | None = field(default=None)
    digest: str | Callable[[], str] | None = field(default=None)
    names: np.ndarray | None = field(default=None)
    weights: np.ndarray | None = field(default=None)

    def __len__(self) -> int:
        return len(self.images) if self.rows is None else len(self.rows)

    def take(self, positions: np.ndarray) -> np.ndarray:
        """uint8 [len(positions), C, H, W]: the images at these positions of the split."""
        return self.images[positions if self.rows is None else self.rows[positions]]

    def select(self, positions: np.ndarray) -> Split:
        """The split that holds only these positions, in this order; images are shared, not copied.

        Weights are not taken along: they are of the whole split.
        """
        rows = positions if self.rows is None else self.rows[positions]
        targets = {name: values[positions] for name, values in self.targets.items()}
        return Split(self.images, targets, rows, self.digest, self.names)

    def same_images(self, other: Split) -> bool:
        """Whether the other split holds the very same images in the same order: features of one are the other's."""
        if self.images is not other.images or len(self) != len(other):
            return False
        return self.rows is other.rows or (
            self.rows is not None and other.rows is not None and np.array_equal(self.rows, other.rows)
        )

    def images_digest(self) -> str | None:
        """Hash of all of `images`, or None where it is not known."""
        return self.digest() if callable(self.digest) else self.digest

    def name_of(self, position: int) -> str:
        """What to call an image when speaking to a person: its file's name, or its number."""
        row = position if self.rows is None else int(self.rows[position])
        return f"image {row}" if self.names is None else bytes(self.names[row]).decode("utf-8", "backslashreplace")


class EqualChannels:
    """Grey images seen as three equal channels; they are stored once and repeated when a batch is taken.

    Args:
        grey: uint8 [N, 1, H, W].
    """

    def __init__(self, grey: Images):
        self.grey = grey
        self.shape = (len(grey), 3, *grey.shape[2:])

    def __len__(self) -> int:
        return len(self.grey)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.repeat(self.grey[rows], 3, axis=1)


class OnDemand:
    """Base of image sources that compute images when asked (decode, render); worth worker processes.

    A subclass has `shape` and `__getitem__(rows)`.
    """

    on_demand: ClassVar[bool] = True
    shape: tuple[int, int, int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def fill(self, out: np.ndarray) -> dict[str, Any]:
        """Write all images into `out`; what it returns is kept beside them."""
        for start in range(0, len(self), 1024):
            rows = np.arange(start, min(start + 1024, len(self)))
            out[rows] = self[rows]
        return {}

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def fits_in_memory(shape: tuple[int, ...]) -> bool:
    """Whether uint8 images of this shape take at most `MEMORY_SHARE` of the machine's RAM."""
    return int(np.prod(shape, dtype=np.int64)) <= MEMORY_SHARE * psutil.virtual_memory().total


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
    """A data loader whose place in the epoch is in the checkpoint: a resumed epoch goes on with the batch after it.

    `state_dict` and `load_state_dict` are what Lightning asks of a loader that can go on in mid-epoch.
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
        num_workers = min(cores, 8) if getattr(dataset.split.images, "on_demand", False) else 0
    return (TrainingLoader if isinstance(batches, Batches) else DataLoader)(
        dataset,
        sampler=batches,  # type: ignore[arg-type]  # any iterable of index tensors will do: batch_size is None
        batch_size=None,
        num_workers=num_workers,
        persistent_workers=persistent and num_workers > 0,
        pin_memory=num_workers > 0 and torch.cuda.is_available(),
        generator=torch.Generator(),  # its own: looking at the data must not move torch's global stream
    )
