"""`bench doctor`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from disentangle_bench import extras
from disentangle_bench.benchmarks.commands import preconditions
from disentangle_bench.benchmarks.layout import facts
from disentangle_bench.files import existing


def command(*, out: str = "results/runs") -> int:
    """Say what this machine offers, and what to do about what is missing.

    Args:
        out: folder that runs would go to.
    """
    rows = [*_machine(), *_results(Path(out)), _cluster(), *_tracking()]
    print(facts("this machine", [(name, f"{found}; {advice}" if advice else found) for name, found, advice in rows]))
    print(f"\n{facts('data sets', _data())}")
    return 0


def _machine() -> list[list[str]]:
    import torch

    from disentangle_bench.benchmarks.execution.record import versions
    from disentangle_bench.benchmarks.machine import hardware, has_bf16
    from disentangle_bench.methods.views.pixels import compiled

    machine = hardware()
    accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [
        ["python", versions()["python"], ""],
        ["torch", torch.__version__, ""],
        ["processor", f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB", ""],
        ["GPUs", ", ".join(gpus) or "none", "" if gpus else "the suites `quick` and `smoke` are sized for a processor"],
        [
            "bf16",
            "yes" if has_bf16(accelerator) else "no",
            "" if has_bf16(accelerator) else "precision: auto means fp32 here",
        ],
        ["views", "compiled", ""] if compiled() else ["views", "in tensor operations", extras.missing("numba") or ""],
    ]


def _results(out: Path) -> list[list[str]]:
    there = existing(out)
    free = shutil.disk_usage(there).free / 2**30
    writable = os.access(there, os.W_OK)
    advice = "" if writable else f"make {there} writable, or choose another folder with --out"
    return [
        ["results", f"{out} ({'writable' if writable else 'NOT writable'})", advice],
        ["disk", f"{free:.0f} GB free", "" if free > 5 else "free some: checkpoints and encoded features need it"],
    ]


def _cluster() -> list[str]:
    if shutil.which("sbatch") is None:
        return ["cluster", "no sbatch", ""]
    if lack := extras.missing("submitit"):
        return ["cluster", "SLURM", lack]
    from disentangle_bench.benchmarks.launchers.slurm_queue import ask_queue

    queue = ask_queue()
    if queue.jobs is None:
        return ["cluster", "SLURM is not answering", queue.problem]
    return ["cluster", f"SLURM, {len(queue.jobs)} jobs of yours", "bench run --launcher slurm"]


def _tracking() -> list[list[str]]:
    if lack := extras.missing("wandb"):
        return [["wandb", "not installed", lack]]
    if preconditions.wandb_ready():
        return [["wandb", "ready", "--logger wandb sends runs to it, or keeps them if WANDB_MODE=offline"]]
    return [["wandb", "no key", "`WANDB_MODE=offline bench run --logger wandb` needs none; `wandb login` to upload"]]


def _data() -> list[tuple[str, str]]:
    """Names of data sets by where they are, and what to do about those that aren't here."""
    from disentangle_bench import datamodules
    from disentangle_bench.datamodules.errors import DataNotFound
    from disentangle_bench.datamodules.families.stored import StoredDataModule

    included, here, absent = [], [], []
    for name in datamodules.available():
        data = datamodules.build(name)
        if not isinstance(data, StoredDataModule):
            included.append(name)
            continue
        try:
            here.append((name, str(data.locate())))
        except DataNotFound:
            absent.append(name)
    advice = "`bench list datasets NAME` says where to get one and what to put where" if absent else ""
    return [("included", ", ".join(included)), *here, ("not here", ", ".join(absent)), ("what to do", advice)]
