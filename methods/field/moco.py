"""MoCo v2: keys of a momentum encoder, and a queue of earlier keys as negatives."""

from jsonargparse.typing import ClosedUnitInterval, PositiveFloat, PositiveInt
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp, unit
from disentangle_bench.methods.networks.momentum import MomentumEncoder, enqueue, random_queue
from disentangle_bench.methods.objectives.contrastive import momentum_info_nce
from disentangle_bench.methods.objectives.inputs import prepare


class MoCo(Method):
    r"""Momentum contrast, version 2: the number of negatives is independent of the batch size.

    ```
    image -> view 1 -> backbone -> projector -> q \
                                                   InfoNCE(q, k; queue), then k joins the queue
    image -> view 2 -> key backbone -> projector -> k /
             key weights = key_momentum * key weights + (1 - key_momentum) * weights
    ```

    Deviation from the authors' code: batch norm uses the batch of all processes, as everywhere here (there: each
    process its own, with images shuffled between them, so that statistics don't give the key away).

    Args:
        temperature: tau of the loss.
        key_momentum: share of its weights that the key encoder keeps in a step (the authors': 0.999, over 200 epochs of
            ImageNet; what is trained in fewer steps than 1 / (1 - key_momentum) keeps its random keys).
        queue_size: K (the authors': 65536); beyond a few times the training images it holds many keys of each.
        hidden_dim: width of the projector's hidden layer.
        projection_dim: width of q and k.
    """

    name = "moco"
    source = "Chen et al.: Improved Baselines with Momentum Contrastive Learning (2020)"
    primary_space = "features"
    search = Method.search | {"temperature": (0.1, 0.2, 0.5), "key_momentum": (0.97, 0.99, 0.999)}
    queue: Tensor

    def __init__(
        self,
        *,
        temperature: PositiveFloat = 0.2,
        key_momentum: ClosedUnitInterval = 0.99,
        queue_size: PositiveInt = 1024,
        hidden_dim: PositiveInt = 256,
        projection_dim: PositiveInt = 128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.temperature, self.key_momentum = temperature, key_momentum
        self.projector = mlp(self.num_features, hidden_dim, projection_dim, batch_norm=False)
        self.keys = MomentumEncoder(self.backbone, self.projector, self._count_forward)
        self.register_buffer("queue", random_queue(queue_size, projection_dim))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """InfoNCE of the first view's query and the second one's key (1911.05722, eq. 1 and 2)."""
        self.keys.follow(self.backbone, self.projector, self.key_momentum)
        first, second = self.views(batch)
        query, key = unit(self.projector(self.backbone(first))), unit(self.keys(second))
        stored = self.queue.clone()  # backward needs it as it is now
        loss = momentum_info_nce(query, key, stored, self.temperature)
        enqueue(self.queue, prepare(key, gather=self.gather))
        self.log("loss", loss)
        return loss

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `projection` [B, projection_dim], unit rows."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "projection": unit(self.projector(features))}
