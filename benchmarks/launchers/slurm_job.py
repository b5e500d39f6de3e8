"""The job that runs on a SLURM cluster."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import UncompletedJobError
from submitit.helpers import Checkpointable

from disentangle_bench.benchmarks import signals
from disentangle_bench.benchmarks.launchers import slurm_queue
from disentangle_bench.benchmarks.runs.folder import ExitStatus, RunFolder


class CellJob(Checkpointable):
    """Runs one cell. After a time-out the same job is queued again, and the cell goes on from its checkpoint.

    Args:
        folder: of the cell.
    """

    def __init__(self, folder: Path):
        self.run = RunFolder(folder)

    def __call__(self) -> None:
        """Run the cell, in every task of the job."""
        from disentangle_bench.benchmarks.execution import run_cell
        from disentangle_bench.benchmarks.execution.record import git_state

        requeue_handler = signal.getsignal(signal.SIGUSR2)  # submitit's: queue this job again, and exit
        job = submitit.JobEnvironment()
        if job.global_rank == 0:
            slurm_queue.note_job(self.run, job.job_id)
        log = os.open(self.run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signals.install()
        # the code as this job has loaded it, which may be newer than what gave it in
        self.end(run_cell.main(self.run, git_state()), requeue_handler)

    def end(self, status: ExitStatus, requeue_handler: Any) -> None:
        """Exit with the cell's status; one that was stopped for want of time is queued again first.

        Args:
            status: of the cell.
            requeue_handler: submitit's handler of the signal that announces the end of the time.
        """
        if status != ExitStatus.INTERRUPTED:
            sys.exit(ExitStatus.DONE if status == ExitStatus.LOCKED else status)
        noted = self.run.read_job()
        if signals.requested() == "SIGUSR2":
            try:
                requeue_handler(signal.SIGUSR2, None)  # exits, except in a task that isn't the first
            except UncompletedJobError as error:
                self.run.fail(f"{error} (resources.max_requeues, resources.timeout_min)")
                raise
        elif noted and noted.cancelled:
            sys.exit(ExitStatus.INTERRUPTED)
        # Now SLURM has the word: after SIGTERM only it knows whether it will queue the job again, which it does only if
        # the job doesn't exit by itself. Some clusters send the other signal second.
        signal.signal(signal.SIGUSR2, requeue_handler)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(3600)
