"""Giving jobs in to SLURM: a job a cell, in arrays, through submitit."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.slurm.slurm import SlurmExecutor

from disentangle_bench import datamodules
from disentangle_bench.benchmarks import own_code
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.launchers import slurm_queue
from disentangle_bench.benchmarks.launchers.base import RANK_VARIABLES, Launch, environment, prepare
from disentangle_bench.benchmarks.launchers.slurm_job import CellJob
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.planning.trial import setup_data
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.datamodules.batches.loader import MOST_WORKERS, workers_for

GPU_OPTIONS = {"gres", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task"}
"""Options of sbatch by which a user says which GPUs a job gets; ours is then left out."""
CORES = 4
"""For each process of a job where the suite says no number of threads: what measures fit is fitted on the processor."""
MOST_JOBS = 1000
"""Most jobs in one array: SLURM's default of MaxArraySize."""
ENVIRONMENT = [
    *(f"export {name}={value}" for name, value in own_code.SAFE_PATH.items()),
    *(f"unset {name}" for name in sorted(RANK_VARIABLES) if not name.startswith("SLURM")),
]
"""Lines of shell before a job's command: what the shell that gave it in was itself among others is not the job's."""
KEPT = {"SLURM_CONF", "SLURM_CLUSTERS"}
"""Variables of SLURM's own that say which cluster is meant, not which job this is."""


def submit(cells: list[Cell], launch: Launch) -> dict[str, str]:
    """Give in those cells that nobody is at, as arrays; job ids of all cells that have one, by the cell's hash."""
    folder = slurm_queue.folder_of(launch.out)
    folder.mkdir(parents=True, exist_ok=True)
    runs = {cell.hash: RunFolder(cell.folder(launch.out)) for cell in cells}
    try:
        with lock.hold(folder / slurm_queue.LOCK, seconds=60):  # two launchers must not both find a cell without a job
            queued = slurm_queue.jobs()
            slurm_queue.sweep(launch.out, queued)
            jobs = {name: job.id for name, run in runs.items() if (job := run.read_job())}
            idle = [
                cell
                for cell in cells
                if jobs.get(cell.hash) not in queued and lock.holder(runs[cell.hash].lock) is None
            ]
            parts = [idle[k : k + MOST_JOBS] for k in range(0, len(idle), MOST_JOBS)]
            for part in parts:  # which share what may run at once
                at_once = max(1, launch.resources.max_parallel // len(parts))
                jobs |= _submit_array(part, replace(launch, resources=replace(launch.resources, max_parallel=at_once)))
    except slurm_queue.NotAnswering as error:
        raise RequestError(f"--launcher slurm: {error}") from error
    except RequestError:
        remove_empty(folder, launch.out)
        raise
    except lock.Taken:
        raise RequestError(f"--launcher slurm: another process is giving in jobs for {launch.out}, try again") from None
    print(f"{len(idle)} jobs submitted, {len(cells) - len(idle)} were on their way already", file=sys.stderr)
    return jobs


def script(missing: int, launch: Launch) -> str:
    """The batch file that `run` would give to sbatch for so many cells."""
    executor = _executor(launch)
    if missing > 1:
        executor.parameters["map_count"] = missing
    return executor._make_submission_file_text(executor._submitit_command_str, "")


def cores_for(cells: list[Cell], threads: int | None) -> int:
    """Cores that each process of a job asks for where the request doesn't say.

    Args:
        cells: of the request.
        threads: that the suite computes with; None: it doesn't say.

    Returns:
        `threads` or `CORES`, or one and one for each process that makes batches, whichever is more.
    """
    made = {}
    for cell in cells:
        key = (cell.dataset, cell.fingerprint, cell.data["num_workers"])
        if key not in made:
            made[key] = cell.data["num_workers"]
            if made[key] is None:
                data = setup_data(datamodules.find(cell.dataset), cell.data, cell.dataset)
                made[key] = workers_for(data.splits["train"], MOST_WORKERS)
    return max(threads or CORES, *(workers + 1 for workers in made.values()))


class _Executor(SlurmExecutor):
    """One that writes batch files where there is no SLURM, too."""

    @classmethod
    def affinity(cls) -> int:
        """Always usable for submitit: whether SLURM is there was asked before."""
        return 1


def _executor(launch: Launch) -> SlurmExecutor:
    resources = launch.resources
    executor = _Executor(slurm_queue.folder_of(launch.out.resolve()), max_num_timeout=resources.max_requeues)
    theirs = {name.replace("-", "_"): value for name, value in resources.sbatch.items()}  # as submitit calls its own
    own = GPU_OPTIONS & {name.replace("_", "-") for name in theirs}
    given: dict[str, Any] = {
        "name": "bench",
        "timeout_min": resources.timeout_min,
        "cpus_per_task": launch.threads,
        "nodes": launch.nodes,
        "tasks_per_node": launch.devices,
        "gpus_per_node": launch.devices if launch.accelerator == "gpu" and not own else None,
        "mem_gb": resources.mem_gb,
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "setup": [*ENVIRONMENT, *resources.setup],
        "array_parallelism": resources.max_parallel,
        "additional_parameters": theirs,
        "srun_args": [f"--cpus-per-task={launch.threads}"],  # srun doesn't take it over from sbatch any more
    }
    known = {name: value for name, value in given.items() if value is not None}
    executor.update_parameters(**executor._convert_parameters(known), wckey=None)  # not submitit's own
    return executor


def _submit_array(cells: list[Cell], launch: Launch) -> dict[str, str]:
    executor = _executor(launch)
    fresh = [cell.folder(launch.out) for cell in cells if not cell.folder(launch.out).exists()]
    runs = {}
    for cell in cells:
        with suppress(OSError):  # which is said when it would start
            runs[cell.hash] = prepare(cell, launch)
    try:
        with redirect_stderr(StringIO()), outside_of_jobs(), executor.batch():  # sbatch's own lines are in the error
            jobs = [executor.submit(CellJob(run.path.resolve())) for run in runs.values()]
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        for folder in fresh:
            shutil.rmtree(folder, ignore_errors=True)
            remove_empty(folder.parent, folder.parent.parent)
        slurm_queue.sweep(launch.out, {})
        said = " ".join(line for line in str(error).splitlines() if "error" in line) or str(error)
        hint = ""
        if launch.accelerator == "gpu" and launch.resources.gpus_per_node is None:
            hint = "; a job asks for GPUs unless told otherwise: --set resources.gpus_per_node=0"
        raise RequestError(f"--launcher slurm: the jobs were not taken: {said}{hint}") from error
    given_in = {name: job.job_id for name, job in zip(runs, jobs, strict=True)}
    for name, job in given_in.items():
        slurm_queue.note_job(runs[name], job)
    return given_in


@contextmanager
def outside_of_jobs() -> Iterator[None]:
    """Give jobs in within the block as from a machine outside of all jobs.

    Who works in an interactive job has its sizes in the environment; a new job inherits them, and where it names its
    memory in another way its srun refuses both (SLURM_MEM_PER_CPU beside SLURM_MEM_PER_NODE).
    """
    sizes = {name for name in os.environ if name.startswith(("SLURM_", "SLURMD_", "SUBMITIT_"))} - KEPT
    with environment(sizes if "SLURM_JOB_ID" in os.environ else ()):
        yield


def remove_empty(*folders: Path) -> None:
    """Remove those of these folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
