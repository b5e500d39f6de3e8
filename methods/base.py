"""The contract of a method: views on the device, the label firewall, named spaces, optimiser and schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, final

import lightning as L
import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, PositiveFloat, PositiveInt
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from disentangle_bench.methods.batches import training_split
from disentangle_bench.methods.batches.firewall import Firewalled, FirewalledBatch
from disentangle_bench.methods.batches.own import STATISTICS, as_batch, undescribed
from disentangle_bench.methods.batches.streams import stream_seed
from disentangle_bench.methods.networks.backbones import Stem
from disentangle_bench.methods.networks.backbones import backbone as make_backbone
from disentangle_bench.methods.networks.checkpoints import load_weights
from disentangle_bench.methods.networks.optimizer import make_optimizer
from disentangle_bench.methods.objectives.gather import all_gather
from disentangle_bench.methods.objectives.inputs import upload
from disentangle_bench.methods.schedule import Schedule, Spent
from disentangle_bench.methods.views import Augmentation, Params, Positives, framed, own_rows, together, views_of

Batch = dict[str, Tensor]


class Method(L.LightningModule, metaclass=Firewalled):
    """Base of all methods. A subclass says what it computes in `training_step` and which spaces `embed` offers.

    Args:
        image_shape: (channels, height, width) of the uint8 images; the attribute is that of the views.
        data: what `datamodule.describe()` returns: class count, channel statistics, targets and their roles, and the
            sizes that images are trained on and judged on. What it doesn't say is as for images of any loader (see
            `batches.own`): no labels, ImageNet's statistics for three channels, sizes as in `image_shape`.
        seed: of every random stream: initial weights, views, the method's own draws.
        backbone: `convnet`, or any encoder of timm by name.
        stem: of a ResNet: `imagenet` (7x7, stride 2, max-pooling), `small` (3x3, stride 1, none), or `auto`: `small`
            for views of at most 64 pixels.
        init: where the encoder's weights start: None (random), `timm` (its pretrained ones), or a `.safetensors` file.
            Of a MoCo-v2 checkpoint (`.pth`, `.tar`) the encoder is taken, read without running anything in it.
        augmentation: how strongly views differ from the image.
        key_augmentation: of all views but the first (asymmetric branches); None: `augmentation`. The size of the
            blur's kernel must be the same.
        own_views: a class of your own, `my_file.MyViews`, in place of both: see `methods.views.views_of`.
        normalize: mean and standard deviation by which pixels are standardised: those of the data set's training
            images, the usual ones of CIFAR-10 or ImageNet, or none.
        optimizer: sgd (with plain momentum), adam, adamw or lars (layer-wise adaptive rates, for matrices).
        lr: peak learning rate, for the batch as it is (no hidden scaling with its size).
        momentum: of sgd and lars; the first beta of adam and adamw.
        weight_decay: on matrices; biases and norm parameters have none.
        warmup: share of the budget in which the learning rate rises from 0.
        schedule: what follows the warm-up: a half cosine, the peak learning rate to the end, or steps down.
        final: share of the peak learning rate at which the cosine ends.
        step_epochs: epochs between two steps down.
        step_factor: of each step down.
        heads_first: share of the budget in which the encoder's weights are frozen and only the heads learn, for an
            encoder with pretrained weights; afterwards all weights learn, and warm-up and schedule (not `step`) start
            again. Running statistics of the encoder's batch norms are updated throughout.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    uses_targets: ClassVar[frozenset[str]] = frozenset()
    """Roles (`content`, `style`, `domain`) whose targets the method may see while it trains."""
    trains: ClassVar[bool] = True
    primary_space: ClassVar[str] = "features"
    """The space that the method is judged by in the main table: what its paper evaluates for content."""
    invariant_space: ClassVar[str] = "features"
    """The space whose leakage the paper's claim is about; `primary_space` unless the class says otherwise."""
    search: ClassVar[dict[str, tuple[Any, ...]]] = {"lr": (5e-4, 1e-3, 2e-3, 4e-3), "weight_decay": (1e-5, 1e-4, 1e-3)}
    """Values of options among which `bench tune` looks; a subclass adds its own."""
    mean: Tensor
    std: Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Fill in the invariant space where a class only names its primary one."""
        super().__init_subclass__(**kwargs)
        if "primary_space" in vars(cls) and "invariant_space" not in vars(cls):
            cls.invariant_space = cls.primary_space

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        data: dict[str, Any] | None = None,
        seed: int = 0,
        backbone: str = "convnet",
        stem: Stem = "auto",
        init: str | None = None,
        augmentation: Augmentation = Augmentation(),
        key_augmentation: Augmentation | None = None,
        own_views: str | None = None,
        normalize: Literal["data", "cifar10", "imagenet", "none"] = "data",
        optimizer: Literal["sgd", "adam", "adamw", "lars"] = "adamw",
        lr: PositiveFloat = 2e-3,
        momentum: ClosedUnitInterval = 0.9,
        weight_decay: NonNegativeFloat = 1e-4,
        warmup: ClosedUnitInterval = 0.1,
        schedule: Literal["cosine", "constant", "step"] = "cosine",
        final: ClosedUnitInterval = 0.0,
        step_epochs: PositiveInt = 30,
        step_factor: ClosedUnitInterval = 0.33,
        heads_first: ClosedUnitInterval = 0.0,
    ):
        super().__init__()
        data = undescribed(image_shape) | (data or {})
        if missing := type(self).uses_targets - {spec["role"] for spec in data["targets"]}:
            roles = "/".join(sorted(missing))
            raise ValueError(
                f"{type(self).__name__} trains with {roles} labels, but `data` has no such targets: "
                "give data=datamodule.describe() of a data set that has them"
            )
        self.image_shape: tuple[int, int, int] = (image_shape[0], *data["view_shape"])
        self.data, self.seed, self.init = data, seed, init
        if own_views is not None:
            augmentation, key_augmentation = views_of(own_views), None
        self.augmentation, self.key_augmentation = augmentation, key_augmentation or augmentation
        augmentation.joined(self.key_augmentation)  # which refuses two that can't be applied in one pass
        self.optimizer_name, self.lr, self.momentum, self.weight_decay = optimizer, lr, momentum, weight_decay
        self.schedule = Schedule(schedule, warmup, final, step_epochs, step_factor, heads_first)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(seed, "backbone"))
            self.backbone = make_backbone(backbone, self.image_shape, pretrained=init == "timm", stem=stem)
        if init is not None and init != "timm":
            load_weights(self.backbone, init)
        self.num_features = int(self.backbone.num_features)  # type: ignore[arg-type]
        for name, values in zip(("mean", "std"), self._statistics(normalize), strict=True):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.views_generator = torch.Generator().manual_seed(stream_seed(seed, "views"))
        self._spent = Spent()
        self.images_seen = 0
        self.forward_passes = 0
        """Images pushed through the encoder for the sake of training, by all processes."""
        self.backbone.register_forward_pre_hook(self._count_forward)

    def _count_forward(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self.training:
            self.forward_passes += len(inputs[0]) * self.world_size

    @property
    def world_size(self) -> int:
        """Number of processes that train together; 1 outside of a trainer, as `global_rank` is 0 there."""
        return self.trainer.world_size if self._trainer else 1

    # ---- images ----

    def _statistics(self, normalize: str) -> tuple[Sequence[float], Sequence[float]]:
        """Mean and deviation of each channel, for values in [0, 1]."""
        channels = self.image_shape[0]
        mean, std = (STATISTICS | {"data": (self.data["mean"], self.data["std"])})[normalize]
        if len(mean) not in (1, channels):
            raise ValueError(f"normalize {normalize!r} is for {len(mean)} channels, these images have {channels}")
        return [*mean] * (channels // len(mean)), [*std] * (channels // len(std))

    def prepare(self, image: Tensor) -> Tensor:
        """Normalised images, float [B, C, h, w], channels last in memory.

        Args:
            image: views, float in [0, 1] [B, C, h, w], whose size stays; or stored images, uint8 [B, C, H, W], which
                are cropped and resized as for evaluation (`eval_crop`, `eval_shape`).
        """
        crop = self.data["eval_crop"]
        scaled = framed(image, self.data["eval_shape"], crop) if image.dtype == torch.uint8 else image
        return ((scaled - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def plain_view(self, image: Tensor) -> Tensor:
        """Stored uint8 images [B, C, H, W] without augmentation, resized to the size of views: float in [0, 1]."""
        return framed(image, self.image_shape[1:], self.data["eval_crop"])

    def draw_view(self, batch_size: int, key: bool = False) -> Params:
        """Parameters of one view of the batch; every process draws for all of them and takes its own part.

        Args:
            batch_size: of this process.
            key: draw from `key_augmentation`, which is for all views but the first.
        """
        augmentation = self.key_augmentation if key else self.augmentation
        drawn = augmentation.draw(batch_size * self.world_size, self.views_generator, self.data["mirror_symmetric"])
        return own_rows(drawn, self.global_rank, batch_size)

    def apply_views(
        self, image: Tensor, drawn: Params, transforms: Augmentation | Positives | None = None
    ) -> list[Tensor]:
        """K normalised views [B, C, h, w] of uint8 images [B, C, H, W].

        All views are made in one pass: with small images the cost is that of the number of operations.

        Args:
            image: the stored images of the batch.
            drawn: parameters of all views, K B values each: those of the first view, then of the second, and so on
                (see `together`).
            transforms: the augmentation that drew them; by default those of the method.
        """
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            transforms = transforms or self.augmentation.joined(self.key_augmentation)
            count = len(drawn["spatial"]["area"]) // len(image)
            images = (image / 255).repeat(count, 1, 1, 1)
            return list(self.prepare(transforms.apply(images, drawn, self.image_shape[1:])).chunk(count))

    def views(self, batch: Batch, count: int = 2) -> list[Tensor]:
        """`count` independently augmented, normalised views [B, C, H, W] of the batch's images."""
        size = len(batch["image"])
        drawn = together([self.draw_view(size, key=number > 0) for number in range(count)])
        return self.apply_views(batch["image"], drawn)

    def noise(self, stream: str, batch_size: int, width: int) -> Tensor:
        """Standard normal noise [batch_size, width] for this step, on the device.

        Drawn for all processes, of which each takes its own rows. It depends on the seed, the stream's name and the
        number of images seen so far only, so a resumed run draws the same.
        """
        drawn = torch.randn(self.world_size * batch_size, width, generator=self.step_generator(stream))
        return upload(drawn[self.global_rank * batch_size :][:batch_size], self.device)

    def step_generator(self, stream: str) -> torch.Generator:
        """A generator seeded by the seed, the stream's name and the images seen so far; alike on all processes."""
        return torch.Generator().manual_seed(stream_seed(self.seed, f"{stream}/{self.images_seen}"))

    def positions(self, batch: Batch) -> Tensor:
        """The batch's `index`, int64 [B] on the CPU, kept from before the transfer so that the device isn't awaited."""
        known = getattr(batch, "positions", None)
        return batch["index"].cpu() if known is None else known

    def encode_training_split(
        self, encode: Callable[[Tensor, torch.Generator], Tensor], stream: str, batch_statistics: bool = False
    ) -> Tensor:
        """Codes [N, d] of all N training images by `encode(images, generator)`: see `batches.training_split`."""
        return training_split.encoded(self, encode, stream, batch_statistics)

    # ---- spaces, and the batch of all processes ----

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Uint8 images [B, C, H, W] to named spaces: `features` [B, d] always, a method adds its own."""
        return {"features": self.backbone(self.prepare(image))}

    @property
    def gather(self) -> Callable[[Tensor], Tensor] | None:
        """Function by which objectives pool the batch of all processes; None in a run of one process."""
        return all_gather if self.world_size > 1 else None

    # ---- description of the data ----

    def described(self, key: str, option: str = "") -> Any:
        """The value that `data` has under a key that the method needs.

        Args:
            key: such as `num_classes` or `num_train`.
            option: name of the method's option that can be set instead, for the message.

        Raises:
            ValueError: there is no such value.
        """
        if self.data[key] is None:
            otherwise = f", or {option}" if option else ""
            raise ValueError(f"{type(self).__name__}: `data` lacks {key}: give data=datamodule.describe(){otherwise}")
        return self.data[key]

    def class_target(self, role: str, name: str | None = None) -> dict[str, Any]:
        """The specification of a target with classes, as `describe()` of a data set gives it.

        Args:
            role: `content` or `domain`.
            name: of the target; None: the first one of this role.

        Raises:
            ValueError: the data set has none, or none of that name.
        """
        found = [s for s in self.data["targets"] if s["role"] == role and s["kind"] in ("class", "ordinal")]
        for spec in found:
            if name in (None, spec["name"]):
                return spec
        wanted = f"a {role} target with classes" if name is None else f"the {role} target {name!r}"
        known = ", ".join(spec["name"] for spec in found) or "none"
        raise ValueError(f"{type(self).name} needs {wanted}; {self.data['name']} has: {known}")

    # ---- the label firewall ----

    def __setattr__(self, name: str, value: Any) -> None:
        type(self).refuse(name)
        super().__setattr__(name, value)

    @property
    def hidden_targets(self) -> dict[str, str]:
        """Batch key -> role of each target that this method may not see while it trains."""
        specs, seen = self.data["targets"], type(self).uses_targets
        return {f"target/{spec['name']}": spec["role"] for spec in specs if spec["role"] not in seen}

    @final
    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Labels that the method did not declare never reach the device, wherever the batch comes from.

        A run of this suite trains on a view of the data that doesn't hold them in the first place.
        """
        image = batch.get("image") if isinstance(batch, dict) else None
        ready = isinstance(image, Tensor) and image.dtype == torch.uint8 and "index" in batch
        if not ready:  # of a loader that is not this suite's
            batch = as_batch(batch, self.image_shape[0], self.global_rank)
        self._positions = batch["index"].cpu()
        seen = type(self).uses_targets
        declared = {f"target/{spec['name']}" for spec in self.data["targets"] if spec["role"] in seen}
        return {key: value for key, value in batch.items() if not key.startswith("target/") or key in declared}

    @final
    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Asking for a removed label is an error that says what to do."""
        return FirewalledBatch(batch, self.hidden_targets, type(self).__name__, self._positions)

    # ---- optimiser, schedule, bookkeeping ----

    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters for the optimiser; a group may have an `lr` of its own, under the same schedule."""
        return param_groups_weight_decay(self, self.weight_decay)

    def configure_optimizers(self) -> Any:
        """The chosen optimiser under warm-up and cosine over the whole budget, be it epochs, steps or minutes."""
        resting: list[Tensor] = list(self.backbone.parameters()) if self.schedule.heads_first else []
        optimizer = make_optimizer(self.param_groups(), self.optimizer_name, self.lr, self.momentum, resting)
        factors: list[Any] = [
            partial(self._lr_factor, rests=group.get("rests", False)) for group in optimizer.param_groups
        ]
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, factors), "interval": "step"},
        }

    def _lr_factor(self, step: int, rests: bool = False) -> float:
        epoch = int(step // max(1, self.trainer.num_training_batches))  # infinitely many before the data are there
        return self.schedule.factor(self.share_of_budget(step), epoch, rests)

    def share_of_budget(self, step: int) -> float:
        """Share of the budget (epochs, steps or minutes) spent after step number `step`, in [0, 1].

        Steps count from 0. All processes get the same number.
        """
        return self._spent.share(step, self.trainer, self.device)

    def on_fit_start(self) -> None:
        """Refuse accumulated gradients: losses compare the images of one batch.

        Momentum encoders, queues and centres would move once a batch, the learning rate once a step.
        """
        if self.trainer.accumulate_grad_batches != 1:
            raise ValueError(
                f"accumulate_grad_batches is {self.trainer.accumulate_grad_batches} but must be 1: losses compare the "
                "images of a batch, so take larger batches or more processes"
            )

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Count what the run costs."""
        self.images_seen += len(batch["image"]) * self.world_size

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state of the views' generator and the cost so far."""
        checkpoint["views_generator"] = self.views_generator.get_state()
        checkpoint["cost"] = {"images_seen": self.images_seen, "forward_passes": self.forward_passes}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the views' stream and the count of cost where the checkpoint was taken."""
        self.views_generator.set_state(checkpoint["views_generator"])
        self.images_seen = checkpoint["cost"]["images_seen"]
        self.forward_passes = checkpoint["cost"]["forward_passes"]
