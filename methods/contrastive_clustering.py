"""Contrastive clustering with a cluster-centre predictor: instance, cluster and anchor loss under one encoder."""

from typing import Any

import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, PositiveFloat, PositiveInt
from timm.optim import param_groups_weight_decay
from torch import Generator, Tensor, nn

from disentangle_bench.methods.base import Batch, Method, stream_seed
from disentangle_bench.methods.networks.heads import mlp, unit
from disentangle_bench.methods.objectives.clustering import anchor_loss, cluster_loss, student_t_assignment
from disentangle_bench.methods.objectives.contrastive import info_nce
from disentangle_bench.methods.objectives.gather import from_first
from disentangle_bench.methods.objectives.inputs import prepare
from disentangle_bench.methods.objectives.kmeans import kmeans

CALIBRATED = 50
"""Steps after which batch norm's running statistics are usable: their initial values then weigh 0.9^50 = 0.005."""


class ContrastiveClustering(Method):
    r"""Deep clustering with contrastive views (CADE).

    ```
    image -> view 1 -> backbone -> h1 -> projector -> z1 \
    image -> view 2 -> backbone -> h2 -> projector -> z2 / InfoNCE(z1, z2)               instance
    image ----------> backbone -> h  -> q  = Student-t(h, centres) -> own target         cluster
                                  h1 -> q1 = Student-t(h1, centres) \
                                  h2 -> q2 = Student-t(h2, centres) / KL(q || q1), KL(q || q2)   anchor
    ```

    Deviations from the authors' code: the instance loss is alone until half of the budget is spent (there: `start: 0`,
    all losses from the first step); the centres start from features of all training images in eval mode, once batch
    norm's running statistics describe them; before that, as with `start: 0`, by the statistics of random batches, as
    there (batches of 32 of the random network in train mode, the last one left out); K is a setting (there: always
    10); only the training split is learnt from (there: also the test images).

    Args:
        num_clusters: K; None: the number of classes of the data set.
        alpha: degrees of freedom of the Student-t kernel.
        temperature: tau of the instance loss.
        instance_weight: of the instance loss.
        cluster_weight: of the cluster loss.
        anchor_weight: of the anchor loss.
        start: share of the budget with the instance loss alone, below 1; the centres' k-means start follows it.
        projection_dim: width of z.
    """

    name = "contrastive_clustering"
    source = "Sundareswaran et al.: Cluster Analysis with Deep Embeddings and Contrastive Learning (2021)"
    # The authors cluster the backbone's output by k-means, and report the argmax of `assignment` (train.py:93-139).
    primary_space = "features"
    search = Method.search | {"temperature": (0.1, 0.2, 0.5), "start": (0.25, 0.5, 0.75)}
    started: Tensor
    counts: Tensor

    def __init__(
        self,
        *,
        num_clusters: PositiveInt | None = None,
        alpha: PositiveFloat = 1.0,
        temperature: PositiveFloat = 0.5,
        instance_weight: NonNegativeFloat = 1.0,
        cluster_weight: NonNegativeFloat = 1.0,
        anchor_weight: NonNegativeFloat = 1.0,
        start: ClosedUnitInterval = 0.5,
        projection_dim: PositiveInt = 128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if start == 1:
            raise ValueError("start is 1, but centres are found only if some of the budget is left: it must be below 1")
        self.alpha, self.temperature, self.start = alpha, temperature, start
        self.instance_weight, self.cluster_weight, self.anchor_weight = instance_weight, cluster_weight, anchor_weight
        self.num_clusters = num_clusters or self.described("num_classes", option="num_clusters")
        self.projector = mlp(self.num_features, self.num_features, projection_dim, batch_norm=False)
        self.centers = nn.Parameter(torch.zeros(self.num_clusters, self.num_features))
        self.has_centers = False
        self.register_buffer("started", torch.tensor(False))
        self.register_buffer("counts", torch.zeros(self.num_clusters, dtype=torch.int64))

    def assign(self, features: Tensor) -> Tensor:
        """Soft assignment q [B, K] of features [B, d] to the clusters."""
        return student_t_assignment(features, self.centers, self.alpha)

    def on_train_start(self) -> None:
        """Read once whether a checkpoint has set the centres: reading the device's flag in each step would wait."""
        self.has_centers = bool(self.started)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Before the first step with cluster losses: start the centres by k-means of all clean images' features."""
        super().on_train_batch_start(batch, batch_idx)
        if batch_idx == 0:
            self.counts.zero_()
        if not self.has_centers and self.share_of_budget(self.global_step - 1) >= self.start:
            features = self.encode_training_split(
                lambda image, _: self.backbone(self.prepare(self.plain_view(image))),
                "centers",
                batch_statistics=self.global_step < CALIBRATED,
            )
            generator = Generator().manual_seed(stream_seed(self.seed, "centers"))
            self.centers.data.copy_(from_first(kmeans(features, self.num_clusters, generator)))
            # Else Adam has counted the steps before, and goes several times too far in the first ones with a gradient.
            self.trainer.optimizers[0].state.pop(self.centers, None)
            self.started.fill_(True)
            self.has_centers = True

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Weighted sum of instance, cluster and anchor loss; the instance loss alone until the centres exist."""
        h1, h2 = (self.backbone(view) for view in self.views(batch))
        z1, z2 = (unit(self.projector(h)) for h in (h1, h2))
        instance = info_nce(z1, z2, self.temperature, gather=self.gather)
        loss = self.instance_weight * instance
        self.log("loss/instance", instance)
        if self.has_centers:
            q = self.assign(self.backbone(self.prepare(self.plain_view(batch["image"]))))
            cluster = cluster_loss(q, gather=self.gather)
            anchor = sum(anchor_loss(self.assign(h), q, gather=self.gather) for h in (h1, h2))
            loss = loss + self.cluster_weight * cluster + self.anchor_weight * anchor
            (nearest,) = prepare(q.argmax(1), gather=self.gather)  # all processes count all images
            self.counts.index_add_(0, nearest, torch.ones_like(nearest))  # a bincount, without waiting for the device
            self.log_dict({"loss/cluster": cluster, "loss/anchor": anchor, "confidence": q.detach().amax(1).mean()})
        else:
            loss = loss + 0.0 * self.centers.sum()  # a parameter without a gradient stops DDP
        self.log("loss", loss)
        return loss

    def on_train_epoch_end(self) -> None:
        """Diagnostics of the epoch's assignments: clusters without an image, share of the largest (1: collapse)."""
        if self.has_centers:
            self.log("clusters/empty", (self.counts == 0).float().sum())
            self.log("clusters/largest_share", self.counts.max() / self.counts.sum().clamp(min=1))

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d], `projection` [B, projection_dim], `assignment` [B, K]: probabilities."""
        features = self.backbone(self.prepare(image))
        projection = unit(self.projector(features))
        return {"features": features, "projection": projection, "assignment": self.assign(features)}

    def param_groups(self) -> list[dict[str, Any]]:
        """All parameters in groups with and without weight decay; the cluster centres have none."""
        return param_groups_weight_decay(self, self.weight_decay, no_weight_decay_list=("centers",))
