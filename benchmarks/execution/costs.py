"""Costs of a process: time, memory, and energy where the hardware has a meter for it (never estimated)."""

from __future__ import annotations

import logging
import resource
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

import lightning as L
import pynvml
import torch

from disentangle_bench.benchmarks.execution.distributed import gather

log = logging.getLogger(__name__)
RAPL = Path("/sys/class/powercap")
"""Folder of Linux's energy meters of the processor's packages."""
COUNTERS = ("energy_uj", "max_energy_range_uj")


class Used(TypedDict):
    """Costs of one process; a plain dict, since checkpoints hold no class."""

    seconds: float
    cpu_seconds: float
    peak_memory_mb: float
    energy_j: float | None


@dataclass(frozen=True)
class Cost:
    """Costs of training a cell: `train_seconds` by the slowest process, `ranks` by process."""

    train_seconds: float = 0.0
    images_seen: int = 0
    forward_passes: int = 0
    images_per_second: float = 0.0
    parameters: int = 0
    encoder_parameters: int = 0
    devices: int = 1
    ranks: list[dict[str, Any]] = field(default_factory=list)


class Meter:
    """Running figures of this process, from its making on.

    Args:
        gpu: index of the CUDA device that the process computes on; None: the processor.
        first_on_machine: whether this process reads the processor's meters, which are the whole machine's: of several
            processes side by side one does, so that figures add up.
    """

    def __init__(self, gpu: int | None, first_on_machine: bool):
        self.gpu, self.first_on_machine = gpu, first_on_machine
        self._start, self._cpu_start = time.perf_counter(), time.process_time()
        self._joules = self._read_joules()

    def read(self) -> Used:
        """Seconds, seconds of processor time, largest memory (of the GPU, or resident), joules since the start."""
        now, joules = self._read_joules(), None
        if now is not None and self._joules is not None and now.keys() == self._joules.keys():
            spent = {name: now[name][0] - self._joules[name][0] for name in now}
            joules = sum(value + (now[name][1] if value < 0 else 0) for name, value in spent.items())
        return {
            "seconds": round(time.perf_counter() - self._start, 2),
            "cpu_seconds": round(time.process_time() - self._cpu_start, 2),
            "peak_memory_mb": peak_memory_mb(),
            "energy_j": None if joules is None else round(joules, 1),
        }

    def _read_joules(self) -> dict[str, tuple[float, float]] | None:
        """Meter -> (joules, joules at which it starts again); None where there is no meter or no right to read it."""
        if self.gpu is not None:
            return _gpu_joules(self.gpu)
        return _package_joules() if self.first_on_machine else None


def _gpu_joules(gpu: int) -> dict[str, tuple[float, float]] | None:
    """NVIDIA's total energy counter of one GPU; where there is no driver or no counter the log says so."""
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(gpu).uuid}")
        return {"gpu": (pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3, 0.0)}
    except pynvml.NVMLError as error:
        _warn_once(f"energy of GPU {gpu} isn't recorded: {error}")
        return None


@cache
def _warn_once(message: str) -> None:
    log.warning(message)


def _package_joules() -> dict[str, tuple[float, float]] | None:
    """Running average power limit (RAPL) counters of the processor's packages."""
    try:
        packages = [zone for zone in RAPL.glob("intel-rapl:*") if zone.name.count(":") == 1]  # parts have two numbers
        read = {zone.name: [int((zone / name).read_text()) / 1e6 for name in COUNTERS] for zone in packages}
        return {name: (joules, limit) for name, (joules, limit) in read.items()} or None
    except (OSError, ValueError):  # readable by root alone on most systems
        return None


def peak_memory_mb() -> float:
    """Largest memory this process has had: of the GPU where there is one, else resident."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def add(before: Used, now: Used) -> Used:
    """Figures of two parts of a run; energy is known only if it is known of both."""
    joules = (before["energy_j"], now["energy_j"])
    return {
        "seconds": round(before["seconds"] + now["seconds"], 2),
        "cpu_seconds": round(before["cpu_seconds"] + now["cpu_seconds"], 2),
        "peak_memory_mb": max(before["peak_memory_mb"], now["peak_memory_mb"]),
        "energy_j": None if joules[0] is None or joules[1] is None else round(joules[0] + joules[1], 1),
    }


class CostMeter(L.Callback):
    """Measures the costs of each process while training, over all starts (kept in the checkpoint)."""

    def __init__(self) -> None:
        self._meter: Meter | None = None
        self._before: list[Used] = []

    def on_fit_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Start to measure what this process uses."""
        device = trainer.strategy.root_device
        self._meter = Meter(device.index if device.type == "cuda" else None, trainer.local_rank == 0)

    def on_fit_end(self, *_: Any) -> None:
        """Keep what was used."""
        self._before, self._meter = self.ranks(), None

    def ranks(self) -> list[Used]:
        """Figures of all processes up to now; all of them have to call it. Empty before training."""
        if self._meter is None:
            return self._before
        now = gather(self._meter.read())
        longest = max(len(now), len(self._before))  # another start may have had more processes, or fewer
        both = [[part[rank] for part in (self._before, now) if rank < len(part)] for rank in range(longest)]
        return [add(*parts) if len(parts) == 2 else parts[0] for parts in both]

    def state_dict(self) -> dict[str, Any]:
        """Kept by Lightning in the checkpoint."""
        return {"ranks": self.ranks()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called by Lightning when it resumes."""
        self._before = state_dict["ranks"]
