"""Style blocks: a code with one content block and, for each group of augmentations, a block that keeps that style."""

import math
from typing import Literal

import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp, unit
from disentangle_bench.methods.objectives.style_blocks import block_slices, style_info_nce, style_vicreg, update_weights
from disentangle_bench.methods.views import Params, check_shared, together, with_shared


class StyleBlocks(Method):
    """Self-supervised disentanglement by structured views, with M groups of transforms (here M = 2).

    ```
    image -> query                                   -> backbone, projector -> [content | style 1 | style 2]
    image -> key 0, all parameters drawn anew        -> backbone, projector -> [content |    .    |    .   ] aligned
    image -> key 1, group 1 as the query, rest anew  -> backbone, projector -> [   .    | style 1 |    .   ] aligned
    image -> key 2, group 2 as the query, rest anew  -> backbone, projector -> [   .    |    .    | style 2] aligned

    loss = sum_m weight_m * alignment_m / (M + 1) + entropy of the joint code
    ```

    Deviations from the authors' code: `trim` leaves out the worst-aligned samples of each block (there, the VICReg form
    loses the batch's last rows, and few samples give NaN); all processes update the weights with the same, pooled
    figures; only complete sets of views (no interleaved mode); no classifier learns along.

    Args:
        form: of the loss: decoupled InfoNCE on unit blocks, or VICReg.
        groups: style block -> the drawn parameters that its key shares with the query: a whole group of the
            augmentation (`appearance`, `spatial`) or single parameters (`hue`, `angle`, ...).
        fractions: share of the code of the content block and of each style block; None: half of it is content.
        temperature: tau of the simclr form.
        weight: lambda, of each alignment term; None: 1 for the simclr form, 25 for vicreg.
        weights_lr: step of the dual ascent that adapts each block's weight (0: weights stay as they are).
        weights_warmup: share of the budget before the weights move; their step then falls to 0 on a half cosine.
        tolerance: misalignment at which a weight stops to grow.
        all_keys_for_content: align the query's content with that of all keys.
        content_negatives: entropy of the content block, too; without it content may collapse, since style tells images
            apart (the authors' default: off).
        trim: share of the worst-aligned samples that is left out, per block.
        variance: weight of VICReg's spread term.
        covariance: weight of VICReg's correlation term.
        separate_style: a projector of their own for the style blocks.
        hidden_dim: width of the projector's hidden layers.
        hidden_layers: how many.
        last_bias: whether the projector's last layer has a bias (the authors': not).
        projection_dim: width of the joint code.
    """

    name = "style_blocks"
    source = "Eastwood et al.: Self-Supervised Disentanglement by Leveraging Structure in Data Augmentations (2023)"
    # Downstream the paper uses the backbone's output (its ImageNet top-1); what it claims to be free of style is the
    # content block alone, since every style block is there to keep some.
    primary_space = "features"
    invariant_space = "content"
    search = Method.search | {"temperature": (0.1, 0.2, 0.5), "weights_lr": (0.0, 0.05)}
    weights: Tensor

    def __init__(
        self,
        *,
        form: Literal["simclr", "vicreg"] = "simclr",
        groups: dict[str, list[str]] | None = None,
        fractions: list[float] | None = None,
        temperature: PositiveFloat = 0.1,
        weight: PositiveFloat | None = None,
        weights_lr: NonNegativeFloat = 0.05,
        weights_warmup: ClosedUnitInterval = 0.1,
        tolerance: NonNegativeFloat = 0.001,
        all_keys_for_content: bool = False,
        content_negatives: bool = True,
        trim: ClosedUnitInterval = 0.0,
        variance: NonNegativeFloat = 25.0,
        covariance: NonNegativeFloat = 1.0,
        separate_style: bool = False,
        hidden_dim: PositiveInt = 256,
        hidden_layers: PositiveInt = 1,
        last_bias: bool = True,
        projection_dim: PositiveInt = 64,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if trim == 1:
            raise ValueError("trim is 1, which leaves no sample of a block: it must be below 1")
        self.form, self.temperature, self.variance, self.covariance = form, temperature, variance, covariance
        self.weights_lr, self.weights_warmup, self.tolerance = weights_lr, weights_warmup, tolerance
        self.options = {
            "all_keys_for_content": all_keys_for_content,
            "content_negatives": content_negatives,
            "trim": trim,
        }
        self.groups = groups or {"appearance": ["appearance"], "spatial": ["spatial"]}
        check_shared(self.groups)
        count = len(self.groups)
        self.fractions = fractions or [0.5, *[0.5 / count] * count]
        if len(self.fractions) != count + 1:
            raise ValueError(f"fractions: {count + 1} blocks (content, {', '.join(self.groups)}), got {self.fractions}")
        self.blocks = block_slices(projection_dim, self.fractions)
        content_dim = self.blocks[0].stop if separate_style else projection_dim
        widths = [self.num_features, *[hidden_dim] * hidden_layers]
        self.projector = mlp(*widths, content_dim, last_bias=last_bias)
        self.style_projector = (
            mlp(*widths, projection_dim - content_dim, last_bias=last_bias) if separate_style else None
        )
        initial = weight if weight is not None else {"simclr": 1.0, "vicreg": 25.0}[form]
        self.register_buffer("weights", torch.full((count + 1,), initial))

    def draw_structured_views(self, batch_size: int) -> tuple[Params, list[Params]]:
        """Parameters of the query, and of key 0 .. M: key m has the query's for the m-th group, all others anew.

        Keys may be drawn from another augmentation; what is shared is the query's all the same.
        """
        query, first, *keys = (self.draw_view(batch_size, key=number > 0) for number in range(len(self.groups) + 2))
        groups = self.groups.values()
        return query, [first, *(with_shared(key, query, shared) for key, shared in zip(keys, groups, strict=True))]

    def project(self, features: Tensor) -> Tensor:
        """Joint code z [B, D]; its blocks are `self.blocks`."""
        z = self.projector(features)
        return z if self.style_projector is None else torch.cat([z, self.style_projector(features)], 1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Weighted alignment of each block plus the entropy of all of them (sections 3.2 and 3.3)."""
        image = batch["image"]
        query, keys = self.draw_structured_views(len(image))
        zq, *zk = (self.project(self.backbone(view)) for view in self.apply_views(image, together([query, *keys])))
        weights = self.weights.clone()  # backward needs them as they are now
        if self.form == "simclr":
            parts = style_info_nce(
                zq, zk, self.blocks, weights=weights, temperature=self.temperature, gather=self.gather, **self.options
            )
            misalignment = parts.alignment.detach() * self.temperature + 1
        else:
            spread = {"variance": self.variance, "covariance": self.covariance}
            parts = style_vicreg(zq, zk, self.blocks, weights=weights, gather=self.gather, **spread, **self.options)
            misalignment = parts.alignment.detach()
        self.adapt_weights(misalignment)
        self.log("loss", parts.loss)
        self.log("loss/entropy", parts.entropy)
        for name, value, weight in zip(("content", *self.groups), misalignment, self.weights, strict=True):
            self.log_dict({f"misalignment/{name}": value, f"weight/{name}": weight})
        return parts.loss

    def adapt_weights(self, misalignment: Tensor) -> None:
        """Dual ascent (section 3.3), in effect from the next step on."""
        done = self.share_of_budget(self.global_step - 1) if self.weights_lr else 0.0
        if self.weights_lr and done >= self.weights_warmup:
            share = (done - self.weights_warmup) / max(1 - self.weights_warmup, 1e-9)
            lr = self.weights_lr * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
            self.weights.copy_(update_weights(self.weights, misalignment, lr, self.tolerance))

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d], `content`, `style/<group>` (blocks of z, unit rows in the simclr form), `joint`."""
        features = self.backbone(self.prepare(image))
        blocks = [self.project(features)[:, block] for block in self.blocks]
        if self.form == "simclr":
            blocks = [unit(block) for block in blocks]
        styles = {f"style/{name}": block for name, block in zip(self.groups, blocks[1:], strict=True)}
        return {"features": features, "content": blocks[0], **styles, "joint": torch.cat(blocks, 1)}
