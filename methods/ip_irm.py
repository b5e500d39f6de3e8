"""IP-IRM: find partitions of the images across which the contrastive loss varies; learn features invariant to them."""

import math
from typing import Any

import torch
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Generator, Tensor
from tqdm import tqdm

from disentangle_bench.methods.base import Batch, Method, stream_seed
from disentangle_bench.methods.networks.heads import mlp, unit
from disentangle_bench.methods.objectives.contrastive import info_nce
from disentangle_bench.methods.objectives.gather import from_first
from disentangle_bench.methods.objectives.ip_irm import invariant_loss, learn_partition
from disentangle_bench.methods.objectives.mixup import mixed_loss
from disentangle_bench.methods.views import together

ONLINE: dict[str, Any] = {"lr": 0.1, "milestones": (5, 25), "min_epochs": 25}
"""Adam's settings in the maximisation step with fresh views in every epoch (the authors' online form)."""


class IPIRM(Method):
    """Iterative partition-based invariant risk minimisation.

    ```
    every `partition_every` epochs (maximisation: logits of the partition learn, the encoder does not):
      all images -> two views -> backbone, projector -> z1, z2 -> risk(partition) -> keep the partition

    every batch (minimisation: the encoder learns, the partitions do not):
      image -> two views -> backbone, projector -> z1, z2 -> InfoNCE(batch) + for each subset of each kept partition:
                                                             InfoNCE(subset) + penalty_weight * penalty(subset)
    ```

    Deviations from the authors' code: a subset without an image in the batch is left out of the means (there: an
    error); with `mixup`, the maximisation step mixes nothing (there it does in its online form), and more, see
    `methods.objectives.mixup`.

    Args:
        num_subsets: K, subsets of a partition.
        partition_every: epochs between two maximisation steps; the first one is before any training. 0: there are none,
            and the loss is that of the whole batch (SimCLR, or with `mixup` the authors' MixUp baseline).
        retain: partitions that are kept, the last ones; None: all that were found so far.
        sum_partitions: with `mixup`, add the losses of the kept partitions up (as the authors' MixUp code) rather than
            average them (as their other one).
        penalty_weight: lambda_1, of the penalty in the minimisation step (eq. 5).
        irm_weight: lambda_2, of the penalty in the maximisation step (eq. 6).
        temperature: tau of the contrastive terms of both steps.
        irm_temperature: tau of the penalties.
        keep_global: add the contrastive loss of the whole batch.
        mixup: mix each anchor with another image of its subset (the authors' second table; there with temperature 0.2,
            which the minimisation step's penalty has too then).
        partition_online: encode fresh views for every epoch of the maximisation step, which then goes as the authors'
            online one (rate 0.1, a fifth after epochs 5 and 25, at least 26 epochs) rather than as the offline one.
        partition_batch_size: images in a mini-batch of the maximisation step.
        partition_epochs: at most so many epochs of the maximisation step; 0: a random partition, which a learnt one
            should beat.
        hidden_dim: width of the projector's hidden layer.
        projection_dim: width of z.
    """

    name = "ip_irm"
    source = "Wang et al.: Self-Supervised Learning Disentangled Group Representation as Feature (NeurIPS 2021)"
    # The authors' kNN and linear probes read the backbone's output h (main.py:194-237, linear.py:18-31); which output
    # their disentanglement scores read is not published.
    primary_space = "features"
    search = Method.search | {"temperature": (0.1, 0.2, 0.5), "penalty_weight": (0.1, 0.2, 0.5)}

    def __init__(
        self,
        *,
        num_subsets: PositiveInt = 2,
        partition_every: NonNegativeInt = 10,
        retain: PositiveInt | None = None,
        sum_partitions: bool = False,
        penalty_weight: NonNegativeFloat = 0.2,
        irm_weight: NonNegativeFloat = 0.5,
        temperature: PositiveFloat = 0.5,
        irm_temperature: PositiveFloat = 0.5,
        keep_global: bool = True,
        mixup: bool = False,
        partition_online: bool = False,
        partition_batch_size: PositiveInt = 512,
        partition_epochs: NonNegativeInt = 61,
        hidden_dim: PositiveInt = 256,
        projection_dim: PositiveInt = 128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_subsets, self.partition_every, self.retain, self.mixup = num_subsets, partition_every, retain, mixup
        self.penalty_weight, self.irm_weight, self.keep_global = penalty_weight, irm_weight, keep_global
        self.shared = {"num_subsets": num_subsets, "temperature": temperature, "irm_temperature": irm_temperature}
        """Arguments of both steps."""
        if sum_partitions and not mixup:
            raise ValueError("sum_partitions goes with mixup: without it the authors' code averages")
        self.sum_partitions, self.partition_online = sum_partitions, partition_online
        self.partition_batch_size, self.partition_epochs = partition_batch_size, partition_epochs
        self.projector = mlp(self.num_features, hidden_dim, projection_dim)
        self.partitions: list[Tensor] = []
        """Logits [N, K] over the training split, one a kept partition, on the processor; argmax is the subset."""
        self.partitioned_epoch = -1
        self.mixup_generator = Generator().manual_seed(stream_seed(self.seed, "mixup"))

    def project(self, view: Tensor) -> Tensor:
        """Codes z [B, projection_dim] of normalised views, unit rows."""
        return unit(self.projector(self.backbone(view)))

    # ---- maximisation step ----

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Before the first batch of an epoch whose turn it is: find one more partition.

        Here and not in `on_train_epoch_start`, which Lightning leaves out after some checkpoints.
        """
        super().on_train_batch_start(batch, batch_idx)
        epoch = self.current_epoch
        if self.partition_every and epoch % self.partition_every == 0 and epoch != self.partitioned_epoch:
            logits, risk = self.find_partition()
            self.partitions = [*self.partitions, logits][-(self.retain or 0) :]
            self.partitioned_epoch = epoch
            sizes = logits.argmax(1).bincount(minlength=self.num_subsets)
            if not math.isnan(risk):
                self.log("partition/risk", risk)
            self.log_dict({f"partition/size_{k}": float(size) for k, size in enumerate(sizes)})

    def find_partition(self) -> tuple[Tensor, float]:
        """Maximisation step: logits [N, K] of the partition of lowest risk for the current encoder, and that risk.

        With `partition_epochs` 0 the logits are random and the risk is NaN.
        """
        stream = f"partition/{self.current_epoch}"
        generator = Generator().manual_seed(stream_seed(self.seed, stream))
        if not self.partition_epochs:
            return torch.randn(self.described("num_train"), self.num_subsets, generator=generator), math.nan

        def encoded(stream: str) -> tuple[Tensor, Tensor]:
            z1, z2 = self.encode_training_split(self._two_codes, stream).chunk(2, 1)
            return z1, z2

        def progress(epoch: int, risk: float) -> None:
            risks.append(risk)
            bar.set_postfix(risk=f"{risk:.3f}", refresh=False)
            bar.update()

        risks: list[float] = []
        z1, z2 = encoded(stream)
        online: dict[str, Any] = (
            {"redraw": lambda epoch: encoded(f"{stream}/{epoch}")} | ONLINE if self.partition_online else {}
        )
        shown = self.trainer.is_global_zero and self.trainer.progress_bar_callback is not None
        with tqdm(total=self.partition_epochs, desc=stream, leave=False, disable=not shown) as bar:
            logits = learn_partition(
                z1,
                z2,
                irm_weight=self.irm_weight,
                batch_size=self.partition_batch_size,
                max_epochs=self.partition_epochs,
                generator=generator,
                progress=progress,
                **online,
                **self.shared,
            )
        return from_first(logits).cpu(), min(risks)  # alike but for rounding, where devices differ

    def _two_codes(self, image: Tensor, generator: Generator) -> Tensor:
        strengths = (self.augmentation, self.key_augmentation)
        drawn = [strength.draw(len(image), generator, self.data["mirror_symmetric"]) for strength in strengths]
        return torch.cat([self.project(view) for view in self.apply_views(image, together(drawn))], 1)

    # ---- minimisation step ----

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """InfoNCE + penalty_weight * penalty, the means over the subsets of the kept partitions (eq. 5)."""
        assignments = [logits[self.positions(batch)].argmax(1) for logits in self.partitions]
        view1, view2 = self.views(batch)
        if self.mixup:
            loss = self.mixup_loss(view1, view2, assignments)
        else:
            z1, z2 = self.project(view1), self.project(view2)
            if self.partition_every:
                loss = invariant_loss(
                    z1,
                    z2,
                    assignments,
                    penalty_weight=self.penalty_weight,
                    keep_global=self.keep_global,
                    gather=self.gather,
                    **self.shared,
                )
            else:  # SimCLR
                loss = info_nce(z1, z2, self.shared["temperature"], gather=self.gather)
        self.log("loss", loss)
        return loss

    def mixup_loss(self, view1: Tensor, view2: Tensor, assignments: list[Tensor]) -> Tensor:
        """Loss of the MixUp variant, whose anchors are mixed with another image of their subset (table 2).

        `temperature` is that of the contrastive terms and of the penalty.
        """
        return mixed_loss(
            self.project,
            view1,
            view2,
            assignments,
            num_subsets=self.shared["num_subsets"],
            temperature=self.shared["temperature"],
            irm_temperature=self.shared["temperature"],
            penalty_weight=self.penalty_weight,
            keep_global=self.keep_global,
            sum_partitions=self.sum_partitions,
            generator=self.mixup_generator,
            rank=self.global_rank,
            gather=self.gather,
        )

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `projection` [B, projection_dim], unit rows."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "projection": unit(self.projector(features))}

    # ---- checkpoint ----

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the kept partitions, the epoch of the last one, and MixUp's stream."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["partitions"] = self.partitions
        checkpoint["partitioned_epoch"] = self.partitioned_epoch
        checkpoint["mixup_generator"] = self.mixup_generator.get_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue with the partitions of the checkpoint, however many there are."""
        super().on_load_checkpoint(checkpoint)
        self.partitions, self.partitioned_epoch = list(checkpoint["partitions"]), checkpoint["partitioned_epoch"]
        self.mixup_generator.set_state(checkpoint["mixup_generator"])
