"""Cells over a SLURM cluster: a job a cell, in arrays, given in through submitit.

Whoever gives the jobs in may die: each cell's folder names its job, and the same command then finds the jobs again.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
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
from disentangle_bench.benchmarks.launchers.base import (
    RANK_VARIABLES,
    ExitReport,
    Launch,
    LaunchResult,
    Scheduler,
    environment,
    prepare,
)
from disentangle_bench.benchmarks.launchers.slurm_job import CellJob
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.planning.trial import setup_data
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.folder import ExitStatus, RunFolder
from disentangle_bench.datamodules.batches.loader import MOST_WORKERS, workers_for

LOOK_SECONDS, QUEUE_SECONDS = 1.0, 10.0
"""Between looks at the cells' files, and between questions to SLURM, which serves others too."""
GPU_OPTIONS = {"gres", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task"}
"""Of sbatch: whoever gives one of them has said which GPUs a job gets."""
CORES = 4
"""For each process of a job where the suite says no number of threads: what measures fit is fitted on the processor."""
MOST_JOBS = 1000
"""In one array: what SLURM takes unless a site says otherwise (MaxArraySize)."""
ENVIRONMENT = [
    *(f"export {name}={value}" for name, value in own_code.SAFE_PATH.items()),
    *(f"unset {name}" for name in sorted(RANK_VARIABLES) if not name.startswith("SLURM")),
]
"""Lines of shell before a job's command: what the shell that gave it in was itself among others is not the job's."""
KEPT = {"SLURM_CONF", "SLURM_CLUSTERS"}
"""Variables of SLURM's own that say which cluster is meant, not which job this is."""


class JobHandle:
    """A cell that is in the cluster's hands, or in those of a process that was at it before.

    Args:
        run: the cell's folder.
        job: its job's id, empty if it has none.
        measures: that its record must have.
        starter: that knows the queue.
    """

    def __init__(self, run: RunFolder, job: str, measures: list[str], starter: Starter):
        self.run, self.job, self.measures, self.starter = run, job, measures, starter
        self._gone = 0
        self._asked = 0.0

    def poll(self) -> ExitReport | None:
        """None while it is at work, or just between two things."""
        found = self.run.state()
        if self.run.is_complete(self.measures) or found.failure:
            return ExitReport()
        queue, asked = self.starter.queue()
        if asked != self._asked:  # a fresh answer
            self._asked = asked
            here = found.holder is not None or queue is None or self.job in queue
            self._gone = 0 if here else self._gone + 1
        if self._gone <= 1:
            return None
        if not self.job:
            return ExitReport(ExitStatus.FAILED, "the process that was at it ended without a record")
        how = slurm_queue.exit_state(self.job) or "SLURM has forgotten how"
        return ExitReport(ExitStatus.FAILED, f"job {self.job} ended without a record ({how})")

    def stop(self) -> None:
        """Jobs go on without whoever waits for them; `bench cancel` ends them."""

    def kill(self) -> None:
        """Likewise."""


class Starter:
    """Hands out the jobs that were given in, all of them at once."""

    stop_seconds = 0.0

    def __init__(self, jobs: dict[str, str], out: Path, slots: int):
        self.jobs, self.out, self.slots = jobs, out, slots
        self.poll_seconds = LOOK_SECONDS
        self._queue: dict[str, str] | None = None
        self._asked = 0.0

    def start(self, cell: Cell, slot: int) -> JobHandle:
        """The job of a cell; the error of one that couldn't be given in for what is in its folder's way."""
        run = RunFolder(cell.folder(self.out))
        run.path.mkdir(parents=True, exist_ok=True)
        return JobHandle(run, self.jobs.get(cell.hash, ""), cell.measures, self)

    def queue(self) -> tuple[dict[str, str] | None, float]:
        """What SLURM says of the jobs (None: it isn't answering), asked now and then, and when it was asked."""
        if not self._asked or time.monotonic() - self._asked > QUEUE_SECONDS:
            asked = slurm_queue.ask_queue()
            if asked.jobs is None:
                print(f"SLURM isn't answering, waiting ({asked.problem})", file=sys.stderr)
            self._queue, self._asked = asked.jobs, time.monotonic()
        return self._queue, self._asked


def run(missing: list[Cell], launch: Launch, complete: int = 0) -> LaunchResult:
    """Give in every one of these cells that isn't on its way, then wait for all of them.

    Args:
        missing: cells without a complete record.
        launch: how they are run.
        complete: how many others are complete.

    Raises:
        RequestError: SLURM doesn't take the jobs.
    """
    jobs = submit(missing, launch)
    outcome = LaunchResult()
    if not launch.detach:
        try:
            outcome = Scheduler(missing, launch, Starter(jobs, launch.out, len(missing)), complete).run()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"the jobs go on: `bench status --out {launch.out}` shows them, `bench cancel --out {launch.out}` "
                "ends them, the same command waits for them again"
            ) from None
        tidy(launch.out, set(jobs.values()))
    return outcome


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
        """It can be used: whether SLURM is there has been asked before anything is given in."""
        return 1


def _executor(launch: Launch) -> SlurmExecutor:
    resources = launch.resources
    executor = _Executor(slurm_queue.folder_of(launch.out.resolve()), max_num_timeout=resources.max_requeues)
    own = GPU_OPTIONS & {name.replace("_", "-") for name in resources.sbatch}
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
        "additional_parameters": resources.sbatch,
        "srun_args": [f"--cpus-per-task={launch.threads}"],  # srun doesn't take it over from sbatch any more
    }
    known = {name: value for name, value in given.items() if value is not None}
    executor.update_parameters(**executor._convert_parameters(known))
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
    """Within it, jobs are given in as from a machine outside of all jobs.

    Who works in an interactive job has its sizes in the environment; a new job inherits them, and where it names its
    memory in another way its srun refuses both (SLURM_MEM_PER_CPU beside SLURM_MEM_PER_NODE).
    """
    sizes = {name for name in os.environ if name.startswith(("SLURM_", "SLURMD_", "SUBMITIT_"))} - KEPT
    with environment(sizes if "SLURM_JOB_ID" in os.environ else ()):
        yield


def tidy(out: Path, jobs: set[str]) -> None:
    """Sweep once these jobs, whose cells have ended, have ended themselves; not worth waiting long for."""
    queued: dict[str, str] = {}
    for _ in range(10):
        try:
            queued = slurm_queue.jobs()
        except slurm_queue.NotAnswering:
            return
        if not jobs & queued.keys():
            break
        time.sleep(LOOK_SECONDS)
    slurm_queue.sweep(out, queued)
    remove_empty(slurm_queue.folder_of(out))  # else other jobs are on their way


def remove_empty(*folders: Path) -> None:
    """Remove those of these folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
