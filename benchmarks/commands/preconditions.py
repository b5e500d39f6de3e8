"""What a request needs of the machine: found out before anything is written."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from disentangle_bench.benchmarks.errors import RequestError

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.planning.cell import Cell
    from disentangle_bench.benchmarks.planning.suite import Suite


def check_writable(folder: Path) -> None:
    """Raise RequestError if the folder cannot be made or written to; writes nothing."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise RequestError(f"--out {folder}: {existing} can't be written to, choose another folder")


def wandb_ready() -> bool:
    """Whether Weights & Biases needs no key (offline), or finds one where it looks itself."""
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun") or os.environ.get("WANDB_API_KEY"):
        return True
    return netrc.is_file() and "wandb" in netrc.read_text(encoding="utf-8")


def require_wandb(logger: str) -> None:
    """Raise RequestError if wandb is asked for and would fail for want of a key."""
    if logger == "wandb" and not wandb_ready():
        raise RequestError("--logger wandb: no key found; run `wandb login`, or set WANDB_MODE=offline")


def require_slurm(request: Suite, devices: int) -> None:
    """Raise RequestError if jobs can't be given to a cluster from here, or the request can't be planned here."""
    from disentangle_bench.benchmarks.launchers import slurm_queue as slurm

    if find_spec("submitit") is None:
        raise RequestError("--launcher slurm needs submitit: pip install 'disentangle-bench[slurm]'")
    if missing := [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]:
        raise RequestError(f"--launcher slurm: no {missing[0]} on this machine; run this where jobs can be given in")
    try:
        slurm.queue()
    except slurm.NotAnswering as error:
        raise RequestError(f"--launcher slurm: {error}") from error
    gpus = request.resources.get("gpus_per_node")
    if gpus is not None and gpus != devices:
        raise RequestError(
            f"resources.gpus_per_node is {gpus}, but a cell computes on --devices {devices}: the two must be the same"
        )
    if gpus is not None and request.precision == "auto" and find_devices()[0] != "gpu":
        raise RequestError(
            "precision: auto can't be told from here, where there is no GPU: --set precision=bf16 or precision=fp32"
        )


def find_devices() -> tuple[str, int]:
    """What cells compute on: `gpu` and how many, else `cpu` and the number of cores."""
    import torch

    if torch.cuda.is_available():
        return "gpu", torch.cuda.device_count()
    return "cpu", count_cores()


def count_cores() -> int:
    """Of the processor, that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refuse_foreign_checkpoints(cells: list[Cell], folder: Path) -> None:
    """Raise RequestError if a cell's folder holds checkpoints of another configuration."""
    from disentangle_bench.benchmarks.execution.checkpoint_io import check_owner

    for cell in cells:
        check_owner(cell.folder(folder) / "checkpoints", cell.hash)


def require_runs(folder: Path) -> None:
    """Raise RequestError if there is no record under the folder."""
    from disentangle_bench.evaluation.records import FILE

    if next(folder.rglob(FILE), None) is None:
        raise RequestError(f"no complete runs under {folder}: `bench run --out {folder}` makes some")
