"""Checks of a request before anything is written: folders, files, devices, launchers, names."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from disentangle_bench import extras
from disentangle_bench.benchmarks import machine
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.files import existing, find_files, write_file

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.planning.cell import Cell
    from disentangle_bench.benchmarks.planning.suite import Suite
    from disentangle_bench.evaluation.records import Problem, Record


RUNS = "results/runs"
"""The default of `--out`."""
MOST_JOBS = 1024
"""Cells side by side, and machines or devices for one: more is a mistake."""


def check_writable(folder: Path, option: str = "--out") -> None:
    """Raise RequestError if the folder cannot be made or written to; writes nothing."""
    there = existing(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise RequestError(f"{option} {folder}: {there} can't be written to, choose another folder")


def check_target(file: Path) -> None:
    """Raise RequestError if the file of `--to` cannot be written, or is no regular one; writes nothing."""
    if file.exists() and not file.is_file():
        raise RequestError(f"--to {file}: not a regular file, choose another name")
    check_writable(file.absolute().parent, "--to")


def write_target(file: Path, content: bytes | str) -> None:
    """Write a file whose name was given, and the folder that it shall lie in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, content)


def wandb_ready() -> bool:
    """Whether Weights & Biases needs no key (offline), or finds one where it looks itself."""
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun") or os.environ.get("WANDB_API_KEY"):
        return True
    return netrc.is_file() and "wandb" in netrc.read_text(encoding="utf-8")


def require_wandb(logger: str) -> None:
    """Raise RequestError if wandb is asked for and isn't installed, or would fail for want of a key."""
    if logger == "wandb" and (lack := extras.missing("wandb")):
        raise RequestError(f"--logger wandb {lack}")
    if logger == "wandb" and not wandb_ready():
        raise RequestError("--logger wandb: no key found; run `wandb login`, or set WANDB_MODE=offline")


def require_logger(logger: str, cell: Cell) -> None:
    """Raise RequestError if a logger that is named by its dotted path can't be made for a cell."""
    if logger not in ("csv", "wandb"):
        if "." not in logger:
            raise unknown("logger", logger, ("csv", "wandb", "lightning.pytorch.loggers.TensorBoardLogger"))
        from disentangle_bench.benchmarks.execution.loggers import try_out

        try_out(logger, cell)


def require_launcher(
    launcher: str, request: Suite, devices: int, nodes: int, jobs: int | None, detach: bool, dry_run: bool = False
) -> None:
    """Raise RequestError if cells can't be launched as asked from here; a dry run needs no cluster."""
    for option, number in {"devices": devices, "nodes": nodes, "jobs": 1 if jobs is None else jobs}.items():
        if not 1 <= number <= MOST_JOBS:
            raise RequestError(f"--{option} {number:.0f}: at least 1 and at most {MOST_JOBS} may be")
    if launcher == "slurm":
        if jobs is not None:
            raise RequestError(f"--jobs {jobs} is of this machine; a cluster's: --set resources.max_parallel={jobs}")
        _require_slurm(request, devices, dry_run)
    elif nodes > 1 or detach:
        raise RequestError(f"--{'nodes' if nodes > 1 else 'detach'} needs a cluster: --launcher slurm")
    elif given := request.overrides.get("resources"):
        raise RequestError(
            f"--set resources.{next(iter(given))} is of a cluster's jobs: --launcher slurm; here, runs compute on the "
            "machine's GPUs if it has some (`bench doctor` lists them)"
        )


def _require_slurm(request: Suite, devices: int, dry_run: bool) -> None:
    """Raise RequestError if jobs can't be given to a cluster from here, or the request can't be planned here."""
    from disentangle_bench.benchmarks.launchers import slurm_queue

    if lack := extras.missing("submitit"):
        raise RequestError(f"--launcher slurm {lack}")
    if not dry_run:
        if missing := [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]:
            raise RequestError(
                f"--launcher slurm: no {missing[0]} on this machine; run this where jobs can be given in (with "
                "--dry-run it prints the batch file anywhere)"
            )
        try:
            slurm_queue.jobs()
        except slurm_queue.NotAnswering as error:
            raise RequestError(f"--launcher slurm: {error}") from error
    gpus = request.resources.gpus_per_node
    if gpus and gpus != devices:
        raise RequestError(
            f"resources.gpus_per_node is {gpus}, but a cell computes on --devices {devices}: the two must be the same"
        )
    if gpus != 0 and request.precision == "auto" and machine.find_devices()[0] != "gpu":
        raise RequestError(
            "precision: auto can't be told from here, where there is no GPU as the jobs will have: --set "
            "precision=bf16 or precision=fp32, or without GPUs resources.gpus_per_node=0"
        )


def require_devices(devices: int, accelerator: str, available: int) -> None:
    """Raise RequestError if a cell asks for more devices than there are."""
    if devices > available:
        raise RequestError(f"--devices {devices}: this machine has {available} ({accelerator})")


def refuse_foreign_checkpoints(cells: list[Cell], folder: Path) -> None:
    """Raise RequestError if a cell's folder holds checkpoints of another configuration."""
    from disentangle_bench.benchmarks.execution.checkpoint_io import check_owner
    from disentangle_bench.benchmarks.runs.folder import RunFolder

    for cell in cells:
        check_owner(RunFolder(cell.folder(folder)).checkpoints, cell.hash)


def name_skipped(problems: Iterable[Problem]) -> None:
    """Say on standard error which records are left out, and why."""
    for problem in problems:
        print(f"bench: skipped {problem.reason}", file=sys.stderr)


def name_mixtures(records: Iterable[Record]) -> None:
    """Say on standard error what runs of one table differ in, and which come from own code as it was before."""
    from disentangle_bench.evaluation.leaderboard.foot import mixtures
    from disentangle_bench.evaluation.leaderboard.naming import older_code

    records = list(records)
    for line in (*mixtures(records), *older_code(records)):
        print(f"bench: {line}", file=sys.stderr)


def require_known(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise RequestError for the first of the names that isn't known."""
    known = set(known)
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)


def require_recorded(kind: Literal["measure", "space"], names: Iterable[str], records: Iterable[Record]) -> None:
    """Raise RequestError for the first name that stands in no record; measures go by title (`linear@1`) or name."""
    there = {row[kind] for record in records for row in record["metrics"]}
    require_known(kind, names, there | {name.partition("@")[0] for name in there})


def check_board(folder: Path) -> None:
    """Raise RequestError if a board can't be written there, or would take the place of files that are none of one."""
    from disentangle_bench.evaluation import outcomes, records
    from disentangle_bench.evaluation.verify import RECORDS

    check_writable(folder, "--board")
    files = (path for path in (folder / RECORDS).rglob("*") if not path.is_dir())
    if strange := next((path for path in files if path.name not in (records.FILE, records.CODE, outcomes.FILE)), None):
        raise RequestError(f"--board {folder}: {strange} is no record and would go, choose another folder")


def require_runs(folder: Path, advice: str = "") -> None:
    """Raise RequestError if there is no record under the folder.

    Args:
        folder: of runs.
        advice: what gives some; `bench run` if not said.
    """
    from disentangle_bench.evaluation.records import FILE

    advice = advice or f"`bench run --out {folder}` makes some"
    if not folder.is_dir():
        raise RequestError(f"no runs in {folder}, there is no such folder: {advice}")
    if not find_files(folder, FILE):
        raise RequestError(f"no complete runs under {folder}: {advice}")


def require_folder(folder: Path) -> None:
    """Raise RequestError if a folder of runs that was named isn't there; where they lie by default none may be yet."""
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"--out {folder}: not a folder, name the one that was given to `bench run --out`")
    if folder != Path(RUNS) and not folder.exists():
        raise RequestError(f"--out {folder}: no such folder, name the one that was given to `bench run --out`")
