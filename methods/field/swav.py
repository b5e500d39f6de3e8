"""SwAV: each view predicts the other's assignment to prototypes, which are constrained to be used equally."""

import torch
from jsonargparse.typing import ClosedUnitInterval, PositiveFloat, PositiveInt
from torch import Tensor, nn

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp, unit
from disentangle_bench.methods.objectives.inputs import matmul
from disentangle_bench.methods.objectives.prototypes import swapped_prediction


class SwAV(Method):
    r"""Swapping assignments between views: clustering online, within a batch.

    ```
    image -> view 1 -> backbone -> projector -> z1 -> cosines with prototypes -> softmax      -> p1 \
                                                                                                     H(q2, p1)
    image -> view 2 -> backbone -> projector -> z2 -> cosines with prototypes -> Sinkhorn-Knopp -> q2 /   and swapped
    ```

    Deviations from the authors' code: two views of one size (there: six small crops besides); no queue of old codes, so
    that a batch of all processes should hold a good part of `num_prototypes` images.

    Args:
        num_prototypes: K (the authors': 3000).
        temperature: tau of the predictions.
        epsilon: smoothness of the assignments.
        iterations: of Sinkhorn-Knopp.
        freeze: share of the budget in which the prototypes stay as they are (the authors': the first epoch).
        hidden_dim: width of the projector's hidden layer.
        projection_dim: width of z.
    """

    name = "swav"
    source = "Caron et al.: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (NeurIPS 2020)"
    primary_space = "features"
    search = Method.search | {"num_prototypes": (32, 64, 256), "epsilon": (0.03, 0.05)}

    def __init__(
        self,
        *,
        num_prototypes: PositiveInt = 64,
        temperature: PositiveFloat = 0.1,
        epsilon: PositiveFloat = 0.05,
        iterations: PositiveInt = 3,
        freeze: ClosedUnitInterval = 0.01,
        hidden_dim: PositiveInt = 256,
        projection_dim: PositiveInt = 128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.temperature, self.epsilon, self.iterations, self.frozen = temperature, epsilon, iterations, freeze
        self.projector = mlp(self.num_features, hidden_dim, projection_dim)
        self.prototypes = nn.Parameter(unit(torch.randn(num_prototypes, projection_dim)))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Swapped prediction of two views (eq. 2)."""
        with torch.no_grad():
            self.prototypes.copy_(unit(self.prototypes))
        prototypes: Tensor = self.prototypes
        if self.share_of_budget(self.global_step - 1) < self.frozen:
            prototypes = prototypes.detach() + 0.0 * prototypes  # a parameter without a gradient stops DDP
        z1, z2 = (unit(self.projector(self.backbone(view))) for view in self.views(batch))
        scores1, scores2 = matmul(z1, prototypes.T), matmul(z2, prototypes.T)
        options = (self.temperature, self.epsilon, self.iterations)
        loss = swapped_prediction(scores1, scores2, *options, gather=self.gather)
        self.log("loss", loss)
        return loss

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `projection` [B, projection_dim], unit rows."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "projection": unit(self.projector(features))}
