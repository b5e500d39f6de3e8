"""Base of the variational auto-encoders: encoder, decoder, the two terms of the evidence lower bound, the spaces."""

from typing import NamedTuple

from jsonargparse.typing import PositiveInt
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks import traversals
from disentangle_bench.methods.networks.variational import Decoder, GaussianHead, sample
from disentangle_bench.methods.objectives.variational import bernoulli_nll, gaussian_kl


class Bound(NamedTuple):
    """The codes z [B, code_dim] of a batch, and the two terms of its negative evidence lower bound (ELBO), scalars."""

    z: Tensor
    reconstruction: Tensor
    divergence: Tensor


class VAE(Method):
    """Base of methods that reconstruct images, as they are, from a Gaussian code.

    ```
    image -> backbone -> mean, log-variance -> z -> decoder -> image'
    ```

    Deviation from the papers: the encoder is that of every method here, which averages over positions.

    Args:
        code_dim: width of z.
        decoder_dim: channels of the decoder.
    """

    # The code's mean is what disentanglement is claimed of and measured on.
    primary_space = "code"

    def __init__(self, *, code_dim: PositiveInt = 10, decoder_dim: PositiveInt = 64, **kwargs):
        super().__init__(**kwargs)
        self.code_dim = code_dim
        self.encoder_head = GaussianHead(self.num_features, code_dim)
        self.decoder = Decoder(code_dim, self.image_shape, decoder_dim)
        self._shown: Tensor | None = None

    def bound(self, batch: Batch) -> Bound:
        """Code of a batch without augmentation, cross-entropy of its pixels, and KL(N(mean, variance) || N(0, I))."""
        plain = self.plain_view(batch["image"])
        self._shown = plain[: traversals.SHOWN]
        mean, log_variance = self.encoder_head(self.backbone(self.prepare(plain)))
        z = sample(mean, log_variance, self.noise("code", len(plain), self.code_dim))
        return Bound(z, bernoulli_nll(self.decoder(z), plain), gaussian_kl(mean, log_variance))

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
