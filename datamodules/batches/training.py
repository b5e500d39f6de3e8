"""Data modules for training: batches of a data set, and the restricted view of it that a method trains on."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any

import lightning as L
import numpy as np
from torch.utils.data import DataLoader

from disentangle_bench.datamodules.batches.loader import BatchDataset, TrainingLoader, in_order, loader
from disentangle_bench.datamodules.batches.samplers import LEAST_PER_GROUP, BalancedBatches, Batches, ShuffledBatches
from disentangle_bench.datamodules.batches.split import Split
from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.datamodules.targets import TargetSpec


class TrainingBatches(L.LightningDataModule):
    """Base of the data modules for a trainer: shuffled or balanced training batches that resume within an epoch.

    Arguments are those of `ImageDataModule` of the same names.
    """

    name: str

    def __init__(
        self,
        *,
        batch_size: int,
        seed: int,
        balance: str | None,
        domains_per_batch: int | None,
        num_workers: int | None,
    ):
        super().__init__()
        self.batch_size, self.seed, self.num_workers = batch_size, seed, num_workers
        self.balance, self.domains_per_batch = balance, domains_per_batch
        self._training_loader: TrainingLoader | None = None
        self._place: dict[str, int] | None = None  # in the epoch, of the checkpoint that training resumes from

    @property
    @abstractmethod
    def training(self) -> Split:
        """The images of training batches."""

    @property
    @abstractmethod
    def targets(self) -> tuple[TargetSpec, ...]:
        """Specifications of the targets in a batch."""

    def train_dataloader(self) -> DataLoader:
        """Shuffled training batches; `batch_size` is shared out over the devices of a distributed run."""
        rank, replicas = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.batch_size % replicas:
            raise DataMismatch(
                f"batch_size {self.batch_size} is not a multiple of the {replicas} devices that share it"
            )
        dataset = BatchDataset(self.training, self.targets)
        sampler = self._sampler(self.balance, self.domains_per_batch, rank, replicas)
        made = loader(dataset, sampler, self.num_workers, persistent=True)
        assert isinstance(made, TrainingLoader)
        if self._place is not None:
            made.load_state_dict(self._place)
        self._training_loader, self._place = made, None
        return made

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch: kept by Lightning in the checkpoint."""
        return self._training_loader.state_dict() if self._training_loader else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called by Lightning when it resumes, before it asks for a loader.

        Lightning would restore the loader itself, but only if nobody has asked how long an epoch is before: a
        schedule of the learning rate does.
        """
        self._place = state_dict

    def _balanced_target(self, balance: str) -> TargetSpec:
        """The target that batches are balanced by, found by its name or else by its role.

        Raises:
            DataMismatch: there is none with classes.
        """
        fit = [spec for spec in self.targets if spec.discrete]
        for spec in sorted(fit, key=lambda spec: spec.name != balance):  # a name before a role
            if balance in (spec.name, spec.role):
                return spec
        known = ", ".join(spec.name for spec in fit)
        raise DataMismatch(f"balance {balance!r}: {self.name} has no such target with classes ({known})")

    def _sampler(self, balance: str | None, domains_per_batch: int | None, rank: int = 0, replicas: int = 1) -> Batches:
        if balance is None:
            return ShuffledBatches(len(self.training), self.batch_size, self.seed, rank, replicas)
        groups = np.asarray(self.training.targets[self._balanced_target(balance).name])
        if unlabelled := int((groups < 0).sum()):
            raise DataMismatch(
                f"balance {balance!r}: {unlabelled} of the training images of {self.name} have no label, and would "
                "pass for a group; choose pretrain_on=train, or leave balance out"
            )
        values = len(np.unique(groups))
        most = min(values, self.batch_size // LEAST_PER_GROUP)
        per_batch = domains_per_batch or max((n for n in range(1, most + 1) if self.batch_size % n == 0), default=1)
        try:
            return BalancedBatches(groups, self.batch_size, per_batch, self.seed, rank, replicas)
        except ValueError as error:
            raise DataMismatch(f"batches balanced by {balance!r}: {error}") from error


class TrainingView(TrainingBatches):
    """The part of a data set that a method may see in training: training images, and the targets that it declared.

    A trainer uses it as its data module. No other split, target or file name can be reached from it, its loaders or
    their data sets; it holds no reference to the data set that made it.

    Args:
        name: of the data set.
        images: the training images, in the order that `index` counts.
        targets: the declared targets.
        values: of those targets: name -> [N].
        description: what `describe()` of the data set returns.
        batching: as for `TrainingBatches`.
    """

    def __init__(
        self,
        name: str,
        images: TrainingImages,
        targets: tuple[TargetSpec, ...],
        values: dict[str, np.ndarray],
        description: dict[str, Any],
        **batching: Any,
    ):
        super().__init__(**batching)
        self.name = name
        self._training, self._targets, self._description = Split(images, values), targets, description

    @property
    def training(self) -> Split:
        """The images of training batches, unlabelled ones included."""
        return self._training

    @property
    def targets(self) -> tuple[TargetSpec, ...]:
        """The targets that the method declared."""
        return self._targets

    @property
    def splits(self) -> dict[str, Split]:
        """`train`, and no other: all that is trained on."""
        return {"train": self._training}

    @property
    def num_classes(self) -> int | None:
        """Number of values of the data set's first content target with classes."""
        return self._description["num_classes"]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = self._training.images.shape[1:]
        return channels, height, width

    def describe(self) -> dict[str, Any]:
        """The description that the data set gives of itself (a copy)."""
        return copy.deepcopy(self._description)

    def eval_dataloader(self, split: str, batch_size: int = 512, *, rank: int = 0, num_replicas: int = 1) -> DataLoader:
        """All training images, in order and unaugmented; every position exactly once over all processes.

        Raises:
            LookupError: `split` is another one than `train`.
        """
        if split != "train":
            raise LookupError(f"split {split!r}: a method sees the images it is trained on, which are `train`")
        return in_order(self._training, self._targets, batch_size, self.num_workers, rank, num_replicas)


class TrainingImages:
    """The images of a split alone: no access to the array it is cut from, to names of files or to factors.

    Args:
        split: the images.
        order: int [N], the positions of the split in the order that they get here; as they are if not given.
    """

    def __init__(self, split: Split, order: np.ndarray | None = None):
        self._images = split.images
        self._rows = split.rows if order is None else (order if split.rows is None else split.rows[order])
        self.on_demand = bool(getattr(split.images, "on_demand", False))
        self.shape = (len(split), *split.images.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        return self._images[positions if self._rows is None else self._rows[positions]]
