"""Lightning callbacks of a cell's training."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from enum import IntEnum
from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from disentangle_bench.benchmarks import signals
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.checkpoint_io import checkpoint_path
from disentangle_bench.benchmarks.execution.distributed import agree, gather
from disentangle_bench.benchmarks.execution.failures import NotFinite
from disentangle_bench.benchmarks.execution.nonfinite import BadStep
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.json_files import write_json

SAVE_SECONDS = "DISENTANGLE_BENCH_SAVE_SECONDS"
"""Environment variable: seconds of training between two checkpoints in mid-epoch."""


def _loss(outputs: Any) -> Tensor | None:
    """The loss that `training_step` returned; a method that optimises by hand need not return one."""
    return outputs.get("loss") if isinstance(outputs, dict) else outputs


class TrainingProgress(L.Callback):
    """Reports the steps done and the loss while Lightning trains."""

    def __init__(self, progress: ProgressFile):
        self.progress = progress

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any) -> None:
        """Report the step."""
        if not trainer.is_global_zero:
            return
        total = trainer.estimated_stepping_batches
        loss = _loss(outputs)
        self.progress.update(
            "train",
            trainer.global_step,
            int(total) if total != float("inf") else 0,
            str if loss is None else lambda: f"loss {float(loss):.3f}",
        )


class DeferredLogs(L.Callback):
    """Hands what training steps log on to Lightning only after steps that loggers write down.

    Lightning works on each value of each step, though loggers write only the newest of every few.
    """

    def __init__(self) -> None:
        self._newest: dict[str, Callable[[], None]] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Take the place of the method's `log`."""
        hand_on = pl_module.log

        def log(name: str, value: Any, *given: Any, **options: Any) -> None:
            if pl_module._current_fx_name != "training_step" or given or options.get("on_epoch"):
                hand_on(name, value, *given, **options)
            else:
                value = value.detach().clone() if isinstance(value, Tensor) else value
                self._newest[name] = partial(hand_on, name, value, **options)

        pl_module.log = log  # type: ignore[assignment,method-assign]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Hand on the newest values if loggers write after this step."""
        if trainer._logger_connector.should_update_logs:
            for hand_on in self._newest.values():
                hand_on()
            self._newest = {}

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leave the method as it was."""
        del pl_module.log


class CheckedLoss(L.Callback):
    """Ends a run whose `training_step` gives no loss that can be learnt from: Lightning would pass over some."""

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """A number that depends on weights. Raises RequestError for another one."""
        if loss.numel() != 1:
            raise RequestError(
                f"training_step returned a loss of shape {tuple(loss.shape)}: a number, such as its mean"
            )
        if not loss.requires_grad:
            raise RequestError("training_step returned a loss that depends on no weight that learns: was it detached?")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any) -> None:
        """Raise RequestError where none was returned: the step would count, and nothing was learnt."""
        if _loss(outputs) is None and pl_module.automatic_optimization:
            raise RequestError("training_step returned nothing: it must return the loss")


class GlobalStreams(L.Callback):
    """Keeps the global random streams of each process in the checkpoint, for what draws from them (dropout)."""

    def __init__(self) -> None:
        self._to_restore: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """The streams' states as plain values and tensors, so that no checkpoint needs pickle to be read."""
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002  # other people's code draws from it
        streams = {"torch": torch.get_rng_state(), "python": random.getstate()}
        streams["numpy"] = [kind, np.asarray(keys).tolist(), *rest]
        if torch.cuda.is_available():
            streams["cuda"] = torch.cuda.get_rng_state()
        return {"ranks": gather(streams)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called by Lightning when it resumes."""
        self._to_restore = state_dict["ranks"]

    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Restore as late as possible: what is set up before may draw."""
        if not self._to_restore:
            return
        streams = self._to_restore[trainer.global_rank % len(self._to_restore)]
        torch.set_rng_state(streams["torch"])
        random.setstate(streams["python"])
        np.random.set_state(tuple(streams["numpy"]))  # noqa: NPY002
        if "cuda" in streams and torch.cuda.is_available():
            torch.cuda.set_rng_state(streams["cuda"])


class StepAction(IntEnum):
    """Actions after a step; of several processes the most urgent one counts."""

    GO_ON, SAVE, STOP, NOT_FINITE = range(4)


class StepCheckpoints(Checkpoint):
    """After each step: is the loss a number, was somebody asked to stop, is a checkpoint due? And at an epoch's end.

    Processes agree by one number a step, so that all act after the same one. A method must have all its state changed
    before its `on_train_batch_end`, which Lightning calls after this callback's.

    Args:
        run: its folder.
        every: seconds of training between checkpoints in mid-epoch. An epoch's end is a better moment (nothing of an
            epoch is in flight): one is written there already after `EPOCH_SECONDS`, and always at the last.
    """

    EPOCH_SECONDS = 5.0  # an epoch of small data can be shorter than writing it down is worth

    def __init__(self, run: RunFolder, every: float):
        self.run, self.every = run, every
        self._saved = time.monotonic()
        self._unchecked: tuple[BadStep, Tensor, Tensor, torch.cuda.Event | None] | None = None
        self._group: Any = None

    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Signals ask to stop again: Lightning has put in its own handler, which would talk to other processes."""
        signals.install()
        self._saved = time.monotonic()
        if dist.is_initialized() and dist.get_backend() != "gloo":
            self._group = dist.new_group(backend="gloo")  # on the processor: asking a GPU would wait for its whole step

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Act on what the processes agree on. After an epoch's last step its own checkpoint follows at once."""
        bad = self._next_bad_step(trainer, outputs, batch, batch_idx)
        due = trainer.is_global_zero and time.monotonic() - self._saved >= self.every
        action = self._agreed(due, bad)
        if action == StepAction.NOT_FINITE:
            self._give_up(trainer, bad)
        if action == StepAction.GO_ON or trainer.is_last_batch:
            return
        self.save(trainer)
        if action == StepAction.STOP:
            self._stop()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning calls this after the method's own hook of that name."""
        seconds = min(self.every, self.EPOCH_SECONDS)
        due = trainer.fit_loop.done or (trainer.is_global_zero and time.monotonic() - self._saved >= seconds)
        action = self._agreed(due)
        if action != StepAction.GO_ON:
            self.save(trainer)
        if action == StepAction.STOP:
            self._stop()

    def save(self, trainer: L.Trainer) -> None:
        """Write a checkpoint; every process takes part. One that holds NaN would only hide where it came from."""
        bad = self._take_bad_step()
        if bad is None and not all(bool(p.isfinite().all()) for p in trainer.lightning_module.parameters()):
            bad = BadStep(trainer.global_step - 1, trainer.current_epoch, "weights")
        if agree(StepAction.NOT_FINITE if bad else StepAction.GO_ON, self._group) == StepAction.NOT_FINITE:
            self._give_up(trainer, bad)
        trainer.save_checkpoint(checkpoint_path(self.run.checkpoints, trainer.global_step))
        self._saved = time.monotonic()

    def _agreed(self, due: bool, bad: BadStep | None = None) -> StepAction:
        """The most urgent of what the processes want: a checkpoint that is due, a stop, or an end for a bad step."""
        action = StepAction.SAVE if due else StepAction.GO_ON
        if signals.requested():
            action = StepAction.STOP
        return StepAction(agree(StepAction.NOT_FINITE if bad else action, self._group))

    def _stop(self) -> None:
        if signals.requested() is None:
            signal.raise_signal(signal.SIGTERM)  # another process was asked to: now this one is, too
        raise signals.Interrupted(signals.requested())

    # ---- the loss ----

    def _next_bad_step(self, trainer: L.Trainer, outputs: Any, batch: Any, batch_idx: int) -> BadStep | None:
        """The step before this one if its loss was no finite number; on a processor, already this one.

        On a GPU the answer is fetched while the next step runs: waiting for it at once would cost time each step.
        """
        if (loss := _loss(outputs)) is None:
            return None
        step = BadStep(trainer.global_step - 1, trainer.current_epoch, "loss", batch_idx)
        finite, event = loss.detach().isfinite().all(), None
        if finite.is_cuda:
            bad = self._take_bad_step()
            finite, event = finite.to("cpu", non_blocking=True), torch.cuda.Event()
            event.record()
            self._unchecked = step, batch["index"], finite, event
            return bad
        self._unchecked = step, batch["index"], finite, None
        return self._take_bad_step()

    def _take_bad_step(self) -> BadStep | None:
        """The step whose loss was fetched last, if it is bad."""
        unchecked, self._unchecked = self._unchecked, None
        if unchecked is None:
            return None
        step, index, finite, event = unchecked
        if event is not None:
            event.synchronize()
        return None if finite else replace(step, index=index.tolist())

    def _give_up(self, trainer: L.Trainer, bad: BadStep | None) -> None:
        """Leave what a replay needs, and end the run on all processes."""
        reported = [one for one in gather(bad) if one]
        first = min(reported, key=lambda one: one.step)
        first = replace(first, index=[position for one in reported for position in one.index])
        if trainer.is_global_zero:
            write_json(self.run.not_finite, asdict(first))
        what = "the loss is" if first.what == "loss" else "weights are"
        raise NotFinite(
            f"{what} NaN or infinite at step {first.step} (epoch {first.epoch}); "
            f"`bench replay {self.run.path}` finds where it began"
        )


def save_seconds() -> float:
    """Seconds between checkpoints in mid-epoch: 10 minutes unless the environment says otherwise."""
    given = os.environ.get(SAVE_SECONDS, "600")
    try:
        return float(given)
    except ValueError:
        raise RequestError(f"{SAVE_SECONDS} must be a number of seconds, got {given!r}") from None
