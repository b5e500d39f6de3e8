"""SimCLR: two views of an image are closer to each other than to any other image."""

from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp, unit
from disentangle_bench.methods.objectives.contrastive import info_nce


class SimCLR(Method):
    r"""Contrastive learning of representations (the self-supervised baseline).

    ```
    image -> view 1 -> backbone -> projector -> z1 \
                                                    InfoNCE(z1, z2)
    image -> view 2 -> backbone -> projector -> z2 /
    ```

    Args:
        temperature: tau of the loss.
        hidden_dim: width of the projector's hidden layers.
        hidden_layers: how many.
        projection_dim: width of z.
    """

    name = "simclr"
    source = "Chen et al.: A Simple Framework for Contrastive Learning of Visual Representations (ICML 2020)"
    # Representations are evaluated before the projector, which costs accuracy (section 4.2).
    primary_space = "features"
    search = Method.search | {"temperature": (0.1, 0.2, 0.5)}

    def __init__(
        self,
        *,
        temperature: PositiveFloat = 0.2,
        hidden_dim: PositiveInt = 256,
        hidden_layers: PositiveInt = 1,
        projection_dim: PositiveInt = 128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.temperature = temperature
        self.projector = mlp(self.num_features, *[hidden_dim] * hidden_layers, projection_dim)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """InfoNCE of two views (eq. 1)."""
        z1, z2 = (unit(self.projector(self.backbone(view))) for view in self.views(batch))
        loss = info_nce(z1, z2, self.temperature, gather=self.gather)
        self.log("loss", loss)
        return loss

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `projection` [B, projection_dim], unit rows."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "projection": unit(self.projector(features))}
