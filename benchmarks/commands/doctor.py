"""`bench doctor`: what this machine offers, and what to do about what is missing."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import torch
from tabulate import tabulate

from disentangle_bench import datamodules
from disentangle_bench.benchmarks.commands.preconditions import wandb_ready
from disentangle_bench.benchmarks.execution import provenance
from disentangle_bench.benchmarks.launchers import slurm_queue as slurm
from disentangle_bench.benchmarks.planning.plan import has_bf16
from disentangle_bench.datamodules.errors import DataNotFound
from disentangle_bench.datamodules.families.stored import StoredDataModule


def report(out: Path) -> str:
    """One line a topic: what was found, and what to do."""
    rows = [*_machine(), *_results(out), _cluster(), *_tracking(), *_data()]
    return tabulate(rows, headers=["", "found", "what to do"], maxcolwidths=[None, 60, 80])


def _machine() -> list[list[str]]:
    machine = provenance.hardware()
    accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [
        ["python", provenance.versions()["python"], ""],
        ["torch", torch.__version__, ""],
        ["processor", f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB", ""],
        ["GPUs", ", ".join(gpus) or "none", "" if gpus else "the suites `quick` and `smoke` are sized for a processor"],
        [
            "bf16",
            "yes" if has_bf16(accelerator) else "no",
            "" if has_bf16(accelerator) else "precision: auto means fp32 here",
        ],
    ]


def _results(out: Path) -> list[list[str]]:
    existing = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    writable = os.access(existing, os.W_OK)
    advice = "" if writable else f"make {existing} writable, or choose another folder with --out"
    return [
        ["results", f"{out} ({'writable' if writable else 'NOT writable'})", advice],
        ["disk", f"{free:.0f} GB free", "" if free > 5 else "free some: checkpoints and feature banks need it"],
    ]


def _cluster() -> list[str]:
    if shutil.which("sbatch") is None:
        return ["cluster", "no sbatch", ""]
    if find_spec("submitit") is None:
        return ["cluster", "SLURM, but no submitit", "pip install 'disentangle-bench[slurm]'"]
    try:
        return ["cluster", f"SLURM, {len(slurm.queue())} jobs of yours", "bench run --launcher slurm"]
    except slurm.NotAnswering as error:
        return ["cluster", "SLURM is not answering", str(error)]


def _tracking() -> list[list[str]]:
    if wandb_ready():
        return [["wandb", "ready", "--logger wandb sends runs to it, or keeps them if WANDB_MODE=offline"]]
    return [["wandb", "no key", "WANDB_MODE=offline bench run --logger wandb works without; `wandb login` to upload"]]


def _data() -> list[list[str]]:
    rows = []
    for name in datamodules.available():
        data = datamodules.build(name)
        if not isinstance(data, StoredDataModule):
            rows.append([name, "comes with this package", ""])
            continue
        try:
            rows.append([name, str(data.locate()), ""])
        except DataNotFound:
            rows.append([name, "not here", f"`bench data check {name}` says where to get it and where to put it"])
    return rows
