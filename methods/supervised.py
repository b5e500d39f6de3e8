"""Supervised cross-entropy: the ceiling of every table."""

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from disentangle_bench.methods.base import Batch, Method


class Supervised(Method):
    """The same encoder on the same views, but told the class.

    ```
    image -> view -> backbone -> linear -> cross-entropy with the class
    ```
    """

    name = "supervised"
    source = "the usual cross-entropy on the data set's first content target"
    uses_targets = frozenset({"content"})

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.target = next(f"target/{spec['name']}" for spec in self.data["targets"] if spec["role"] == "content")
        self.classifier = nn.Linear(self.num_features, self.data["num_classes"])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy of one augmented view."""
        (view,) = self.views(batch, 1)
        loss = cross_entropy(self.classifier(self.backbone(view)), batch[self.target])
        self.log("loss", loss)
        return loss
