"""Domain-wise contrastive learning (DCoDR): trained on domain labels, a code that keeps all but the domain."""

from typing import Any, Literal

import torch
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.checkpoints import start_from_moco
from disentangle_bench.methods.networks.generator import Generator, Modulation, Perceptual
from disentangle_bench.methods.networks.heads import unit
from disentangle_bench.methods.networks.traversals import save_grid
from disentangle_bench.methods.objectives.domain_contrastive import domain_info_nce
from disentangle_bench.methods.objectives.inputs import prepare, upcast
from disentangle_bench.methods.views import Params, Positives, own_rows, together


class DomainContrastive(Method):
    r"""DCoDR: negatives come from the anchor's own domain only, so that domains come to share one distribution.

    ```
    image    -> backbone -> linear -> code  \
                                             InfoNCE, negatives: codes of the domain's other images
    positive -> backbone -> linear -> code+ /

    with `reconstruction`:  code, domain -> embedding -> AdaIN generator -> image': pixel and perceptual distance
    ```

    Batches should hold several images of each domain: give the data set `balance: <domain target>`.

    Deviations from the authors' code: pixels are normalised unless `normalize` is none; all images of the domain are
    negatives where domains are unequally frequent in a batch (there: a random part); the blur's kernel is a tenth of
    the view, 7 pixels at 64 (there: 5); the features under the perceptual distance are the layers' outputs (there:
    changed in place by the ReLU that follows).

    Args:
        domain: name of the domain target; None: the data set's first one.
        temperature: tau.
        positives: transforms of which a positive gets one: name -> range, see `methods.views.Positives`.
        chained: positives are whole views of `augmentation`, rather than by one transform of `positives` each.
        num_positives: P, positives an image, each by another transform; 0: the positive's similarity is the constant 1
            (an ablation).
        all_negatives: negatives from every domain, as in SimCLR: the ablation of the domain-wise loss.
        projection_dim: width of the code.
        hidden_dim: width of a linear layer between encoder and code; None: none. It starts from the projector's
            first layer where `init` is a MoCo-v2 checkpoint.
        code_layers: layers of a perceptron on top of the code, as wide, with leaky ReLU between them (0: none).
        reconstruction: whether a generator learns to give the image back from code and domain.
        reconstruction_weight: of that loss.
        perceptual: network of the perceptual distance, or `none` for pixels alone.
        perceptual_weights: file of the network's weights; None: where torch hub keeps it.
        generator_channels: width of the generator's AdaIN layers.
        domain_dim: width of the domain embedding.
        generator_lr: peak learning rate of generator and modulation; None: `lr`.
        domain_lr: peak learning rate of the domain embedding; None: `lr`.
        images_every: epochs between two pictures of reconstructions and domain swaps (0: none).
    """

    name = "domain_contrastive"
    source = "Kahana, Hoshen: A Contrastive Objective for Learning Disentangled Representations (ECCV 2022)"
    # The authors' evaluation reads the unit code for attributes and domain alike (evaluation.py:166-185).
    primary_space = "code"
    uses_targets = frozenset({"domain"})
    search = Method.search | {"temperature": (0.1, 0.2, 0.5)}

    def __init__(
        self,
        *,
        domain: str | None = None,
        temperature: PositiveFloat = 0.2,
        positives: dict[str, list[float]] | None = None,
        chained: bool = False,
        num_positives: NonNegativeInt = 1,
        all_negatives: bool = False,
        projection_dim: PositiveInt = 128,
        hidden_dim: PositiveInt | None = None,
        code_layers: NonNegativeInt = 0,
        reconstruction: bool = False,
        reconstruction_weight: NonNegativeFloat = 0.3,
        perceptual: Literal["vgg16", "none"] = "vgg16",
        perceptual_weights: str | None = None,
        generator_channels: PositiveInt = 256,
        domain_dim: PositiveInt = 256,
        generator_lr: PositiveFloat | None = None,
        domain_lr: PositiveFloat | None = None,
        images_every: NonNegativeInt = 10,
        **kwargs,
    ):
        super().__init__(**kwargs)
        spec = self.class_target("domain", domain)
        self.domain, self.num_domains = f"target/{spec['name']}", spec["size"]
        self.temperature, self.num_positives, self.images_every = temperature, num_positives, images_every
        self.positives = Positives(positives) if positives else Positives()
        self.chained = chained
        if not chained and num_positives > len(self.positives.ranges):
            raise ValueError(f"num_positives is {num_positives}, but only {len(self.positives.ranges)} are listed")
        self.all_negatives = all_negatives
        self.projector = self.make_projector(hidden_dim, projection_dim, code_layers)
        self.reconstruction, self.reconstruction_weight = reconstruction, reconstruction_weight
        self._shown: tuple[Tensor, Tensor] | None = None
        self.generator_lr, self.domain_lr = generator_lr or self.lr, domain_lr or self.lr
        if reconstruction:
            self.distance = Perceptual(perceptual_weights) if perceptual == "vgg16" else l1_loss
            if perceptual == "vgg16" and min(self.image_shape[1:]) < 32:
                raise ValueError(
                    f"perceptual vgg16 needs views of at least 32 pixels a side, these are {self.image_shape[1:]}: "
                    "choose perceptual: none for a reconstruction of pixels alone"
                )
            self.generator = Generator(projection_dim, self.image_shape, generator_channels)
            self.modulation = Modulation(domain_dim, generator_channels)
            self.domain_embedding = nn.Embedding(self.num_domains, domain_dim)
            nn.init.uniform_(self.domain_embedding.weight, -0.05, 0.05)

    def make_projector(self, hidden_dim: int | None, projection_dim: int, code_layers: int) -> nn.Module:
        """The module from features [B, d] to codes [B, projection_dim], which `code` normalises."""
        if hidden_dim is None and not code_layers:
            return nn.Linear(self.num_features, projection_dim)
        hidden = [] if hidden_dim is None else [nn.Linear(self.num_features, hidden_dim)]
        layers: list[nn.Module] = [*hidden, nn.Linear(hidden_dim or self.num_features, projection_dim)]
        for number in range(code_layers):
            layers += [nn.LeakyReLU()] if number else []
            layers.append(nn.Linear(projection_dim, projection_dim))
        if hidden and self.init is not None and not self.init.endswith((".safetensors", "timm")):
            start_from_moco(hidden[0], self.init)
        return nn.Sequential(*layers)

    def code(self, view: Tensor) -> Tensor:
        """Codes [B, projection_dim] of normalised images, unit rows."""
        return unit(self.projector(self.backbone(view)))

    def draw_positives(self, batch_size: int) -> list[Params]:
        """Parameters of `num_positives` views, each image's by different transforms; ranks share one draw."""
        if self.chained:
            return [self.draw_view(batch_size) for _ in range(self.num_positives)]
        drawn = self.positives.draw(batch_size * self.world_size, self.num_positives, self.views_generator)
        return [own_rows(params, self.global_rank, batch_size) for params in drawn]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """An epoch whose batches hold one image a domain has no negatives, and a loss of exactly 0: an error."""
        super().on_train_batch_start(batch, batch_idx)
        if batch_idx == 0 and not self.all_negatives:
            (domains,) = prepare(batch[self.domain], gather=self.gather)
            if len(domains.unique()) == len(domains):
                raise RuntimeError(
                    f"no two of the batch's {len(domains)} images are of one domain ({self.domain}), "
                    "none has a negative: set data.balance=domain and data.domains_per_batch to at most half of "
                    "data.batch_size (the authors take 4 domains of 32 images)"
                )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Domain-wise InfoNCE (eq. 3) and, if asked for, the reconstruction's distance (eq. 6)."""
        image, domains = batch["image"], batch[self.domain]
        with torch.autocast(image.device.type, enabled=False):
            plain = self.plain_view(image)
        transforms = self.augmentation if self.chained else self.positives
        drawn = self.draw_positives(len(image))
        views = self.apply_views(image, together(drawn), transforms) if drawn else []
        codes = self.code(self.prepare(plain))
        positives = torch.stack([self.code(view) for view in views] or [codes.detach()], 1)  # similarity 1, no gradient
        compared = torch.zeros_like(domains) if self.all_negatives else domains  # within which images are negatives
        loss = domain_info_nce(codes, positives, compared, self.temperature, index=batch["index"], gather=self.gather)
        if self.reconstruction:
            distance = self.distance(self.generate(codes, domains), plain)
            self.log_dict({"loss/contrastive": loss, "loss/reconstruction": distance})
            loss = loss + self.reconstruction_weight * distance
            if batch_idx == 0 or self._shown is None:  # a run that was resumed goes on within an epoch
                self._shown = (plain[:8], domains[:8])
        self.log("loss", loss)
        return loss

    def generate(self, codes: Tensor, domains: Tensor) -> Tensor:
        """Images [B, C, H, W] in (0, 1) with the content of `codes` [B, d] and of the given domains [B]."""
        return upcast(self.generator(codes, self.modulation(self.domain_embedding(domains))))

    def on_train_epoch_end(self) -> None:
        """Save a picture: images, their reconstructions, then the same content in each of the first ten domains."""
        done = self.current_epoch + 1
        if self._shown is None or not self.images_every or done % self.images_every:
            return
        plain, domains = self._shown

        def rows() -> Tensor:
            codes = self.code(self.prepare(plain))
            swaps = [self.generate(codes, torch.full_like(domains, d)) for d in range(min(self.num_domains, 10))]
            return torch.cat([plain, self.generate(codes, domains), *swaps])

        save_grid(self, f"swaps epoch={done:04d}.png", rows, len(plain))

    def param_groups(self) -> list[dict[str, Any]]:
        """Encoder, generator and domain embedding learn at rates of their own."""
        parts: list[tuple[list[nn.Module], float]] = [([self.backbone, self.projector], self.lr)]
        if self.reconstruction:
            parts += [([self.generator, self.modulation], self.generator_lr), ([self.domain_embedding], self.domain_lr)]
        return [
            group | {"lr": lr}
            for modules, lr in parts
            for group in param_groups_weight_decay(nn.ModuleList(modules), self.weight_decay)
        ]

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `code` [B, projection_dim], unit rows."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "code": unit(self.projector(features))}
