"""The raw pixels: the floor that needs no encoder."""

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from disentangle_bench.methods.base import Method


class Pixels(Method):
    """The normalised pixels themselves, averaged down to at most 32x32.

    ```
    image -> average pooling -> flatten
    ```
    """

    name = "pixels"
    source = "the images themselves"
    trains = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.backbone = nn.Flatten()

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """`features` [B, C * min(H, 32) * min(W, 32)]."""
        height, width = (min(side, 32) for side in self.data["eval_shape"])
        return {"features": self.backbone(adaptive_avg_pool2d(self.prepare(image), (height, width)))}
