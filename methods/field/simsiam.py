"""SimSiam: predict the other view's code behind a stop-gradient, without negatives or a momentum encoder."""

from jsonargparse.typing import PositiveInt
from torch import Tensor, nn
from torch.nn.functional import normalize

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp
from disentangle_bench.methods.objectives.contrastive import negative_cosine


class SimSiam(Method):
    r"""Siamese networks without negatives, and without a second network.

    ```
    image -> view 1 -> backbone -> projector -> z1 -> predictor -> p1 \
                                                                       -cos(p1, z2)/2, and with the views swapped
    image -> view 2 -> backbone -> projector -> z2, a constant        /
    ```

    Deviation from the authors' code: the predictor follows the same schedule as everything else (there, in the ImageNet
    runs, its learning rate stays).

    Args:
        hidden_dim: width of the projector's two hidden layers and of z (the authors': 2048).
        predictor_dim: width of the predictor's hidden layer (the authors': a quarter of z's).
    """

    name = "simsiam"
    source = "Chen & He: Exploring Simple Siamese Representation Learning (CVPR 2021)"
    primary_space = "features"
    search = Method.search | {"predictor_dim": (32, 64, 128)}

    def __init__(self, *, hidden_dim: PositiveInt = 256, predictor_dim: PositiveInt = 64, **kwargs):
        super().__init__(**kwargs)
        widths = (self.num_features, hidden_dim, hidden_dim, hidden_dim)
        self.projector = nn.Sequential(*mlp(*widths, last_bias=False), nn.BatchNorm1d(hidden_dim, affine=False))
        self.predictor = mlp(hidden_dim, predictor_dim, hidden_dim)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Symmetrised negative cosine (eq. 2, 4); `spread` near 0 instead of sqrt(1/d) shows collapse (section 4.1)."""
        z1, z2 = (self.projector(self.backbone(view)) for view in self.views(batch))
        p1, p2 = self.predictor(z1), self.predictor(z2)
        loss = (negative_cosine(p1, z2, gather=self.gather) + negative_cosine(p2, z1, gather=self.gather)) / 2
        self.log_dict({"loss": loss, "spread": normalize(z1.detach().float(), dim=1).std(0).mean()})
        return loss

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `projection` [B, hidden_dim]."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "projection": self.projector(features)}
