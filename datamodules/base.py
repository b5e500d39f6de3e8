"""The contract of a data set: uint8 batches with an index and named targets, three fixed splits, a fingerprint."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch.utils.data import DataLoader

from disentangle_bench.datamodules.batches.loader import Batch, BatchDataset
from disentangle_bench.datamodules.batches.samplers import BalancedBatches, ShuffledBatches
from disentangle_bench.datamodules.batches.split import PROBES, SPLITS, Split, SplitName
from disentangle_bench.datamodules.batches.statistics import channel_statistics
from disentangle_bench.datamodules.batches.training import TrainingBatches, TrainingImages, TrainingView, in_order
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch, DataNotFound
from disentangle_bench.datamodules.splits import probe, shifts
from disentangle_bench.datamodules.splits.checks import check_loaded
from disentangle_bench.datamodules.splits.fingerprint import fingerprint_of
from disentangle_bench.datamodules.splits.stratified import keep
from disentangle_bench.datamodules.targets import Role, TargetSpec
from disentangle_bench.registry import nearest

__all__ = [
    "PROBES",
    "SPLITS",
    "BalancedBatches",
    "Batch",
    "BatchDataset",
    "DataCorrupt",
    "DataMismatch",
    "DataNotFound",
    "ImageDataModule",
    "ShuffledBatches",
    "Split",
    "SplitName",
]
PretrainOn = Literal["train", "train+val", "train+unlabeled", "all"]


class ImageDataModule(TrainingBatches):
    """Base of all data sets. A subclass says where images and targets come from (`load`); the rest is here.

    Batches are plain dicts: `image` uint8 [B, C, H, W], `index` int64 [B] (position in the split, stable across
    epochs, workers and ranks), and `target/<name>` [B] for each of `targets`. Scaling, normalising and
    augmenting are for the device.

    Args:
        batch_size: images in a training batch, over all devices together.
        val_fraction: share of the training images set aside for selection, where a data set has no split of its own.
        split_seed: of that split's draw; runs with different seeds share their splits.
        train_images: so many of the training images are kept, drawn by class, and the same share of the validation
            images; all if not given. Rounding may add one (300 of 4,795 are 301); the record says how many there are.
            The test split is left whole.
        seed: of the order of training batches.
        balance: name of a target with classes, or the role of one (`domain`): training batches then hold equally many
            images of each of `domains_per_batch` values of it; see `BalancedBatches` for which images are repeated.
        domains_per_batch: different values of the `balance` target in a batch, each with `batch_size` /
            `domains_per_batch` images, at least 2; if not given, as many as there are, the batch can be divided by, and
            leave 2 images for each.
        shift: what differs between training and test: `leave_out:DOMAIN`, `hold_out:TARGET=VALUE,...` or
            `correlation:NUMBER`; see `datamodules.splits.shifts`.
        view_size: edge of the views that a method trains on; they are cropped out of the whole stored image. The stored
            images' edge if not given.
        eval_size: edge of the images that an encoder is judged on; that of the stored images if not given.
        pretrain_on: the images that a method trains on: the training split, with the validation split or the unlabelled
            images (of data sets that have some), or all of them. No test image ever, and probes are learnt, chosen and
            scored on the same splits whatever this says.
        num_workers: processes that make batches; chosen by the kind of data if not given. It never changes a batch.
    """

    name: str
    source: ClassVar[str]
    """Who made the data and where they are published."""
    layout: ClassVar[str] = "nothing to download: part of an installed package"
    """Files and folders that `root` must hold."""
    licence: ClassVar[str]
    mirror_symmetric: ClassVar[bool] = True
    """True if a mirrored image keeps its meaning (not so for digits and letters): views are mirrored only then."""
    correlated: bool = False
    """True if a colour (or rotation) is drawn by class, which the shift `correlation` needs."""
    order_tells: ClassVar[bool] = False
    """True if the order of the images reveals their targets, as that of files sorted by class folder does."""
    eval_crop: ClassVar[float] = 1.0
    """Edge of the central crop that encoders are evaluated on, as a share of the stored image's edge."""
    unlabeled: Split | None = None
    """Images without a label; a subclass that has some sets it in `load`."""

    def __init__(
        self,
        *,
        batch_size: PositiveInt = 128,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        train_images: PositiveInt | None = None,
        seed: int = 0,
        balance: str | None = None,
        domains_per_batch: PositiveInt | None = None,
        shift: str | None = None,
        view_size: PositiveInt | None = None,
        eval_size: PositiveInt | None = None,
        pretrain_on: PretrainOn = "train",
        num_workers: NonNegativeInt | None = None,
    ):
        super().__init__(
            batch_size=batch_size,
            seed=seed,
            balance=balance,
            domains_per_batch=domains_per_batch,
            num_workers=num_workers,
        )
        if not 0 < val_fraction < 1:
            raise DataMismatch(f"val_fraction must lie between 0 and 1, got {val_fraction}")
        if pretrain_on not in get_args(PretrainOn):
            raise DataMismatch(f"pretrain_on {pretrain_on!r} is none of {', '.join(get_args(PretrainOn))}")
        self.val_fraction, self.split_seed, self.train_images = val_fraction, split_seed, train_images
        self.view_size, self.eval_size, self.pretrain_on = view_size, eval_size, pretrain_on
        self.shift = None if shift is None else shifts.parse(shift)
        self._value_names: Mapping[str, Sequence[str]] = {}  # a subclass sets it in `load` where values have names
        if self.shift and self.shift.kind == "correlation" and not self.correlated:
            raise DataMismatch(f"shift {shift!r}: {self.name} has no colours that are drawn by class")

    @abstractmethod
    def load(self) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """The three splits and their targets; `num_classes` is that of the first content target with classes.

        Raises:
            DataNotFound: files are missing; the message says what to download and where to put it. Nothing has
                been written then.
            DataCorrupt: files are there but cannot be read; the message names them.
        """

    def redrawn(self, name: probe.ProbeName, split: Split) -> Split | None:
        """For data that can be rendered: the images of `split` with their domain drawn anew, independently of the rest.

        Args:
            name: the probe split that is made; its random numbers are those of `probe_generator(name)`.
            split: the training split for `probe`, the validation split for `probe_val`.

        Returns:
            None where images can't be rendered again: they are weighted then.
        """
        return None

    def independent(self, split: SplitName) -> bool:
        """True if a split is made such that content and domain are independent, so that it needs no weights.

        Where the domain is drawn by class, it is drawn independently of the class in the test split, unless a shift
        changes that.
        """
        return self.correlated and split == "test" and shifts.test_is_drawn_independently(self.shift)

    @property
    def entangled(self) -> tuple[str, ...]:
        """Names of targets besides the domain on which the content depends in splits that aren't `independent`."""
        return ()

    def probe_generator(self, name: probe.ProbeName) -> np.random.Generator:
        """Random numbers of a probe split: its own, so that no other draw depends on it."""
        return np.random.Generator(np.random.PCG64([self.split_seed, 3 + PROBES.index(name)]))

    @property
    def value_names(self) -> Mapping[str, Sequence[str]]:
        """Target name -> names of its values, in order, for class targets whose values have names."""
        self.setup()
        return self._value_names

    @cached_property
    def _loaded(self) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...], probe.ProbeProvenance]:
        splits, specs = check_loaded(self.load())
        if self.pretrain_on == "train+unlabeled" and self.unlabeled is None:
            raise DataMismatch(f"pretrain_on {self.pretrain_on!r}: {self.name} has no unlabelled images")
        if self.shift:
            splits = shifts.apply(self.shift, splits, specs, self._value_names)
        if self.train_images is not None:
            splits |= keep(splits, specs, self.train_images, self.split_seed, self.name)
        self._check_count(len(splits["train"]))
        shift, names = self.shift, self._value_names
        splits, made = probe.add(
            splits,
            specs,
            redrawn=self.redrawn,
            independent=self.independent,
            entangled=self.entangled,
            held_out=None if shift is None else lambda split: shifts.held_out(shift, split, specs, names),
        )
        return splits, specs, made

    def _check_count(self, images: int, kind: str = "training images") -> None:
        """Raise DataMismatch if they don't fill a batch; a subclass asks before it decodes them."""
        if images < self.batch_size:
            raise DataMismatch(
                f"batch_size {self.batch_size} is larger than the {images} {kind} of {self.name}: "
                "choose a smaller data.batch_size"
            )

    def setup(self, stage: str | None = None) -> None:
        """Load the splits; later calls cost nothing."""
        _ = self._loaded

    @property
    def splits(self) -> dict[SplitName, Split]:
        """The images and targets of `train`, `val`, `test`, `probe` and `probe_val`."""
        return self._loaded[0]

    @property
    def probe_provenance(self) -> probe.ProbeProvenance:
        """Provenance of the probe splits, with the classes that had to be left out."""
        return self._loaded[2]

    @cached_property
    def training(self) -> Split:  # type: ignore[override]  # a property either way
        """The images of training batches: the training split, followed by the images that `pretrain_on` adds."""
        parts = [self.splits["train"]]
        if self.pretrain_on in ("train+val", "all"):
            parts.append(self.splits["val"])
        if self.pretrain_on in ("train+unlabeled", "all") and self.unlabeled is not None:
            parts.append(self.unlabeled)
        return shifts.stack(parts) if len(parts) > 1 else parts[0]

    @property
    def targets(self) -> tuple[TargetSpec, ...]:
        """Specifications of the targets of each image."""
        return self._loaded[1]

    @property
    def num_classes(self) -> int | None:
        """Number of values of the first content target with classes; None where all content is continuous."""
        return next((spec.size for spec in self.targets if spec.role == "content" and spec.discrete), None)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the stored images, which batches hold."""
        channels, height, width = self.splits["train"].images.shape[1:]
        return channels, height, width

    @cached_property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over the training images, scaled to [0, 1]."""
        return channel_statistics(self.training)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the data actually used: one changed pixel, label or split position changes it."""
        parts: dict[str, Split] = {name: self.splits[name] for name in SPLITS}
        if self.training is not self.splits["train"]:
            parts["training"] = self.training
        return fingerprint_of(parts, self.targets, self.probe_provenance)

    def describe(self) -> dict[str, Any]:
        """Description of the data for methods: plain values, no images.

        `view_shape` and `eval_shape` are (height, width) of the images in training and in evaluation. `probe` holds how
        the probe splits were made, their sizes, and for each split the classes (by number) that have no images in some
        domain and therefore weight 0.
        """
        mean, std = self.statistics
        return {
            "name": self.name,
            "num_classes": self.num_classes,
            "num_train": len(self.training),
            "mean": mean,
            "std": std,
            "mirror_symmetric": self.mirror_symmetric,
            "view_shape": (self.view_size,) * 2 if self.view_size else self.image_shape[1:],
            "eval_shape": (self.eval_size,) * 2 if self.eval_size else self.image_shape[1:],
            "eval_crop": self.eval_crop,
            "targets": [spec.as_dict() for spec in self.targets],
            "probe": {
                "how": self.probe_provenance.how,
                "images": {name: len(self.splits[name]) for name in PROBES},
                "left_out": self.probe_provenance.left_out,
            },
        }

    def training_view(self, roles: frozenset[str]) -> TrainingView:
        """The data module for a trainer that holds the training images and the targets of the given roles, only.

        `index` in its batches is the position in the view's `splits["train"]`. That equals the position in `training`
        here, unless the order of the images would reveal their labels (`order_tells`): the view is then shuffled, as
        `training.select(training_order)`.

        Args:
            roles: roles that the method declares: of `content`, `style` and `domain`.

        Raises:
            DataMismatch: batches are balanced by a target that the method doesn't declare, which would reveal it.
        """
        if strangers := set(roles) - set(get_args(Role)):
            raise ValueError(f"roles are of {', '.join(get_args(Role))}, got {sorted(strangers)}")
        self.check_batches(self.balance, self.domains_per_batch, roles)
        targets = tuple(spec for spec in self.targets if spec.role in roles)
        order = self.training_order
        values = {spec.name: np.asarray(self.training.targets[spec.name]) for spec in targets}
        if order is not None:
            values = {name: array[order] for name, array in values.items()}
        return TrainingView(
            self.name,
            TrainingImages(self.training, order),
            targets,
            values,
            self.describe(),
            batch_size=self.batch_size,
            seed=self.seed,
            balance=self.balance,
            domains_per_batch=self.domains_per_batch,
            num_workers=self.num_workers,
        )

    @property
    def training_order(self) -> np.ndarray | None:
        """int64 [N]: positions of `training` in the order of the training view; None where it is the same."""
        if not self.order_tells:
            return None
        return np.random.Generator(np.random.PCG64([self.split_seed, 5])).permutation(len(self.training))

    def check_batches(
        self, balance: str | None, domains_per_batch: int | None, roles: Collection[str] = get_args(Role)
    ) -> None:
        """Raise DataMismatch if training batches can't be composed like this for a method that declares `roles`."""
        if balance is not None and (spec := self._balanced_target(balance)).role not in roles:
            raise DataMismatch(
                f"balance {balance!r}: batches that hold equally many images of each value of {spec.name!r} tell it to "
                f"a method that doesn't declare that it sees {spec.role} targets"
            )
        self._sampler(balance, domains_per_batch)

    def eval_dataloader(
        self, split: SplitName, batch_size: int = 512, *, rank: int = 0, num_replicas: int = 1
    ) -> DataLoader:
        """All images of a split, in order and unaugmented; each of several processes gets consecutive whole batches.

        Raises:
            ValueError: there is no such split.
        """
        if split not in self.splits:
            raise ValueError(f"no split {split!r} of {self.name}{nearest(str(split), self.splits)}")
        return in_order(self.splits[split], self.targets, batch_size, self.num_workers, rank, num_replicas)
