"""beta-VAE: a variational auto-encoder whose code pays more for each nat that it carries."""

from jsonargparse.typing import NonNegativeFloat
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.field.vae import VAE


class BetaVAE(VAE):
    """Reference row of the disentanglement tables.

    ```
    image -> backbone -> mean, log-variance -> z -> decoder -> image': cross-entropy of pixels
                              KL(N(mean, variance) || N(0, I)), times beta
    ```

    Images are seen as they are, without augmentation. Deviation from Higgins et al. and Locatello et al.: the encoder
    is that of every method here, which averages over positions.

    Args:
        beta: weight of the divergence; 1 is a plain VAE.
        kwargs: of `VAE`.
    """

    name = "beta_vae"
    source = "Higgins et al.: beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework (2017)"
    search = Method.search | {"beta": (1.0, 4.0, 16.0)}

    def __init__(self, *, beta: NonNegativeFloat = 4.0, **kwargs):
        super().__init__(**kwargs)
        self.beta = beta

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Negative evidence lower bound with the divergence weighted by beta (eq. 4)."""
        _, reconstruction, divergence = self.bound(batch)
        loss = reconstruction + self.beta * divergence
        self.log_dict({"loss": loss, "loss/reconstruction": reconstruction, "loss/divergence": divergence})
        return loss
