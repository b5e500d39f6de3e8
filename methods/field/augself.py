"""AugSelf: besides the contrastive loss, heads predict from the features how the two views' augmentations differ."""

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor, nn

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp, unit
from disentangle_bench.methods.objectives import augself
from disentangle_bench.methods.objectives.contrastive import info_nce
from disentangle_bench.methods.views import Params, on_device, together

TASKS = ("crop", "color", "flip", "blur", "sol")


class AugSelf(Method):
    r"""Augmentation-aware self-supervised learning, on top of SimCLR.

    ```
    image -> view 1 -> backbone -> y1 -> projector -> z1 \
                                                          InfoNCE(z1, z2)
    image -> view 2 -> backbone -> y2 -> projector -> z2 /
                      [y1, y2] and [y2, y1] -> a head for each task -> difference of the views' drawn parameters
    ```

    Deviations from the authors' code: each crop's centre is mirrored by its own view's flip (there: both by the first
    view's, so that the target is wrong wherever the flips differ; the published figures were presumably made so).

    Args:
        tasks: what is predicted -> weight of its loss, of crop, color, flip, blur and sol (solarisation); None: crop
            and color with weight 1 (the authors' for STL-10; 0.5 for ImageNet-100).
        predictor_dim: width of the two hidden layers of each task's head (the authors': 512).
        temperature: tau of the contrastive loss.
        hidden_dim: width of the projector's hidden layer.
        projection_dim: width of z.
    """

    name = "augself"
    source = "Lee et al.: Improving Transferability of Representations via Augmentation-Aware Self-Supervision (2021)"
    # The paper hands on the backbone's output, which the tasks' heads read.
    primary_space = "features"
    search = Method.search | {"temperature": (0.1, 0.2, 0.5), "tasks": (None, {"crop": 0.5, "color": 0.5})}

    def __init__(
        self,
        *,
        tasks: dict[str, PositiveFloat] | None = None,
        predictor_dim: PositiveInt = 256,
        temperature: PositiveFloat = 0.2,
        hidden_dim: PositiveInt = 256,
        projection_dim: PositiveInt = 128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.tasks = tasks or {"crop": 1.0, "color": 1.0}
        if unknown := self.tasks.keys() - set(TASKS):
            raise ValueError(f"tasks: nothing to predict called {sorted(unknown)}; there are {', '.join(TASKS)}")
        self.temperature = temperature
        self.projector = mlp(self.num_features, hidden_dim, projection_dim)
        widths = (2 * self.num_features, predictor_dim, predictor_dim)
        self.predictors = nn.ModuleDict({task: mlp(*widths, augself.OUTPUTS[task]) for task in self.tasks})

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """InfoNCE plus the weighted losses of the predictions (eq. 3, 4)."""
        image = batch["image"]
        drawn = on_device(together([self.draw_view(len(image), key=key) for key in (False, True)]), image.device)
        y1, y2 = (self.backbone(view) for view in self.apply_views(image, drawn))
        z1, z2 = (unit(self.projector(y)) for y in (y1, y2))
        loss = info_nce(z1, z2, self.temperature, gather=self.gather)
        self.log("loss/contrastive", loss)
        pairs = torch.cat([torch.cat([y1, y2], 1), torch.cat([y2, y1], 1)])
        described = self.describe(drawn)
        for task, weight in self.tasks.items():
            target = augself.difference(task, described[task], described[task].roll(len(image), 0))
            missed = augself.prediction_loss(task, self.predictors[task](pairs), target)
            self.log(f"loss/{task}", missed)
            loss = loss + weight * missed
        self.log("loss", loss)
        return loss

    def describe(self, params: Params) -> dict[str, Tensor]:
        """Task -> description [n, outputs] of how n views were augmented, from their drawn parameters, [n] each."""
        spatial, appearance = params["spatial"], params["appearance"]
        ratio = spatial["log_ratio"].exp()
        height, width = (spatial["area"] / ratio).sqrt().clamp(max=1), (spatial["area"] * ratio).sqrt().clamp(max=1)
        top, left = spatial["y"] * (1 - height), spatial["x"] * (1 - width)
        factors = torch.stack([appearance[name] - 1 for name in ("brightness", "contrast", "saturation")], 1)
        ranges = [
            2 * max(own, key) for own, key in zip(self.augmentation.jitter, self.key_augmentation.jitter, strict=True)
        ]
        if self.image_shape[0] == 1:  # which have neither saturation nor hue
            ranges[2:] = [0.0, 0.0]
        changes = torch.cat([factors, appearance["hue"][:, None]], 1)
        return {
            "crop": augself.crop(torch.stack([top, left, height, width], 1), spatial["flip"]),
            "color": augself.color(changes, appearance["jitter"], ranges),
            "flip": spatial["flip"][:, None],
            "blur": torch.where(appearance["blur"], appearance["sigma"], 0.0)[:, None],
            "sol": torch.where(appearance["solarize"], 0.5, 1.0)[:, None],
        }

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `projection` [B, projection_dim], unit rows."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "projection": unit(self.projector(features))}
