"""What SLURM knows of the cells: the job of each is noted in its folder, how it fares is asked of SLURM's commands."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disentangle_bench.benchmarks.planning.cell import JOB
from disentangle_bench.evaluation.records import write_json


class NotAnswering(RuntimeError):
    """One of SLURM's commands is not there or failed."""


@dataclass(frozen=True)
class Queued:
    """A job that waits or runs.

    Attributes:
        state: PENDING, RUNNING, COMPLETING and so on, as squeue says.
        reason: why it waits.
        where: machines that it runs on.
    """

    state: str
    reason: str
    where: str


def queue() -> dict[str, Queued]:
    """This user's jobs that wait or run, by id (`12`, or `12_3` of an array); one call for all of them.

    Raises:
        NotAnswering: squeue didn't.
    """
    listed = _call("squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i|%T|%r|%N")
    rows = [line.split("|") for line in listed.splitlines()]
    return {job: Queued(state, reason, where) for job, state, reason, where in rows}


def ending(job: str) -> str:
    """How a job that is no longer in the queue ended, as far as SLURM still knows (it forgets after minutes)."""
    try:
        shown = _call("scontrol", "show", "job", job, "--oneliner")
    except NotAnswering:
        return ""
    known = dict(word.split("=", 1) for word in shown.split() if "=" in word)
    return f"{known.get('JobState', '')}, exit code {known.get('ExitCode', '?')}"


def cancel(jobs: Iterable[str]) -> None:
    """Take jobs out of the queue; those that run are asked to stop first.

    Raises:
        NotAnswering: scancel didn't.
    """
    _call("scancel", *jobs)


def note_job(folder: Path, job: str, cancelled: bool = False) -> None:
    """Leave word of a cell's job beside the cell, for whoever comes after the launcher is gone."""
    write_json(folder / JOB, {"job": job, "time": time.time(), "cancelled": cancelled})


def read_job(folder: Path) -> dict[str, Any] | None:
    """The cell's last job (`job`, `time`, `cancelled`), or None."""
    try:
        return json.loads((folder / JOB).read_text())
    except (OSError, ValueError):
        return None


def _call(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAnswering(f"{command[0]}: {error}") from error
    if done.returncode:
        raise NotAnswering(f"{command[0]}: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
    return done.stdout
