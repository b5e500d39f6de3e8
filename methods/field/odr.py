"""ODR: trained on class and domain labels, two codes with orthogonal priors, one uninformative on the domain."""

import torch
from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import cross_entropy

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import mlp
from disentangle_bench.methods.networks.variational import GaussianHead, frozen, sample
from disentangle_bench.methods.objectives.inputs import upcast
from disentangle_bench.methods.objectives.variational import cross_entropy_to_uniform, gaussian_kl


class ODR(Method):
    """Orthogonal disentangled representations: one code for the class (to keep), one for the domain (to forget).

    ```
    image -> view -> backbone -> h -> N(mean, variance) -> z_content -> class head:  cross-entropy       L_T
                                 |                             '-----> domain head: as if it were chance L_E
                                 '--> N(mean, variance) -> z_domain --> domain head: cross-entropy       L_S
    each code's distribution is drawn to N(m, I), the two m orthogonal                                  L_OD
    ```

    L_S has no gradient for the backbone; L_E has none for the domain head, which would else learn to be uninformative.

    The authors have published no code. The public third-party code is not followed where it contradicts the paper: it
    makes the domain head more certain on the content code, its L_OD has no gradient, and its noise is no sample of the
    code's distribution.

    Args:
        domain: name of the domain target; None: the data set's first one.
        entropy_weight: lambda_E, of L_E, at the start.
        entropy_growth: gamma_E: factor of lambda_E every `growth_epochs`.
        orthogonality_weight: lambda_OD, of L_OD, at the start.
        orthogonality_growth: gamma_OD.
        growth_epochs: epochs in which a weight grows by its factor once; it grows exponentially.
        code_dim: width of each code.
        hidden_dim: width of the hidden layer of both heads.
    """

    name = "odr"
    source = "Sarhan et al.: Fairness by Learning Orthogonal Disentangled Representations (ECCV 2020)"
    # The paper's probes read the target code (z_T), for the class and for what leaks.
    primary_space = "content"
    uses_targets = frozenset({"content", "domain"})
    search = Method.search | {"entropy_weight": (0.1, 0.5, 1.0), "orthogonality_weight": (0.01, 0.05)}
    content_prior: Tensor
    domain_prior: Tensor

    def __init__(
        self,
        *,
        domain: str | None = None,
        entropy_weight: NonNegativeFloat = 1.0,
        entropy_growth: PositiveFloat = 2.0,
        orthogonality_weight: NonNegativeFloat = 0.037,
        orthogonality_growth: PositiveFloat = 1.1,
        growth_epochs: PositiveInt = 30,
        code_dim: PositiveInt = 128,
        hidden_dim: PositiveInt = 256,
        **kwargs,
    ):
        super().__init__(**kwargs)
        content_spec, domain_spec = self.class_target("content"), self.class_target("domain", domain)
        self.content, self.domain = f"target/{content_spec['name']}", f"target/{domain_spec['name']}"
        self.weights = {"uninformative": entropy_weight, "prior": orthogonality_weight}
        self.growth = {"uninformative": entropy_growth, "prior": orthogonality_growth}
        self.growth_epochs, self.code_dim = growth_epochs, code_dim
        self.content_code = GaussianHead(self.num_features, code_dim)
        self.domain_code = GaussianHead(self.num_features, code_dim)
        self.class_head = mlp(code_dim, hidden_dim, content_spec["size"], batch_norm=False)
        self.domain_head = mlp(code_dim, hidden_dim, domain_spec["size"], batch_norm=False)
        axis = torch.zeros(code_dim)
        axis[0] = 1.0
        self.register_buffer("content_prior", axis, persistent=False)
        self.register_buffer("domain_prior", 1 - axis, persistent=False)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The four losses (L_T, L_S, L_E, L_OD) of one augmented view."""
        (view,) = self.views(batch, 1)
        features = self.backbone(view)
        noise = self.noise("codes", len(view), 2 * self.code_dim).chunk(2, 1)
        mean, log_variance = self.content_code(features)
        domain_mean, domain_log_variance = self.domain_code(features)
        apart_mean, apart_log_variance = self.domain_code(features.detach())  # the same code, the backbone left alone
        z_content = sample(mean, log_variance, noise[0])
        z_domain = sample(apart_mean, apart_log_variance, noise[1])
        losses = {
            "content": cross_entropy(upcast(self.class_head(z_content)), batch[self.content]),
            "domain": cross_entropy(upcast(self.domain_head(z_domain)), batch[self.domain]),
            "uninformative": cross_entropy_to_uniform(frozen(self.domain_head, z_content)),
            "prior": gaussian_kl(mean, log_variance, self.content_prior)
            + gaussian_kl(domain_mean, domain_log_variance, self.domain_prior),
        }
        weights = self.weights_of(self.current_epoch)
        loss = torch.stack([weights.get(name, 1.0) * value for name, value in losses.items()]).sum()
        self.log_dict({"loss": loss} | {f"loss/{name}": value for name, value in losses.items()})
        return loss

    def weights_of(self, epoch: int) -> dict[str, float]:
        """lambda_E and lambda_OD in an epoch, counted from 0."""
        return {name: w * self.growth[name] ** (epoch / self.growth_epochs) for name, w in self.weights.items()}

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d], `content` and `domain` [B, code_dim]: means of the two codes."""
        features = self.backbone(self.prepare(image))
        content, domain = self.content_code(features)[0], self.domain_code(features)[0]
        return {"features": features, "content": content, "domain": domain}
