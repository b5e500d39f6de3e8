"""Batch samplers: the images of each training batch as a pure function of (seed, epoch), divided among ranks."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

LEAST_PER_GROUP = 2
"""Least number of images of a group in a batch: losses compare images of the same group."""


class Batches(Sampler[Tensor]):
    """Base of the batch samplers: one table of positions an epoch, of which each rank takes its columns.

    Every process computes the same table; of each global batch, rank r takes the r-th of `num_replicas` equal parts,
    so that ranks stacked in order are the batch of a single process.
    """

    def __init__(self, batch_size: int, seed: int, rank: int = 0, num_replicas: int = 1):
        self.batch_size, self.seed, self.rank, self.num_replicas = batch_size, seed, rank, num_replicas
        self.epoch = 0
        self._first = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def skip(self, batches: int) -> None:
        """Leave out the first `batches` batches of the next pass, and of that one only: a resumed epoch goes on."""
        self._first = batches

    @abstractmethod
    def __len__(self) -> int:
        """Batches in a whole pass."""

    @abstractmethod
    def table(self) -> Tensor:
        """int64 [len(self), batch_size]: the positions in each global batch of this epoch."""

    def __iter__(self) -> Iterator[Tensor]:
        first, self._first = self._first, 0
        share = self.batch_size // self.num_replicas
        for batch in self.table()[first:]:
            yield batch[self.rank * share : (self.rank + 1) * share]

    def _draw_seed(self) -> int:
        return int.from_bytes(hashlib.blake2b(f"{self.seed}/{self.epoch}".encode(), digest_size=7).digest())


class ShuffledBatches(Batches):
    """A permutation of all images, cut in batches; the last batch is left out if it is not full."""

    def __init__(self, size: int, batch_size: int, seed: int, rank: int = 0, num_replicas: int = 1):
        super().__init__(batch_size, seed, rank, num_replicas)
        self.size = size

    def __len__(self) -> int:
        return self.size // self.batch_size

    def table(self) -> Tensor:
        """int64 [len(self), batch_size]: the positions in each global batch of this epoch."""
        order = torch.randperm(self.size, generator=torch.Generator().manual_seed(self._draw_seed()))
        return order[: len(self) * self.batch_size].view(-1, self.batch_size)


class BalancedBatches(Batches):
    """Batches with equally many images of `groups_per_batch` different groups (as a rule domains).

    With g groups a batch, each gives n = batch_size / g images. A group of s images is dealt out in blocks of n, at
    least ceil(s / n) of them an epoch, so that every image is seen; where blocks need more images than the group has,
    it starts again in a new order. This is the stated padding: `len(self) * batch_size - number of images`
    repeats an epoch, most for the smallest group; no image is left out. An image occurs twice in one batch only if
    its group has fewer than n images. Blocks are dealt so that the groups of a batch differ and an epoch is as
    short as this allows: T = max(ceil(total blocks / g), blocks of the largest group) batches; blocks that
    the rule adds go to the groups with the fewest.

    Inside a batch groups alternate (g1 g2 .. gg g1 g2 ..), so each rank's part holds all groups, equally often if
    batch_size / num_replicas is a multiple of g.

    After Kahana and Hoshen (ECCV 2022), whose published sampler also takes n images of each of g distinct groups.
    Deviations: theirs leaves out the images of a group that do not fill a block, gives short batches for groups
    smaller than n, carries its state from epoch to epoch, draws the groups of each batch at random (so epochs
    may miss a group) and makes one batch fewer than it announces when the batch size divides the number of
    images.

    Args:
        groups: int [N], the group of each image; numbers that do not occur are no groups.
        batch_size: images in a global batch, a multiple of `groups_per_batch`.
        groups_per_batch: different groups in a batch.
        seed: of the order.
        rank: this process.
        num_replicas: number of processes.

    Raises:
        ValueError: fewer groups than `groups_per_batch`, a batch size that is not a multiple of it, fewer than two
            images of a group in a batch, or a group of one image, which would be compared with itself.
    """

    def __init__(
        self,
        groups: np.ndarray,
        batch_size: int,
        groups_per_batch: int,
        seed: int,
        rank: int = 0,
        num_replicas: int = 1,
    ):
        super().__init__(batch_size, seed, rank, num_replicas)
        values, self._group, self._sizes = np.unique(groups, return_inverse=True, return_counts=True)
        if not 1 <= groups_per_batch <= len(values):
            raise ValueError(f"{groups_per_batch} groups a batch asked for, there are {len(values)}")
        if batch_size % groups_per_batch:
            raise ValueError(f"batch_size {batch_size} is not a multiple of the {groups_per_batch} groups in a batch")
        if batch_size < LEAST_PER_GROUP * groups_per_batch:
            raise ValueError(
                f"{groups_per_batch} groups in a batch of {batch_size} are {batch_size // groups_per_batch} image of "
                f"each, at least {LEAST_PER_GROUP} are needed: at most {batch_size // LEAST_PER_GROUP} groups"
            )
        if lonely := int((self._sizes < LEAST_PER_GROUP).sum()):
            raise ValueError(
                f"{lonely} of {len(values)} groups have one image, which has no other of its group to be compared with"
            )
        self.groups_per_batch = groups_per_batch
        self.per_group = batch_size // groups_per_batch
        blocks = -(-self._sizes // self.per_group)
        self._length = max(-(-int(blocks.sum()) // groups_per_batch), int(blocks.max()))
        for _ in range(self._length * groups_per_batch - int(blocks.sum())):
            blocks[blocks.argmin()] += 1  # cannot pass the length: the mean would have to be the length already
        self._blocks = blocks
        self.padding = self._length * batch_size - len(groups)

    def __len__(self) -> int:
        return self._length

    def table(self) -> Tensor:
        """int64 [len(self), batch_size]: the positions in each global batch of this epoch."""
        generator = np.random.Generator(np.random.PCG64(self._draw_seed()))
        members = np.split(np.argsort(self._group, kind="stable"), np.cumsum(self._sizes)[:-1])
        # Laid end to end, group after group, block number s goes to batch s modulo T. A group has at most T blocks,
        # hence never two in one batch, and each batch gets exactly g blocks.
        blocks = [
            self._deal(members[group], int(self._blocks[group]), generator)
            for group in generator.permutation(len(members))
        ]
        laid = np.concatenate(blocks).reshape(self.groups_per_batch, self._length, self.per_group)
        batches = laid.transpose(1, 2, 0).reshape(self._length, self.batch_size)
        return torch.from_numpy(batches[generator.permutation(self._length)])

    def _deal(self, members: np.ndarray, blocks: int, generator: np.random.Generator) -> np.ndarray:
        """int64 [blocks, n]: one permutation of the group after another, no image twice in a block if n allows it."""
        need, rounds, dealt = blocks * self.per_group, [generator.permutation(members)], len(members)
        while dealt < need:
            order = generator.permutation(members)
            begun = np.isin(order, rounds[-1][max(0, len(rounds[-1]) - dealt % self.per_group) :])
            rounds.append(np.concatenate([order[~begun], order[begun]]))
            dealt += len(members)
        return np.concatenate(rounds)[:need].reshape(blocks, self.per_group)
