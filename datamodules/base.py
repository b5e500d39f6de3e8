"""The contract of a data set: uint8 batches with an index and named targets, three fixed splits, a fingerprint."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import lightning as L
import numpy as np
import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from datamodules.targets import TargetSpec

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
Batch = dict[str, Tensor]


class DataNotFound(FileNotFoundError):
    """A data set's files are not where they should be; the message says what to put where."""


class DataMismatch(ValueError):
    """The options do not fit the data; the message says what would."""


@dataclass(frozen=True)
class Split:
    """Images of one split and what is known about each.

    Attributes:
        images: uint8 [M, C, H, W], in memory or a memory map that splits share.
        targets: name -> [N] values of this split, in order.
        rows: int64 [N] positions of this split's images in `images`; None means all of them, in order.
    """

    images: np.ndarray
    targets: dict[str, np.ndarray]
    rows: np.ndarray | None = field(default=None)

    def __len__(self) -> int:
        return len(self.images) if self.rows is None else len(self.rows)

    def take(self, positions: np.ndarray) -> np.ndarray:
        """uint8 [len(positions), C, H, W]: the images at these positions of the split."""
        return self.images[positions if self.rows is None else self.rows[positions]]


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


class ShuffledBatches(Sampler[Tensor]):
    """Positions of each training batch: a permutation that depends on (seed, epoch) alone.

    Every process holds the same permutation; of each global batch, rank r takes the r-th of `num_replicas` equal
    parts, so that ranks stacked in order are the batch of a single process. The last batch is left out if it is
    not full.
    """

    def __init__(self, size: int, batch_size: int, seed: int, rank: int = 0, num_replicas: int = 1):
        self.size, self.batch_size, self.seed, self.rank, self.num_replicas = (
            size,
            batch_size,
            seed,
            rank,
            num_replicas,
        )
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size // self.batch_size

    def __iter__(self) -> Iterator[Tensor]:
        seed = int.from_bytes(hashlib.blake2b(f"{self.seed}/{self.epoch}".encode(), digest_size=7).digest())
        order = torch.randperm(self.size, generator=torch.Generator().manual_seed(seed))
        share = self.batch_size // self.num_replicas
        for batch in order[: len(self) * self.batch_size].view(-1, self.batch_size):
            yield batch[self.rank * share : (self.rank + 1) * share]


class ImageDataModule(L.LightningDataModule):
    """Base of all data sets. A subclass says where images and targets come from (`load`); the rest is here.

    Batches are plain dicts: `image` uint8 [B, C, H, W], `index` int64 [B] (position in the split, stable across
    epochs, workers and ranks), and `target/<name>` [B] for each of `targets`. Scaling, normalising and
    augmenting are for the device.

    Args:
        batch_size: images in a training batch, over all devices together.
        val_fraction: share of the training images set aside for selection, where a data set has no split of its own.
        split_seed: of that split's draw; runs with different seeds share their splits.
        seed: of the order of training batches.
    """

    name: str
    source: ClassVar[str]
    licence: ClassVar[str]
    mirror_symmetric: ClassVar[bool] = True
    """Whether an image and its mirror image mean the same (false for digits and letters): augmentations heed it."""

    def __init__(
        self,
        *,
        batch_size: PositiveInt = 128,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        seed: int = 0,
    ):
        super().__init__()
        if not 0 < val_fraction < 1:
            raise DataMismatch(f"val_fraction must lie between 0 and 1, got {val_fraction}")
        self.batch_size, self.val_fraction, self.split_seed, self.seed = (
            batch_size,
            val_fraction,
            split_seed,
            seed,
        )

    @abstractmethod
    def load(self) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """The three splits and their targets; the first content target is the one that `num_classes` counts.

        Raises:
            DataNotFound: files are missing; the message says what to download and where to put it.
        """

    @cached_property
    def _loaded(self) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        splits, specs = self.load()
        if len(splits["train"]) < self.batch_size:
            raise DataMismatch(
                f"batch_size {self.batch_size} is larger than the {len(splits['train'])} training images of "
                f"{self.name}: choose a smaller data.batch_size"
            )
        return splits, specs

    def setup(self, stage: str | None = None) -> None:
        """Load the splits; later calls cost nothing."""
        _ = self._loaded

    @property
    def splits(self) -> dict[SplitName, Split]:
        """The images and targets of `train`, `val` and `test`."""
        return self._loaded[0]

    @property
    def targets(self) -> tuple[TargetSpec, ...]:
        """What is known about each image."""
        return self._loaded[1]

    @property
    def num_classes(self) -> int:
        """Number of values of the first content target."""
        return next(spec.size for spec in self.targets if spec.role == "content")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = self.splits["train"].images.shape[1:]
        return channels, height, width

    @cached_property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over the training split, of images scaled to [0, 1]."""
        train, channels = self.splits["train"], self.image_shape[0]
        counts = np.zeros((channels, 256), np.int64)
        for start in range(0, len(train), 4096):
            images = train.take(np.arange(start, min(start + 4096, len(train))))
            for channel in range(channels):
                counts[channel] += np.bincount(images[:, channel].ravel(), minlength=256)
        levels = np.arange(256) / 255
        mean = counts @ levels / counts.sum(1)
        std = np.sqrt((counts * (levels - mean[:, None]) ** 2).sum(1) / counts.sum(1))
        return tuple(mean.tolist()), tuple(np.maximum(std, 1 / 255).tolist())

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the data actually used: one changed pixel, label or split position changes it."""
        digest = hashlib.blake2b(digest_size=16)
        for split_name in SPLITS:
            split = self.splits[split_name]
            digest.update(f"{split_name} {len(split)} {self.image_shape}".encode())
            for start in range(0, len(split), 4096):
                digest.update(np.ascontiguousarray(split.take(np.arange(start, min(start + 4096, len(split))))).data)
            for spec in self.targets:
                digest.update(repr(spec).encode())
                digest.update(np.ascontiguousarray(split.targets[spec.name]).data)
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """What a method may know about the data before it sees any: plain values, no images."""
        mean, std = self.statistics
        return {
            "name": self.name,
            "num_classes": self.num_classes,
            "num_train": len(self.splits["train"]),
            "mean": mean,
            "std": std,
            "mirror_symmetric": self.mirror_symmetric,
            "targets": [spec.as_dict() for spec in self.targets],
        }

    def train_dataloader(self) -> DataLoader:
        """Shuffled training batches; `batch_size` is shared out over the devices of a distributed run."""
        rank, replicas = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.batch_size % replicas:
            raise DataMismatch(
                f"batch_size {self.batch_size} is not a multiple of the {replicas} devices that share it"
            )
        dataset = BatchDataset(self.splits["train"], self.targets)
        sampler = ShuffledBatches(len(dataset), self.batch_size, self.seed, rank, replicas)
        return DataLoader(dataset, sampler=sampler, batch_size=None)

    def eval_dataloader(self, split: SplitName, batch_size: int = 512) -> DataLoader:
        """All images of a split, in order, as they are."""
        dataset = BatchDataset(self.splits[split], self.targets)
        batches = torch.arange(len(dataset)).split(batch_size)
        return DataLoader(dataset, sampler=batches, batch_size=None)
