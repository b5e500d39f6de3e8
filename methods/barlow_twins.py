"""Barlow Twins: the cross-correlation matrix of two views' codes is made close to the identity."""

from jsonargparse.typing import NonNegativeFloat, PositiveInt
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp
from disentangle_bench.methods.objectives import contrastive


class BarlowTwins(Method):
    r"""Redundancy reduction (a self-supervised baseline without negatives).

    ```
    image -> view 1 -> backbone -> projector -> z1 \
                                                    correlation [D, D] of z1 and z2 -> identity
    image -> view 2 -> backbone -> projector -> z2 /
    ```

    Args:
        off_diagonal_weight: lambda of eq. 1, of the correlations between different dimensions.
        hidden_dim: width of the projector's two hidden layers.
        projection_dim: width of z.
    """

    name = "barlow_twins"
    source = "Zbontar et al.: Barlow Twins: Self-Supervised Learning via Redundancy Reduction (ICML 2021)"
    search = Method.search | {"off_diagonal_weight": (0.002, 0.0051, 0.02)}

    def __init__(
        self,
        *,
        off_diagonal_weight: NonNegativeFloat = 0.0051,
        hidden_dim: PositiveInt = 256,
        projection_dim: PositiveInt = 256,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.off_diagonal_weight = off_diagonal_weight
        self.projector = mlp(self.num_features, hidden_dim, hidden_dim, projection_dim, last_bias=False)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-correlation loss of two views (eq. 1)."""
        z1, z2 = (self.projector(self.backbone(view)) for view in self.views(batch))
        loss = contrastive.barlow_twins(z1, z2, self.off_diagonal_weight, gather=self.gather)
        self.log("loss", loss)
        return loss

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `projection` [B, projection_dim]."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "projection": self.projector(features)}
