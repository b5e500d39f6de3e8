"""The matrix over a SLURM cluster: a job a cell, all in one array, given in through submitit.

Whoever gives the jobs in may die: each cell's folder names its job, and the same command then finds the jobs again.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import redirect_stderr, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError
from submitit.helpers import Checkpointable

from disentangle_bench.benchmarks import signals as stopping
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.launchers import slurm_queue as slurm
from disentangle_bench.benchmarks.launchers.local import Launch, Outcome, failure_of, prepare
from disentangle_bench.benchmarks.launchers.progress import Board
from disentangle_bench.benchmarks.planning.cell import DONE, FAILURE, INTERRUPTED, LOCK, LOCKED, Cell
from disentangle_bench.benchmarks.runs import cleanup as leftovers
from disentangle_bench.benchmarks.runs import lock as locks
from disentangle_bench.benchmarks.runs.progress_file import read_status
from disentangle_bench.evaluation.records import write_json

FOLDER = ".jobs"
"""Of submitit's files, in the folder of all runs."""
LOOK_SECONDS, QUEUE_SECONDS = 1.0, 10.0
"""Between looks at the cells' files, and between questions to SLURM, which serves others too."""
SHOWN = 8
"""Running cells that have a bar of their own."""


class CellJob(Checkpointable):
    """What a job runs: one cell. Given in again as it is after a time-out, since the cell knows where it was.

    Args:
        folder: of the cell.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self) -> None:
        """Run the cell, in every task of the job."""
        from disentangle_bench.benchmarks.execution import run_cell as runner

        give_back = signal.getsignal(signal.SIGUSR2)  # submitit's: queue this job again, and exit
        job = submitit.JobEnvironment()
        if job.global_rank == 0:
            slurm.note_job(self.folder, job.job_id)
        log = os.open(self.folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        stopping.install()
        self.end(runner.main(self.folder), give_back)

    def end(self, code: int, give_back: Any) -> None:
        """Exit with the cell's status; one that was stopped for want of time is queued again first.

        Args:
            code: of the cell.
            give_back: submitit's handler of the signal that announces the end of the time.
        """
        if code != INTERRUPTED:
            sys.exit(DONE if code == LOCKED else code)
        if stopping.requested() == "SIGUSR2":
            try:
                give_back(signal.SIGUSR2, None)  # exits, except in a task that isn't the first
            except UncompletedJobError as error:
                reason = f"{error} (resources.max_requeues, resources.timeout_min)"
                write_json(self.folder / FAILURE, {"reason": reason, "traceback": "", "time": time.time()})
                raise
        elif (slurm.read_job(self.folder) or {}).get("cancelled"):
            sys.exit(INTERRUPTED)
        # Now SLURM has the word: after SIGTERM only it knows whether it will queue the job again, which it does only if
        # the job doesn't exit by itself. Some clusters send the other signal second.
        signal.signal(signal.SIGUSR2, give_back)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(3600)


def run(cells: list[Cell], launch: Launch, resources: dict[str, Any], detach: bool) -> Outcome:
    """Give in every cell that is neither complete nor on its way, then wait for all of them.

    Args:
        cells: of the matrix.
        launch: how they are run.
        resources: what a job gets, see `benchmarks.suite.RESOURCES`.
        detach: don't wait.

    Raises:
        RequestError: SLURM doesn't take the jobs.
    """
    outcome = Outcome(complete=[cell for cell in cells if cell.complete(launch.out)])
    for cell in outcome.complete:
        leftovers.sweep(cell.folder(launch.out))
    missing = [cell for cell in cells if cell not in outcome.complete]
    begun = time.time()
    jobs = submit(missing, launch, resources)
    if not detach:
        try:
            wait(missing, jobs, launch.out, outcome, begun)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"the jobs go on: `bench status --out {launch.out}` shows them, `bench cancel --out {launch.out}` "
                "ends them, the same command waits for them again"
            ) from None
        tidy(launch.out, set(jobs.values()))
    return outcome


def submit(cells: list[Cell], launch: Launch, resources: dict[str, Any]) -> dict[str, str]:
    """Give in an array of those cells that nobody is at; job ids of all cells that have one, by the cell's hash."""
    folder = launch.out / FOLDER
    (launch.out / FOLDER).mkdir(parents=True, exist_ok=True)
    try:
        with locks.hold(folder, seconds=60):  # two launchers must not both find a cell without a job
            queued = slurm.queue()
            sweep(launch.out, queued)
            jobs = {cell.hash: job["job"] for cell in cells if (job := slurm.read_job(cell.folder(launch.out)))}
            idle = [
                cell
                for cell in cells
                if jobs.get(cell.hash) not in queued and locks.holder(cell.folder(launch.out)) is None
            ]
            if idle:
                jobs |= _submit_array(idle, launch, resources)
    except slurm.NotAnswering as error:
        raise RequestError(f"--launcher slurm: {error}") from error
    except RequestError:
        remove_empty(folder, launch.out)
        raise
    except locks.Taken:
        raise RequestError(f"--launcher slurm: another process is giving in jobs for {launch.out}, try again") from None
    print(f"{len(idle)} jobs submitted, {len(cells) - len(idle)} were on their way already", file=sys.stderr)
    return jobs


def _submit_array(cells: list[Cell], launch: Launch, resources: dict[str, Any]) -> dict[str, str]:
    executor = submitit.AutoExecutor(
        launch.out.resolve() / FOLDER, cluster="slurm", slurm_max_num_timeout=resources["max_requeues"]
    )
    given: dict[str, Any] = {
        "name": "bench",
        "timeout_min": resources["timeout_min"],
        "cpus_per_task": launch.threads,
        "nodes": launch.nodes,
        "tasks_per_node": launch.devices,
        "slurm_array_parallelism": resources["max_parallel"],
        "slurm_srun_args": [f"--cpus-per-task={launch.threads}"],  # srun doesn't take it over from sbatch any more
    }
    if launch.accelerator == "gpu":
        given["gpus_per_node"] = launch.devices
    given |= {name: resources[name] for name in ("mem_gb",) if name in resources}
    given |= {
        f"slurm_{name}": resources[name]
        for name in ("partition", "account", "qos", "constraint", "setup")
        if name in resources
    }
    executor.update_parameters(**given)
    fresh = [cell.folder(launch.out) for cell in cells if not cell.folder(launch.out).exists()]
    folders = [prepare(cell, launch).resolve() for cell in cells]
    try:
        with redirect_stderr(StringIO()), executor.batch():  # sbatch's own lines are in the error
            jobs = [executor.submit(CellJob(folder)) for folder in folders]
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        for folder in fresh:
            shutil.rmtree(folder)
            remove_empty(folder.parent, folder.parent.parent)
        sweep(launch.out, {})
        said = " ".join(line for line in str(error).splitlines() if "error" in line) or str(error)
        raise RequestError(f"--launcher slurm: the jobs were not taken: {said}") from error
    for folder, job in zip(folders, jobs, strict=True):
        slurm.note_job(folder, job.job_id)
    return {cell.hash: job.job_id for cell, job in zip(cells, jobs, strict=True)}


def wait(cells: list[Cell], jobs: dict[str, str], out: Path, outcome: Outcome, begun: float) -> None:
    """Until every cell is complete, has failed, or has a job no more."""
    board = Board(len(cells) + len(outcome.complete), len(outcome.complete), min(SHOWN, len(cells)))
    waiting, asked, gone = list(cells), 0.0, {cell.hash: 0 for cell in cells}
    try:
        while waiting:
            fresh = time.monotonic() - asked > QUEUE_SECONDS
            if fresh:
                asked = time.monotonic()
                try:
                    queued = slurm.queue()
                except slurm.NotAnswering as error:
                    board.say(f"SLURM isn't answering, waiting ({error})")
                    fresh = False
            running = 0
            for cell in list(waiting):
                folder, job = cell.folder(out), jobs.get(cell.hash, "")
                held = locks.holder(folder) is not None
                if fresh:
                    gone[cell.hash] = 0 if held or job in queued else gone[cell.hash] + 1
                failure = failure_of(folder, since=begun)
                if not cell.complete(out) and failure is None and gone[cell.hash] > 1:  # not just in between
                    failure = f"job {job} ended without a record ({slurm.ending(job) or 'SLURM has forgotten how'})"
                if cell.complete(out) or failure:
                    waiting.remove(cell)
                    outcome.settle(cell, failure)
                    board.settled(cell, failure, time.time() - begun)
                elif held and running < min(SHOWN, len(cells)):
                    board.show(running, cell, read_status(folder))
                    running += 1
            time.sleep(LOOK_SECONDS)
    finally:
        board.close()


def tidy(out: Path, jobs: set[str]) -> None:
    """Sweep once these jobs, whose cells have ended, have ended themselves; not worth waiting long for."""
    for _ in range(10):
        try:
            queued = slurm.queue()
        except slurm.NotAnswering:
            return
        if not jobs & queued.keys():
            break
        time.sleep(LOOK_SECONDS)
    sweep(out, queued)
    remove_empty(out / FOLDER)  # else other jobs are on their way


def remove_empty(*folders: Path) -> None:
    """Remove those of these folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def sweep(out: Path, queued: dict[str, slurm.Queued]) -> None:
    """Remove submitit's files of jobs that are over and that no cell names, and those of no job at all."""
    named = {job["job"] for path in out.glob(f"*/*/*/{slurm.JOB}") if (job := slurm.read_job(path.parent))}
    kept = {job.partition("_")[0] for job in named | queued.keys()}
    for path in (out / FOLDER).iterdir():
        if path.name.partition("_")[0] not in kept and path.name != LOCK:
            path.unlink(missing_ok=True)
