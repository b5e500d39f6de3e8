"""What watches the training of a cell."""

from __future__ import annotations

import time
from typing import Any

import lightning as L

from benchmarks.status import Status


class TrainingStatus(L.Callback):
    """Tells the steps done and the loss while Lightning trains."""

    def __init__(self, status: Status):
        self.status = status

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Tell the step; the loss is only looked at when the file is due."""
        if not trainer.is_global_zero:
            return
        total = trainer.estimated_stepping_batches
        loss = trainer.callback_metrics.get("loss")
        self.status.tell(
            "train",
            trainer.global_step,
            int(total) if total != float("inf") else 0,
            "" if loss is None else f"loss {float(loss):.3f}",
        )


class TrainingClock(L.Callback):
    """Seconds spent training, over all starts (kept in the checkpoint)."""

    def __init__(self) -> None:
        self._before, self._start = 0.0, 0.0

    @property
    def seconds(self) -> float:
        """Up to now, or up to the end of the training."""
        return self._before + (time.perf_counter() - self._start if self._start else 0.0)

    def on_fit_start(self, *_: Any) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_fit_end(self, *_: Any) -> None:
        """Stop."""
        self._before, self._start = self.seconds, 0.0

    def state_dict(self) -> dict[str, float]:
        """Kept by Lightning in the checkpoint."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Called by Lightning when it resumes."""
        self._before = state_dict["seconds"]
