"""The share of the budget that is spent, and the learning rate's schedule over it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.callbacks import Timer

from disentangle_bench.methods.objectives.gather import from_first


class Spent:
    """The share of its budget that a run has spent; all processes get the same number."""

    def __init__(self) -> None:
        self._clock = (-2, 0.0)  # step, and the share of the time that was spent then

    def share(self, step: int, trainer: Any, device: torch.device) -> float:
        """Share of the budget (epochs, steps or minutes) that is spent after step number `step`, in [0, 1].

        Args:
            step: number of the step, counted from 0.
            trainer: Lightning's trainer, whose limits are the budget.
            device: on which processes exchange tensors.
        """
        share = (step + 1) / trainer.estimated_stepping_batches  # 0 where there is no limit of steps
        for callback in trainer.callbacks:
            if isinstance(callback, Timer) and callback._duration:
                if self._clock[0] != step:  # once a step: reading the number back waits for a GPU
                    spent = torch.tensor(callback.time_elapsed() / callback._duration)
                    # clocks of processes differ, learning rates may not
                    spent = from_first(spent.to(device)) if trainer.world_size > 1 else spent
                    self._clock = (step, float(spent))
                share = max(share, self._clock[1])
        return share


@dataclass(frozen=True)
class Schedule:
    """Factor of the learning rate: linear warm-up, then a half cosine, a constant or steps down.

    With `heads_first` the schedule runs twice: once while the encoder is frozen, once afterwards.

    Attributes:
        shape: `cosine`, `constant` or `step`.
        warmup: share of the budget in which the factor rises from 0 to 1.
        final: factor at which the cosine ends.
        step_epochs: epochs between two steps down.
        step_factor: factor of each step down.
        heads_first: share of the budget in which frozen parameters have the factor 0.

    Raises:
        ValueError: `heads_first` together with the shape `step`, which counts epochs from the start of the run.
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
        """Factor of the peak learning rate, in [0, 1].

        Args:
            share: share of the budget that is spent after this step, in [0, 1].
            epoch: epoch of the step, counted from 0.
            rests: for parameters that are frozen while the heads learn.
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
