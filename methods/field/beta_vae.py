"""beta-VAE: a variational auto-encoder whose code pays more for each nat that it carries."""

from jsonargparse.typing import NonNegativeFloat, PositiveInt
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks import traversals
from disentangle_bench.methods.networks.variational import Decoder, GaussianHead, sample
from disentangle_bench.methods.objectives.variational import bernoulli_distance, gaussian_kl


class BetaVAE(Method):
    """Reference row of the disentanglement tables.

    ```
    image -> backbone -> mean, log-variance -> z -> decoder -> image': cross-entropy of pixels
                              KL(N(mean, variance) || N(0, I)), times beta
    ```

    Images are seen as they are, without augmentation. Deviation from Higgins et al. and Locatello et al.: the encoder
    is that of every method here, which averages over positions.

    Args:
        beta: weight of the divergence; 1 is a plain VAE.
        code_dim: width of z.
        decoder_dim: channels of the decoder.
    """

    name = "beta_vae"
    source = "Higgins et al.: beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework (2017)"
    # The code's mean is what disentanglement is claimed of and measured on.
    primary_space = "code"
    search = Method.search | {"beta": (1.0, 4.0, 16.0)}

    def __init__(
        self,
        *,
        beta: NonNegativeFloat = 4.0,
        code_dim: PositiveInt = 10,
        decoder_dim: PositiveInt = 64,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.beta, self.code_dim = beta, code_dim
        self.encoder_head = GaussianHead(self.num_features, code_dim)
        self.decoder = Decoder(code_dim, self.image_shape, decoder_dim)
        self._shown: Tensor | None = None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Negative evidence bound with a weight of its own on the divergence (eq. 4)."""
        plain = self.plain_view(batch["image"])
        self._shown = plain[: traversals.SHOWN]
        mean, log_variance = self.encoder_head(self.backbone(self.prepare(plain)))
        z = sample(mean, log_variance, self.noise("code", len(plain), self.code_dim))
        distance, divergence = bernoulli_distance(self.decoder(z), plain), gaussian_kl(mean, log_variance)
        loss = distance + self.beta * divergence
        self.log_dict({"loss": loss, "loss/reconstruction": distance, "loss/divergence": divergence})
        return loss

    def on_train_end(self) -> None:
        """Save a picture: images, reconstructions, and what each dimension of the code does."""
        traversals.save(self, self._shown, self.encode, lambda codes: self.decoder(codes).sigmoid())

    def encode(self, plain: Tensor) -> Tensor:
        """Means of the code [B, code_dim] of images [B, C, h, w] in [0, 1]."""
        mean: Tensor = self.encoder_head(self.backbone(self.prepare(plain)))[0]
        return mean

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `code` [B, code_dim]: means."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "code": self.encoder_head(features)[0]}
