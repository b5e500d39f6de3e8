"""Contrastive clustering of Li et al.: rows of the assignment are contrasted as images, columns as clusters."""

from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp, unit
from disentangle_bench.methods.objectives.cluster_contrast import cluster_info_nce, imbalance
from disentangle_bench.methods.objectives.contrastive import info_nce
from disentangle_bench.methods.objectives.inputs import upcast


class CC(Method):
    r"""Contrastive clustering with an instance head and a cluster head.

    ```
    image -> view 1 -> backbone -> instance head -> z1 \  InfoNCE of rows    (images)
    image -> view 2 -> backbone -> instance head -> z2 /
                            |----> cluster head, softmax -> p1, p2 [B, K]    InfoNCE of columns (clusters)
                                                                             + ln K - entropy of the mean assignment
    ```

    Deviations from the authors' code: only the training split is learnt from (there: also the test images); on data
    with unlabelled images both losses see them (there: the instance loss alone).

    Args:
        num_clusters: K; None: the number of classes of the data set.
        temperature: of the instance loss.
        cluster_temperature: of the cluster loss.
        cluster_weight: of the cluster loss.
        projection_dim: width of z.
    """

    name = "cc"
    source = "Li et al.: Contrastive Clustering (AAAI 2021)"
    # The authors report the argmax of `assignment`, which has a measure of its own; features are what others offer too.
    primary_space = "features"
    search = Method.search | {"temperature": (0.1, 0.2, 0.5), "cluster_weight": (0.5, 1.0)}

    def __init__(
        self,
        *,
        num_clusters: PositiveInt | None = None,
        temperature: PositiveFloat = 0.5,
        cluster_temperature: PositiveFloat = 1.0,
        cluster_weight: NonNegativeFloat = 1.0,
        projection_dim: PositiveInt = 128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.temperature, self.cluster_temperature = temperature, cluster_temperature
        self.cluster_weight, width = cluster_weight, self.num_features
        num_clusters = num_clusters or self.described("num_classes", option="num_clusters")
        self.instance_head = mlp(width, width, projection_dim, batch_norm=False)
        self.cluster_head = mlp(width, width, num_clusters, batch_norm=False)

    def assign(self, features: Tensor) -> Tensor:
        """Probabilities [B, K] of the clusters, for features [B, d]."""
        return upcast(self.cluster_head(features)).softmax(1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Instance loss plus cluster loss (eq. 7)."""
        h1, h2 = (self.backbone(view) for view in self.views(batch))
        z1, z2 = (unit(self.instance_head(h)) for h in (h1, h2))
        p1, p2 = self.assign(h1), self.assign(h2)
        instance = info_nce(z1, z2, self.temperature, gather=self.gather)
        cluster = cluster_info_nce(p1, p2, self.cluster_temperature, gather=self.gather)
        cluster = cluster + imbalance(p1, gather=self.gather) + imbalance(p2, gather=self.gather)
        loss = instance + self.cluster_weight * cluster
        self.log_dict({"loss": loss, "loss/instance": instance, "loss/cluster": cluster})
        return loss

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d], `projection` [B, projection_dim], `assignment` [B, K]: probabilities."""
        features = self.backbone(self.prepare(image))
        projection = unit(self.instance_head(features))
        return {"features": features, "projection": projection, "assignment": self.assign(features)}
