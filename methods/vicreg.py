"""VICReg: two views of an image get the same code, whose dimensions keep their variance and are uncorrelated."""

from jsonargparse.typing import NonNegativeFloat, PositiveInt
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp
from disentangle_bench.methods.objectives import contrastive


class VICReg(Method):
    r"""Variance-invariance-covariance regularisation (a self-supervised baseline without negatives).

    ```
    image -> view 1 -> backbone -> projector -> z1 \
                                                    distance(z1, z2) + spread and correlation of z1, of z2
    image -> view 2 -> backbone -> projector -> z2 /
    ```

    Deviation: the covariance term is averaged over the two views (the authors' code adds them up).

    Args:
        invariance: weight of the views' mean squared distance (eq. 5).
        variance: weight of the hinge that keeps each dimension's deviation above 1 (eq. 1).
        covariance: weight of the off-diagonal covariances, squared (eq. 4).
        hidden_dim: width of the projector's two hidden layers.
        projection_dim: width of z.
    """

    name = "vicreg"
    source = "Bardes et al.: VICReg: Variance-Invariance-Covariance Regularization (ICLR 2022)"
    search = Method.search | {"invariance": (10.0, 25.0, 50.0), "covariance": (0.5, 1.0, 2.0)}

    def __init__(
        self,
        *,
        invariance: NonNegativeFloat = 25.0,
        variance: NonNegativeFloat = 25.0,
        covariance: NonNegativeFloat = 1.0,
        hidden_dim: PositiveInt = 256,
        projection_dim: PositiveInt = 256,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.invariance, self.variance, self.covariance = invariance, variance, covariance
        self.projector = mlp(self.num_features, hidden_dim, hidden_dim, projection_dim, last_bias=False)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The three terms of two views (eq. 6)."""
        z1, z2 = (self.projector(self.backbone(view)) for view in self.views(batch))
        loss = contrastive.vicreg(z1, z2, self.invariance, self.variance, self.covariance, gather=self.gather)
        self.log("loss", loss)
        return loss

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `projection` [B, projection_dim]."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "projection": self.projector(features)}
