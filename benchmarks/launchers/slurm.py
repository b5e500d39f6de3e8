"""Cells over a SLURM cluster: a job a cell, given in together; then one waits for all of them.

Whoever gives the jobs in may die: each cell's folder names its job, and the same command then finds the jobs again.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from disentangle_bench.benchmarks.launchers import slurm_queue
from disentangle_bench.benchmarks.launchers.base import ExitReport, Launch, LaunchResult, Scheduler
from disentangle_bench.benchmarks.launchers.slurm_submission import remove_empty, submit
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.folder import ExitStatus, RunFolder

LOOK_SECONDS, QUEUE_SECONDS = 1.0, 10.0
"""Between looks at the cells' files, and between questions to SLURM, which serves others too."""


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
        """Nothing, for the same reason."""


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
        """The jobs in SLURM's queue (None: it isn't answering), asked every `QUEUE_SECONDS`, and when it was asked."""
        if not self._asked or time.monotonic() - self._asked > QUEUE_SECONDS:
            asked = slurm_queue.ask_queue()
            if asked.jobs is None:
                print(f"SLURM isn't answering, waiting ({asked.problem})", file=sys.stderr)
            self._queue, self._asked = asked.jobs, time.monotonic()
        return self._queue, self._asked
