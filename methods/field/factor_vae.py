"""FactorVAE: a discriminator tells whole codes from permuted ones, the encoder makes them hard to tell."""

from typing import Any

import torch
from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.field.vae import VAE
from disentangle_bench.methods.networks.variational import binary_discriminator, frozen
from disentangle_bench.methods.objectives.inputs import prepare, upcast, upload
from disentangle_bench.methods.objectives.variational import permute_dimensions, total_correlation


class FactorVAE(VAE):
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
        discriminator_dim: width of the discriminator's layers (the paper's: 1000).
        discriminator_lr: its peak learning rate; None: `lr`.
        kwargs: of `VAE`.
    """

    name = "factor_vae"
    source = "Kim & Mnih: Disentangling by Factorising (ICML 2018)"
    search = Method.search | {"gamma": (5.0, 10.0, 40.0)}

    def __init__(
        self,
        *,
        gamma: NonNegativeFloat = 10.0,
        discriminator_dim: PositiveInt = 256,
        discriminator_lr: PositiveFloat | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.gamma, self.discriminator_lr = gamma, discriminator_lr or self.lr
        self.discriminator = binary_discriminator(self.code_dim, discriminator_dim)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Negative evidence lower bound plus gamma * total correlation (eq. 2), and the discriminator's loss."""
        z, reconstruction, divergence = self.bound(batch)
        correlation = total_correlation(frozen(self.discriminator, z))
        discrimination = self.discrimination(z.detach())
        loss = reconstruction + divergence + self.gamma * correlation
        self.log_dict({"loss/reconstruction": reconstruction, "loss/divergence": divergence})
        self.log_dict({"loss/correlation": correlation, "loss/discriminator": discrimination, "loss": loss})
        return loss + discrimination  # their gradients are of different parameters

    def discrimination(self, z: Tensor) -> Tensor:
        """Cross-entropy of the discriminator on codes z [B, k] and on codes with permuted dimensions.

        Dimensions are permuted over the images of all processes.
        """
        (everyones,) = prepare(z, gather=self.gather)
        order = torch.rand(everyones.shape, generator=self.step_generator("permutation")).argsort(0)
        own = upload(order[self.global_rank * len(z) :][: len(z)], z.device)
        permuted = permute_dimensions(everyones, own)
        logits = upcast(self.discriminator(torch.cat([z, permuted])))
        labels = torch.arange(2, device=z.device).repeat_interleave(len(z), output_size=len(logits))
        return cross_entropy(logits, labels)

    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters in which the discriminator has a learning rate of its own."""
        others = nn.ModuleList([self.backbone, self.encoder_head, self.decoder])
        return [
            group | {"lr": lr}
            for part, lr in ((others, self.lr), (self.discriminator, self.discriminator_lr))
            for group in param_groups_weight_decay(part, self.weight_decay)
        ]
