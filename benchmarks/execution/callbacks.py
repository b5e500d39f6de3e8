"""What watches the training of a cell."""

from __future__ import annotations

import os
import random
import signal
import time
from enum import IntEnum
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from disentangle_bench.benchmarks import signals as stopping
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution import costs as metering
from disentangle_bench.benchmarks.execution.failures import NotFinite
from disentangle_bench.benchmarks.runs.progress_file import Status
from disentangle_bench.evaluation.records import write_json

SAVE_SECONDS = "DISENTANGLE_BENCH_SAVE_SECONDS"
"""Environment variable: seconds of training between two checkpoints in mid-epoch."""
NOT_FINITE = "not_finite.json"
"""Where in a run's folder the step is named whose loss was NaN or infinite."""


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


class Costs(L.Callback):
    """What each process has used, over all starts (kept in the checkpoint)."""

    def __init__(self) -> None:
        self._meter: metering.Meter | None = None
        self._before: list[dict[str, Any]] = []

    def on_fit_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Start."""
        device = trainer.strategy.root_device
        self._meter = metering.Meter(device.index if device.type == "cuda" else None, trainer.local_rank == 0)

    def on_fit_end(self, *_: Any) -> None:
        """Stop."""
        self._before, self._meter = self.ranks(), None

    def ranks(self) -> list[dict[str, Any]]:
        """Figures of all processes up to now; all of them have to call it. Empty before training."""
        if self._meter is None:
            return self._before
        now = gather(self._meter.read())
        longest = max(len(now), len(self._before))  # another start may have had more processes, or fewer
        both = [[part[rank] for part in (self._before, now) if rank < len(part)] for rank in range(longest)]
        return [metering.add(*parts) if len(parts) == 2 else parts[0] for parts in both]

    def state_dict(self) -> dict[str, Any]:
        """Kept by Lightning in the checkpoint."""
        return {"ranks": self.ranks()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called by Lightning when it resumes."""
        self._before = state_dict["ranks"]


class GlobalStreams(L.Callback):
    """Keeps the global random streams of each process in the checkpoint, for what draws from them (dropout)."""

    def __init__(self) -> None:
        self._to_restore: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """As plain values and tensors, so that the checkpoint can be read without trusting it."""
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


class Verdict(IntEnum):
    """What is to be done after a step; of several processes the most urgent one counts."""

    GO_ON, SAVE, STOP, NOT_FINITE = range(4)


class Watch(Checkpoint):
    """After each step: is the loss a number, was somebody asked to stop, is a checkpoint due? And one each epoch.

    Processes agree by one number a step, so that all act after the same one. A method must have all its state changed
    before its `on_train_batch_end`, which Lightning calls after this callback's.

    Args:
        folder: of the run.
        every: seconds of training between checkpoints in mid-epoch.
    """

    def __init__(self, folder: Path, every: float):
        self.folder, self.every = folder, every
        self._saved = time.monotonic()
        self._looked_at: tuple[dict[str, Any], Tensor, torch.cuda.Event | None] | None = None
        self._group: Any = None

    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Signals ask to stop again: Lightning has put in its own handler, which would talk to other processes."""
        stopping.install()
        self._saved = time.monotonic()
        if dist.is_initialized() and dist.get_backend() != "gloo":
            self._group = dist.new_group(backend="gloo")  # on the processor: asking a GPU would wait for its whole step

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Act on what the processes agree on. After an epoch's last step its own checkpoint follows at once."""
        bad = self._next_bad_step(trainer, outputs, batch, batch_idx)
        verdict = Verdict.GO_ON
        if trainer.is_global_zero and time.monotonic() - self._saved >= self.every:
            verdict = Verdict.SAVE
        if stopping.requested():
            verdict = Verdict.STOP
        if bad is not None:
            verdict = Verdict.NOT_FINITE
        verdict = agree(verdict, self._group)
        if verdict == Verdict.NOT_FINITE:
            self._give_up(trainer, bad)
        if verdict == Verdict.GO_ON or trainer.is_last_batch:
            return
        self.save(trainer)
        if verdict == Verdict.STOP:
            self._stop()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning calls this after the method's own hook of that name."""
        self.save(trainer)
        verdict = agree(Verdict.STOP if stopping.requested() else Verdict.GO_ON, self._group)
        if verdict == Verdict.STOP:
            self._stop()

    def save(self, trainer: L.Trainer) -> None:
        """Write a checkpoint; every process takes part. One that holds NaN would only hide where it came from."""
        bad = self._take_bad_step()
        if bad is None and not all(bool(p.isfinite().all()) for p in trainer.lightning_module.parameters()):
            bad = {"step": trainer.global_step - 1, "epoch": trainer.current_epoch, "what": "weights"}
        if agree(Verdict.NOT_FINITE if bad else Verdict.GO_ON, self._group) == Verdict.NOT_FINITE:
            self._give_up(trainer, bad)
        trainer.save_checkpoint(self.folder / "checkpoints" / f"step={trainer.global_step}.ckpt")
        self._saved = time.monotonic()

    def _stop(self) -> None:
        if stopping.requested() is None:
            signal.raise_signal(signal.SIGTERM)  # another process was asked to: now this one is, too
        raise stopping.Interrupted(stopping.requested())

    # ---- the loss ----

    def _next_bad_step(self, trainer: L.Trainer, outputs: Any, batch: Any, batch_idx: int) -> dict[str, Any] | None:
        """The step before this one if its loss was no finite number; on a processor, already this one.

        On a GPU the answer is fetched while the next step runs: waiting for it at once would cost time each step.
        """
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is None:  # a method that optimises by hand need not return it
            return None
        step = {"step": trainer.global_step - 1, "epoch": trainer.current_epoch, "batch": batch_idx, "what": "loss"}
        step["index"] = batch["index"]
        finite, event = loss.detach().isfinite().all(), None
        if finite.is_cuda:
            bad = self._take_bad_step()
            finite, event = finite.to("cpu", non_blocking=True), torch.cuda.Event()
            event.record()
            self._looked_at = step, finite, event
            return bad
        self._looked_at = step, finite, None
        return self._take_bad_step()

    def _take_bad_step(self) -> dict[str, Any] | None:
        """What was looked at last, if it is bad."""
        looked_at, self._looked_at = self._looked_at, None
        if looked_at is None:
            return None
        step, finite, event = looked_at
        if event is not None:
            event.synchronize()
        return None if finite else step

    def _give_up(self, trainer: L.Trainer, bad: dict[str, Any] | None) -> None:
        """Leave what a replay needs, and end the run on all processes."""
        positions = bad.pop("index").tolist() if bad and "index" in bad else []
        told = [one for one in gather(bad and bad | {"index": positions}) if one]
        first = min(told, key=lambda one: one["step"])
        first["index"] = [position for one in told for position in one.get("index", [])]
        if trainer.is_global_zero:
            write_json(self.folder / NOT_FINITE, first)
        what = "the loss is" if first["what"] == "loss" else "weights are"
        raise NotFinite(
            f"{what} NaN or infinite at step {first['step']} (epoch {first['epoch']}); "
            f"`bench replay {self.folder}` finds where it began"
        )


def save_seconds() -> float:
    """Seconds between checkpoints in mid-epoch: 10 minutes unless the environment says otherwise."""
    given = os.environ.get(SAVE_SECONDS, "600")
    try:
        return float(given)
    except ValueError:
        raise RequestError(f"{SAVE_SECONDS} must be a number of seconds, got {given!r}") from None


def agree(verdict: Verdict, group: Any = None) -> Verdict:
    """The most urgent verdict of all processes; `group` is one that speaks gloo, None if all processes do anyhow."""
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return verdict
    highest = torch.tensor(int(verdict))
    dist.all_reduce(highest, dist.ReduceOp.MAX, group=group)
    return Verdict(int(highest))


def gather(value: Any) -> list[Any]:
    """The value of each process, in the order of their ranks."""
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
