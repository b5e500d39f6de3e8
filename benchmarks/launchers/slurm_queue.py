"""Jobs as SLURM's commands know them, submitit's files of them, and the note on its job in each cell's folder."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from disentangle_bench.benchmarks.execution.failures import LESS_MEMORY
from disentangle_bench.benchmarks.runs.folder import Job, RunFolder
from disentangle_bench.files import file_name
from disentangle_bench.json_files import write_json

LOCK = ".lock"
"""Name of the lock's file, beside submitit's files, that a launcher holds while it gives jobs in."""


class NotAnswering(RuntimeError):
    """One of SLURM's commands is not there or failed."""


@dataclass(frozen=True)
class Queue:
    """This user's jobs that wait or run, as far as SLURM says.

    Attributes:
        jobs: what each is at, by id (`12`, or `12_3` of an array): RUNNING, or `PENDING: Priority` with the reason;
            None if SLURM isn't answering.
        problem: why it isn't.
    """

    jobs: dict[str, str] | None
    problem: str = ""


def ask_queue(needed: bool = True) -> Queue:
    """The queue, whether SLURM answers or not; empty where it isn't `needed`."""
    try:
        return Queue(jobs() if needed else {})
    except NotAnswering as error:
        return Queue(None, str(error))


def jobs() -> dict[str, str]:
    """States of this user's jobs, see `Queue`; one call for all of them.

    Raises:
        NotAnswering: squeue didn't.
    """
    listed = _call("squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i|%T|%r")
    rows = [line.split("|") for line in listed.splitlines() if line.count("|") >= 2]  # not what a site prints besides
    return {job: f"{state}: {reason}" if state == "PENDING" else state for job, state, reason, *_ in rows}


def exit_state(job: str) -> str:
    """Final state of a job that has left the queue, as far as SLURM still knows (it forgets after minutes).

    One that was killed for want of memory could leave no word itself, so what to do is said here.
    """
    try:
        shown = _call("scontrol", "show", "job", job, "--oneliner")
    except NotAnswering:
        return ""
    known = dict(word.split("=", 1) for word in shown.split() if "=" in word)
    state = known.get("JobState", "")
    advice = f"; give it more, --set resources.mem_gb=GIGABYTES, or {LESS_MEMORY}" if state == "OUT_OF_MEMORY" else ""
    return f"{state}, exit code {known.get('ExitCode', '?')}{advice}"


def cancel(jobs: Iterable[str]) -> None:
    """Take jobs out of the queue; those that run are asked to stop first.

    Raises:
        NotAnswering: scancel didn't.
    """
    _call("scancel", *jobs)


def note_job(run: RunFolder, job: str, cancelled: bool = False) -> None:
    """Leave word of a cell's job beside the cell, for whoever comes after the launcher is gone."""
    write_json(run.job, asdict(Job(job, time.time(), cancelled)))


def folder_of(out: Path) -> Path:
    """Folder of submitit's files in the folder of all runs."""
    return out / ".jobs"


def log_of(out: Path, job: str) -> Path:
    """Standard error of a job's first task, from before its cell had a log."""
    return folder_of(out) / file_name(job, "_0_log.err")


def sweep(out: Path, queued: dict[str, str]) -> None:
    """Remove submitit's files of jobs that are over and that no cell names, and those of no job at all."""
    named = {job.id for run in RunFolder.all_in(out) if (job := run.read_job())}
    kept = {job.partition("_")[0] for job in named | queued.keys()}
    with suppress(FileNotFoundError):  # another launcher has removed the folder, which was empty
        for path in folder_of(out).iterdir():
            if path.name.partition("_")[0] not in kept and path.name != LOCK:
                path.unlink(missing_ok=True)


def _call(*command: str) -> str:
    # What a user's shell has squeue leave out (SQUEUE_STATES, SQUEUE_PARTITION) would pass for jobs that are over.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAnswering(f"{command[0]}: {error}") from error
    if done.returncode:
        raise NotAnswering(f"{command[0]}: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
    return done.stdout
