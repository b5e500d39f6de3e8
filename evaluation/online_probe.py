"""How well class and domain can be read off the features of a model while it trains, as a Lightning callback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader

from disentangle_bench.evaluation.features import device_of, inference_mode
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.torchmetrics import DomainLeakage, LinearProbe
from disentangle_bench.evaluation.metrics.torchmetrics.base import Split

BATCH = 256
"""Images that are encoded at a time."""


class OnlineProbe(L.Callback):
    """Logs `online/linear` and `online/leakage` after epochs, for curves; records are made by the protocol's measures.

    Two sets of images are encoded: probes learn on `fit` and are scored on `held_out`, which should not be the test
    split: whoever looks at curves chooses by them. Accuracy of the content is that of `metrics.probes.linear_probe`,
    leakage of the domain the `normalized` one of `metrics.invariance.domain_leakage` (0: as a guess, 1: all).

    Args:
        fit: batches of images and labels to learn from: dicts with `image` and the two keys, or (images, labels) where
            no domain is asked for. Of several processes, each encodes its share of the batches.
        held_out: batches to score on.
        num_classes: of the content.
        content: key of the content's labels in a batch.
        domain: key of the domain's labels; None: no leakage is logged.
        num_domains: of it.
        space: the one to read, where the model has an `embed` (as methods of this suite) or returns a dict.
        every: epochs between two measurements.
    """

    def __init__(
        self,
        fit: Iterable[Any],
        held_out: Iterable[Any],
        *,
        num_classes: int,
        content: str = "target",
        domain: str | None = None,
        num_domains: int = 0,
        space: str = "features",
        every: int = 1,
    ):
        if every < 1:
            raise ValueError(f"every must be at least 1 epoch, got {every}")
        if (domain is None) != (num_domains == 0):
            raise ValueError("domain and num_domains go together: the key of the labels, and how many there are")
        self.batches: dict[Split, Iterable[Any]] = {"train": fit, "test": held_out}
        self.content, self.domain, self.space, self.every = content, domain, space, every
        self.num_classes, self.num_domains = num_classes, num_domains

    @classmethod
    def on(cls, data: Any, *, images: int = 2000, **options: Any) -> OnlineProbe:
        """The probe on a data set of this suite: its first content and domain targets, on at most so many images each.

        It learns on `probe` and is scored on `probe_val`, in which content and domain are independent.

        Args:
            data: an `ImageDataModule`.
            images: drawn from each of the two splits.
            options: `space`, `every`.
        """
        data.setup()
        specs = [spec for spec in data.targets if spec.discrete]
        content = next((spec for spec in specs if spec.role == "content"), None)
        if content is None:
            raise ValueError(f"OnlineProbe: {data.name} has no content target with classes to read")
        domain = next((spec for spec in specs if spec.role == "domain"), None)
        known = {} if domain is None else {"domain": domain.key, "num_domains": domain.size}
        fit, held_out = (_sample(data.eval_dataloader(split).dataset, images) for split in ("probe", "probe_val"))
        return cls(fit, held_out, num_classes=content.size, content=content.key, **known, **options)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Encode, probe, log."""
        if (trainer.current_epoch + 1) % self.every:
            return
        linear = LinearProbe(num_classes=self.num_classes, score="top1")
        leakage = DomainLeakage(num_domains=max(2, self.num_domains), score="normalized")
        metrics = [("online/linear", linear), ("online/leakage", leakage)][: 1 if self.domain is None else 2]
        for _, metric in metrics:
            metric.to(device_of(pl_module))
        with inference_mode(pl_module):
            for split, batches in self.batches.items():
                for number, batch in enumerate(batches):
                    if number % trainer.world_size != trainer.global_rank:
                        continue
                    features = self._features(pl_module, self._image(batch))
                    linear.update(features, self._labels(batch, self.content), split=split)
                    if self.domain is not None:
                        leakage.update(features, self._labels(batch, self.domain), split=split)
        for name, metric in metrics:
            try:
                pl_module.log(name, float(metric.compute()))  # type: ignore[arg-type]  # one score is one number
            except MetricUndefined as undefined:
                rank_zero_warn(f"{name} is not logged in epoch {trainer.current_epoch}: {undefined}")

    def _image(self, batch: Any) -> Tensor:
        image = batch["image"] if isinstance(batch, Mapping) else batch[0]
        if not isinstance(image, Tensor):
            raise TypeError(f"OnlineProbe: images are a tensor, in this batch {type(image).__name__}")
        return image

    def _labels(self, batch: Any, key: str) -> Tensor:
        if not isinstance(batch, Mapping):
            if self.domain is not None:
                raise TypeError(
                    "OnlineProbe: labels of content and domain are told apart in batches that are dicts only"
                )
            return batch[1]
        if key not in batch:
            raise KeyError(f"OnlineProbe: no labels {key!r} in a batch; there are {', '.join(map(str, batch))}")
        return batch[key]

    def _features(self, model: Any, image: Tensor) -> Tensor:
        image = image.to(device_of(model))
        spaces = model.embed(image) if hasattr(model, "embed") else model(image)
        return (spaces[self.space] if isinstance(spaces, Mapping) else spaces).float()


def _sample(dataset: Any, images: int) -> DataLoader:
    """At most so many images of a split, always the same ones, drawn without replacement."""
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))[:images].sort().values
    # Its own generator: looking at images must not move torch's global stream.
    return DataLoader(dataset, sampler=order.split(BATCH), batch_size=None, generator=torch.Generator())  # type: ignore[arg-type]
