"""LooC: one space invariant to all augmentations, and for each kind of augmentation a space that keeps its effect."""

from typing import Literal

import torch
from jsonargparse.typing import ClosedUnitInterval, PositiveFloat, PositiveInt
from torch import Tensor, nn

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp, unit
from disentangle_bench.methods.networks.momentum import MomentumEncoder, enqueue, random_queue
from disentangle_bench.methods.objectives.inputs import prepare
from disentangle_bench.methods.objectives.looc import looc, looc_queue
from disentangle_bench.methods.views import check_shared, together, with_shared


class Heads(nn.Module):
    """S projectors, one for each space: features [B, d] to codes [B, S, k]."""

    def __init__(self, count: int, *widths: int):
        super().__init__()
        self.heads = nn.ModuleList(mlp(*widths) for _ in range(count))

    def forward(self, features: Tensor) -> Tensor:
        return torch.stack([head(features) for head in self.heads], 1)


class LooC(Method):
    """Leave-one-out contrastive learning, with M kinds of augmentation (here M = 2).

    ```
    image -> query                                   -> backbone -> head 0 | head 1 | head 2
    image -> key 0, all parameters drawn anew        -> ...         pulled | pushed | pushed
    image -> key 1, group 1 as the query, rest anew  -> ...         pulled | pulled | pushed    other images: pushed
    image -> key 2, group 2 as the query, rest anew  -> ...         pulled | pushed | pulled
    ```

    Other methods' `features` compare with LooC; its `joint` space, all heads' codes side by side, is LooC++.

    There is no code of the authors. `batch` is the form in which the style-blocks paper compared itself with it, with
    what is wrong in that code corrected (see the objective); `queue` the paper's formula, with a momentum encoder and
    the latest codes of key 0 as negatives. Deviation from that comparison: a head for each space, as in the paper
    (there: slices of one projector's output).

    Args:
        form: of the loss.
        groups: kind of augmentation -> the drawn parameters that its key shares with the query: a whole group of the
            augmentation (`appearance`, `spatial`) or single parameters (`hue`, `angle`, ...).
        temperature: tau of the loss.
        key_momentum: of the queue form: share of its weights that the key encoder keeps in a step.
        queue_size: of the queue form: stored codes.
        hidden_dim: width of each head's hidden layer.
        projection_dim: width of each head's code.
    """

    name = "looc"
    source = "Xiao et al.: What Should Not Be Contrastive in Contrastive Learning (ICLR 2021)"
    # LooC hands on the backbone's output; the space that ignores all augmentations is head 0's.
    primary_space = "features"
    invariant_space = "invariant"
    search = Method.search | {"temperature": (0.1, 0.2, 0.5)}
    queue: Tensor

    def __init__(
        self,
        *,
        form: Literal["batch", "queue"] = "batch",
        groups: dict[str, list[str]] | None = None,
        temperature: PositiveFloat = 0.15,
        key_momentum: ClosedUnitInterval = 0.99,
        queue_size: PositiveInt = 1024,
        hidden_dim: PositiveInt = 256,
        projection_dim: PositiveInt = 64,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.form, self.temperature, self.key_momentum = form, temperature, key_momentum
        self.groups = groups or {"appearance": ["appearance"], "spatial": ["spatial"]}
        check_shared(self.groups)
        spaces = len(self.groups) + 1
        self.blocks = [slice(s * projection_dim, (s + 1) * projection_dim) for s in range(spaces)]
        self.heads = Heads(spaces, self.num_features, hidden_dim, projection_dim)
        if form == "queue":
            self.keys = MomentumEncoder(self.backbone, self.heads, self._count_forward)
            self.register_buffer("queue", random_queue(queue_size, spaces, projection_dim))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of M + 2 views in M + 1 spaces (section 3.2)."""
        image, groups = batch["image"], self.groups.values()
        query, first, *keys = (self.draw_view(len(image), key=number > 0) for number in range(len(self.groups) + 2))
        keys = [with_shared(key, query, shared) for key, shared in zip(keys, groups, strict=True)]
        views = self.apply_views(image, together([query, first, *keys]))
        if self.form == "batch":
            codes = [self.heads(self.backbone(view)).flatten(1) for view in views]
            found = looc(codes, self.blocks, temperature=self.temperature, gather=self.gather)
            for name, value in zip(("all", *self.groups), found.constraints(len(views), self.temperature), strict=True):
                self.log(f"misalignment/{name}", value)
            loss = found.loss
        else:
            loss = self.queue_loss(views)
        self.log("loss", loss)
        return loss

    def queue_loss(self, views: list[Tensor]) -> Tensor:
        """Loss of the queue form: the first view's codes against keys of the other views and stored codes.

        Afterwards the codes of key 0 join the queue.
        """
        self.keys.follow(self.backbone, self.heads, self.key_momentum)
        query, keys = self.codes(self.backbone(views[0])), [_units(self.keys(view)) for view in views[1:]]
        loss = looc_queue(query, torch.stack(keys, 1), self.queue.clone(), self.temperature)
        enqueue(self.queue, prepare(keys[0], gather=self.gather))
        return loss

    def codes(self, features: Tensor) -> Tensor:
        """Codes [B, S, projection_dim] of features [B, d], unit rows in each space."""
        return _units(self.heads(features))

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d], `invariant` and `keeps/<group>` [B, projection_dim], and both joined, `joint`."""
        features = self.backbone(self.prepare(image))
        codes = self.codes(features)
        spaces = dict(zip(("invariant", *(f"keeps/{name}" for name in self.groups)), codes.unbind(1), strict=True))
        return {"features": features, **spaces, "joint": codes.flatten(1)}


def _units(codes: Tensor) -> Tensor:
    """Codes [B, S, k] with unit rows in each space."""
    return unit(codes.flatten(0, 1)).view(codes.shape)
