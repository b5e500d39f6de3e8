"""BYOL: an online network predicts the code of another view by a target network, its own moving average."""

import math

from jsonargparse.typing import ClosedUnitInterval, PositiveInt
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp
from disentangle_bench.methods.networks.momentum import MomentumEncoder
from disentangle_bench.methods.objectives.contrastive import negative_cosine


class BYOL(Method):
    r"""Bootstrap your own latent: no negatives.

    ```
    image -> view 1 -> backbone -> projector -> predictor -> p1 \
                                                                 |p1 - z2|^2 of unit rows, and with the views swapped
    image -> view 2 -> target backbone -> target projector -> z2 /
             target weights = tau * target weights + (1 - tau) * weights; tau rises to 1 on a half cosine
    ```

    Deviations from the authors' code: one augmentation for both views unless `key_augmentation` is set (there: blur and
    solarisation differ); the target follows at the start of a step instead of at the end of the one before, which comes
    to the same.

    Args:
        tau: share of its weights that the target keeps in a step, at the start (the authors': 0.99 for 300 epochs of
            ImageNet or less, 0.996 for 1000).
        hidden_dim: width of the hidden layer of projector and predictor (the authors': 4096).
        projection_dim: width of z.
    """

    name = "byol"
    source = "Grill et al.: Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning (NeurIPS 2020)"
    # Section 3.3: projector and predictor are thrown away after training.
    primary_space = "features"
    search = Method.search | {"tau": (0.97, 0.99, 0.996)}

    def __init__(
        self,
        *,
        tau: ClosedUnitInterval = 0.99,
        hidden_dim: PositiveInt = 256,
        projection_dim: PositiveInt = 128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.tau = tau
        # A bias would have no gradient before the predictor's batch norm; the authors' stays at the 0 it starts from.
        self.projector = mlp(self.num_features, hidden_dim, projection_dim, last_bias=False)
        self.predictor = mlp(projection_dim, hidden_dim, projection_dim)
        self.target = MomentumEncoder(self.backbone, self.projector, self._count_forward)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Squared distance of prediction and target, in both directions (eq. 2)."""
        done = min(1.0, self.share_of_budget(self.global_step - 1))
        tau = 1 - (1 - self.tau) * (math.cos(math.pi * done) + 1) / 2
        self.target.follow(self.backbone, self.projector, tau)
        views = self.views(batch)
        p1, p2 = (self.predictor(self.projector(self.backbone(view))) for view in views)
        z1, z2 = (self.target(view) for view in views)
        loss = 4 + 2 * negative_cosine(p1, z2, gather=self.gather) + 2 * negative_cosine(p2, z1, gather=self.gather)
        self.log_dict({"loss": loss, "tau": tau})
        return loss

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `projection` [B, projection_dim]."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "projection": self.projector(features)}
