"""DINO: a student predicts the centred, sharpened output of a teacher, its own moving average, for another view."""

import math

import torch
from jsonargparse.typing import ClosedUnitInterval, PositiveFloat, PositiveInt
from torch import Tensor

from disentangle_bench.methods.base import Batch, Method
from disentangle_bench.methods.networks.heads import PrototypeHead, unit
from disentangle_bench.methods.networks.momentum import MomentumEncoder
from disentangle_bench.methods.objectives.inputs import prepare
from disentangle_bench.methods.objectives.prototypes import self_distillation


class DINO(Method):
    r"""Self-distillation with no labels.

    ```
    image -> view 1 -> backbone -> head -> s1 -> softmax(s1 / temperature)                   -> p1 \
                                                                                                    H(q2, p1)
    image -> view 2 -> teacher backbone -> head -> t2 -> softmax((t2 - center) / teacher's) -> q2 /   and views swapped
             teacher weights = tau * teacher weights + (1 - tau) * weights; tau rises to 1 on a half cosine
             center = m * center + (1 - m) * mean of t1 and t2 over the batch
    ```

    Deviations from the authors' code: two views of one size (there: eight or ten small crops for the student besides),
    and one augmentation for both unless `key_augmentation` is set; a convolutional encoder and a head with ReLU (there:
    GELU); the student's encoder is what is judged (there: the teacher's, by default); weight decay doesn't rise and
    gradients aren't clipped; the teacher follows at the start of a step instead of at the end of the one before, which
    comes to the same.

    Args:
        num_prototypes: K, outputs of the head (the authors': 65536).
        temperature: tau_s of the student.
        first_teacher_temperature: tau_t at the start.
        teacher_temperature: tau_t after its warm-up.
        teacher_warmup: share of the budget in which tau_t goes from the one to the other in a line (the authors': the
            first 30 epochs).
        tau: share of its weights that the teacher keeps in a step, at the start (the authors': 0.996).
        center_momentum: m.
        freeze: share of the budget in which the prototypes stay as they are (the authors': the first epoch).
        hidden_dim: width of the head's hidden layers (the authors': 2048).
        projection_dim: width of what is compared with the prototypes (the authors': 256).
    """

    name = "dino"
    source = "Caron et al.: Emerging Properties in Self-Supervised Vision Transformers (ICCV 2021)"
    # Section 4: the head is thrown away after training.
    primary_space = "features"
    search = Method.search | {"tau": (0.97, 0.99, 0.996), "teacher_temperature": (0.04, 0.07)}
    center: Tensor

    def __init__(
        self,
        *,
        num_prototypes: PositiveInt = 256,
        temperature: PositiveFloat = 0.1,
        first_teacher_temperature: PositiveFloat = 0.04,
        teacher_temperature: PositiveFloat = 0.07,
        teacher_warmup: ClosedUnitInterval = 0.3,
        tau: ClosedUnitInterval = 0.99,
        center_momentum: ClosedUnitInterval = 0.9,
        freeze: ClosedUnitInterval = 0.01,
        hidden_dim: PositiveInt = 256,
        projection_dim: PositiveInt = 128,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.temperature, self.tau, self.center_momentum, self.frozen = temperature, tau, center_momentum, freeze
        self.teacher_temperatures = (first_teacher_temperature, teacher_temperature, teacher_warmup)
        widths = (self.num_features, hidden_dim, hidden_dim, projection_dim)
        self.head = PrototypeHead(*widths, num_prototypes=num_prototypes)
        self.teacher = MomentumEncoder(self.backbone, self.head, self._count_forward)
        self.register_buffer("center", torch.zeros(num_prototypes))

    def teacher_temperature(self, share: float) -> float:
        """tau_t at a share of the budget."""
        first, last, warmup = self.teacher_temperatures
        return last if share >= warmup else first + (last - first) * share / warmup

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy of student and teacher across the two views (eq. 3), then the update of the centre (eq. 4)."""
        share = min(1.0, self.share_of_budget(self.global_step - 1))
        tau = 1 - (1 - self.tau) * (math.cos(math.pi * share) + 1) / 2
        self.teacher.follow(self.backbone, self.head, tau)
        views = self.views(batch)
        s1, s2 = (self.head(self.backbone(view), frozen=share < self.frozen) for view in views)
        t1, t2 = (self.teacher(view) for view in views)
        sharpness = self.teacher_temperature(share)
        loss = self_distillation(s1, s2, t1, t2, self.center, self.temperature, sharpness, gather=self.gather)
        met = torch.stack([scores.mean(0) for scores in prepare(t1, t2, gather=self.gather)]).mean(0)
        self.center.lerp_(met.to(self.center), 1 - self.center_momentum)
        self.log_dict({"loss": loss, "tau": tau, "teacher_temperature": sharpness})
        return loss

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Spaces `features` [B, d] and `projection` [B, projection_dim], unit rows."""
        features = self.backbone(self.prepare(image))
        return {"features": features, "projection": unit(self.head.projector(features))}
