"""Supervised cross-entropy: the ceiling of every table."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.objectives.inputs import prepare

NO_LABEL = -1


class Supervised(Method):
    """The same encoder on the same views, trained on the labels of the first content target with classes.

    ```
    image -> view -> backbone -> linear -> cross-entropy with the class
    ```

    Images without a label (a negative class, as STL-10's unlabelled ones) are no part of the mean; a batch in which
    none has one teaches nothing.
    """

    name = "supervised"
    source = "the usual cross-entropy on the data set's first content target"
    uses_targets = frozenset({"content"})
    labelled: Tensor

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        spec = self.class_target("content")
        self.target = f"target/{spec['name']}"
        self.classifier = nn.Linear(self.num_features, spec["size"])
        self.register_buffer("labelled", torch.tensor(0), persistent=False)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy of one augmented view."""
        (view,) = self.views(batch, 1)
        target = batch[self.target].clamp(min=NO_LABEL)
        losses = cross_entropy(self.classifier(self.backbone(view)), target, ignore_index=NO_LABEL, reduction="sum")
        (labelled,) = prepare((target != NO_LABEL).sum()[None], gather=self.gather)
        self.labelled += labelled.sum()
        loss = self.world_size * losses / labelled.sum().clamp(min=1)  # the mean over processes is the whole batch's
        self.log("loss", loss)
        return loss

    def on_train_epoch_end(self) -> None:
        """Refuse an epoch from which nothing could be learnt."""
        if not self.labelled:
            raise RuntimeError(
                f"supervised: no image of epoch {self.current_epoch} has a label ({self.target}), nothing is learnt: "
                "train on labelled images"
            )
        self.labelled.zero_()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add how many labelled images the epoch has had so far."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["labelled"] = int(self.labelled)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the count: the rest of the epoch may have no labelled image."""
        super().on_load_checkpoint(checkpoint)
        self.labelled.fill_(checkpoint.get("labelled", 0))  # checkpoints had no count once: as an epoch's start then
