"""FactorVAE: a discriminator tells whole codes from permuted ones, the encoder makes them hard to tell."""

from typing import Any

import torch
from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks import traversals
from disentangle_bench.methods.networks.variational import Decoder, GaussianHead, binary_discriminator, frozen, sample
from disentangle_bench.methods.objectives.inputs import prepare, upcast, upload
from disentangle_bench.methods.objectives.variational import (
    bernoulli_distance,
    gaussian_kl,
    permute_dimensions,
    total_correlation,
)


class FactorVAE(Method):
    """Reference row of the disentanglement tables.

    ```
    image -> backbone -> mean, log-variance -> z -> decoder -> image': cross-entropy of pixels + KL
                                               z ------------------------> discriminator -> whole?     gamma * log-odds
                                               z, each dimension permuted -> discriminator -> permuted?
    ```

    Images are seen as they are, without augmentation. Deviations from the paper: one optimiser for both parts, the
    discriminator at its own learning rate (there: two Adams, the discriminator's with beta1 = 0.5); both of its
    halves come from one batch, as in Locatello et al.; the encoder is that of every method here.

    Args:
        gamma: weight of the total correlation, between dimensions.
        code_dim: width of z.
        decoder_dim: channels of the decoder.
        discriminator_dim: width of the discriminator's layers (the paper's: 1000).
        discriminator_lr: its peak learning rate; None: `lr`.
    """

    name = "factor_vae"
    source = "Kim & Mnih: Disentangling by Factorising (ICML 2018)"
    # The code's mean is what disentanglement is claimed of and measured on.
    primary_space = "code"
    search = Method.search | {"gamma": (5.0, 10.0, 40.0)}

    def __init__(
        self,
        *,
        gamma: NonNegativeFloat = 10.0,
        code_dim: PositiveInt = 10,
        decoder_dim: PositiveInt = 64,
        discriminator_dim: PositiveInt = 256,
        discriminator_lr: PositiveFloat | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.gamma, self.code_dim, self.discriminator_lr = gamma, code_dim, discriminator_lr or self.lr
        self.encoder_head = GaussianHead(self.num_features, code_dim)
        self.decoder = Decoder(code_dim, self.image_shape, decoder_dim)
        self._shown: Tensor | None = None
        self.discriminator = binary_discriminator(code_dim, discriminator_dim)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Negative evidence bound plus the total correlation (eq. 2), and the discriminator's loss (algorithm 2)."""
        plain = self.plain_view(batch["image"])
        self._shown = plain[: traversals.SHOWN]
        mean, log_variance = self.encoder_head(self.backbone(self.prepare(plain)))
        z = sample(mean, log_variance, self.noise("code", len(plain), self.code_dim))
        distance, divergence = bernoulli_distance(self.decoder(z), plain), gaussian_kl(mean, log_variance)
        correlation = total_correlation(frozen(self.discriminator, z))
        discrimination = self.discrimination(z.detach())
        loss = distance + divergence + self.gamma * correlation
        self.log_dict({"loss/reconstruction": distance, "loss/divergence": divergence})
        self.log_dict({"loss/correlation": correlation, "loss/discriminator": discrimination, "loss": loss})
        return loss + discrimination  # their gradients are of different parameters

    def on_train_end(self) -> None:
        """Save a picture: images, reconstructions, and what each dimension of the code does."""
        traversals.save(self, self._shown, self.encode, lambda codes: self.decoder(codes).sigmoid())

    def encode(self, plain: Tensor) -> Tensor:
        """Means of the code [B, code_dim] of images [B, C, h, w] in [0, 1]."""
        mean: Tensor = self.encoder_head(self.backbone(self.prepare(plain)))[0]
        return mean

    def discrimination(self, z: Tensor) -> Tensor:
        """How badly whole codes z [B, k] and permuted ones are told apart, permuted over all processes' images."""
        (everyones,) = prepare(z, gather=self.gather)
        order = torch.rand(everyones.shape, generator=self.step_generator("permutation")).argsort(0)
        own = upload(order[self.global_rank * len(z) :][: len(z)], z.device)
        permuted = permute_dimensions(everyones, own)
        logits = upcast(self.discriminator(torch.cat([z, permuted])))
        labels = torch.arange(2, device=z.device).repeat_interleave(len(z), output_size=len(logits))
        return cross_entropy(logits, labels)

    def param_groups(self) -> list[dict[str, Any]]:
        """Two groups of groups: the discriminator learns at a rate of its own."""
        others = nn.ModuleList([self.backbone, self.encoder_head, self.decoder])
        return [
            group | {"lr": lr}
            for part, lr in ((others, self.lr), (self.discriminator, self.discriminator_lr))
            for group in param_groups_weight_decay(part, self.weight_decay)
        ]

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `code` [B, code_dim]: means."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "code": self.encoder_head(features)[0]}
