"""Resources of this machine: cores, accelerators, arithmetic; nothing here decides a result."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def count_cores() -> int:
    """Number of the processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_devices() -> tuple[str, int]:
    """The accelerator of cells: `gpu` and how many, else `cpu` and the number of cores."""
    import torch

    if torch.cuda.is_available():
        return "gpu", torch.cuda.device_count()
    return "cpu", count_cores()


def has_bf16(accelerator: str) -> bool:
    """Whether the device has bfloat16 arithmetic of its own."""
    if accelerator == "gpu":
        import torch

        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = _cpu_info()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def hardware() -> dict[str, Any]:
    """Processor, cores, memory in GB, and the GPU's name or None."""
    import psutil
    import torch

    names = (line.partition(":")[2].strip() for line in _cpu_info().splitlines() if line.startswith("model name"))
    return {
        "cpu": next(names, platform.processor() or platform.machine()),
        "cores": count_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _cpu_info() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
