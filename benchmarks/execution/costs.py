"""What a process has used: time, memory, and energy where the hardware has a meter for it (never estimated)."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

RAPL = Path("/sys/class/powercap")
"""Where Linux shows the energy meters of the processor's packages."""
COUNTERS = ("energy_uj", "max_energy_range_uj")


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

    def read(self) -> dict[str, float | None]:
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
    """NVIDIA's total energy counter of one GPU."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(gpu).uuid}")
        return {"gpu": (pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3, 0.0)}
    except Exception:  # no pynvml, no NVIDIA driver, a GPU without a counter: no figure
        return None


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


def add(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Figures of two parts of a run; energy is known only if it is known of both."""
    both = {name: round(before[name] + now[name], 2) for name in ("seconds", "cpu_seconds")}
    known = before["energy_j"] is not None and now["energy_j"] is not None
    return both | {
        "peak_memory_mb": max(before["peak_memory_mb"], now["peak_memory_mb"]),
        "energy_j": round(before["energy_j"] + now["energy_j"], 1) if known else None,
    }
