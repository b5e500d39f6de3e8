"""Learning-rate schedules over a share of the budget, be it epochs, steps or minutes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Warm-up, then a half cosine, a constant or steps down; twice if heads learn first.

    Attributes:
        shape: `cosine`, `constant` or `step`.
        warmup: share of the budget in which the factor rises from 0.
        final: at which the cosine ends.
        step_epochs: epochs between two steps down.
        step_factor: of each step down.
        heads_first: share of the budget in which the weights that rest stay as they are (their batch norms' running
            statistics don't); then the schedule starts again.

    Raises:
        ValueError: heads first under steps down, which count epochs from the start of the run.
    """

    shape: str
    warmup: float
    final: float
    step_epochs: int
    step_factor: float
    heads_first: float

    def __post_init__(self) -> None:
        if self.shape == "step" and self.heads_first:
            raise ValueError(
                f"heads_first is {self.heads_first} but schedule step can't start anew then: take cosine or constant"
            )

    def factor(self, share: float, epoch: int, rests: bool = False) -> float:
        """Of the peak learning rate, in [0, 1].

        Args:
            share: of the budget that is spent after this step, in [0, 1].
            epoch: that the step belongs to.
            rests: whether these are parameters that rest while heads learn.
        """
        if share < self.heads_first:
            if rests:
                return 0.0
            share /= self.heads_first
        elif self.heads_first:
            share = (share - self.heads_first) / max(1 - self.heads_first, 1e-9)
        if share < self.warmup:
            return share / self.warmup
        if self.shape == "constant":
            return 1.0
        if self.shape == "step":
            return float(self.step_factor ** (epoch // self.step_epochs))
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, (share - self.warmup) / max(1 - self.warmup, 1e-9))))
        return self.final + (1 - self.final) * cosine
