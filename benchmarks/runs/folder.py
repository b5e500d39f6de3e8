"""A run's folder: the name of everything in it, and the one answer to how the run fares.

The files are written by several processes, any of which may be killed, and a folder may be copied, edited or of another
version: what doesn't read as it should is named and never takes anybody else's run along.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, TypeVar

import psutil

from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.lock import ProcessId
from disentangle_bench.evaluation import outcomes, records
from disentangle_bench.json_files import BadJson, read, write_json

T = TypeVar("T")
WITH_MACHINE = {"CONFIGURING", "RUNNING", "COMPLETING"}
"""States of a cluster's job that doesn't wait any more."""
NO_JOBS: Mapping[str, str] = {}
"""Jobs of a cluster where nothing was given to one."""


class State(StrEnum):
    """How a run fares, in the order in which a table shows it."""

    RUNNING = "running"
    QUEUED = "queued"
    FAILED = "failed"
    STOPPED = "stopped"  # because it was asked to; it can go on
    STALE = "stale"  # its process or job died without a word
    UNKNOWN = "unknown"  # a file of its folder can't be read, or the cluster isn't answering
    NOT_STARTED = "not started"
    COMPLETE = "complete"


class ExitStatus(IntEnum):
    """Exit status of a run's process."""

    DONE = 0
    FAILED = 1
    LOCKED = 75  # another process is at the run
    INTERRUPTED = 130  # it was asked to stop, and can go on


@dataclass(frozen=True)
class CellLaunch:
    """How one cell is run; nothing here changes a result.

    Attributes:
        command: as the user gave it, for the record.
        code: the user's folder, where `my_file.MyMethod` is found; empty: the current one.
        accelerator: cpu or gpu.
        devices: on each machine.
        nodes: machines.
        device_ids: the machine's GPUs that it gets; empty on a processor.
        threads: of the processor, where the suite doesn't say.
        logger: csv; wandb, or the dotted path of another class, besides.
        git: commit of the code that was loaded, and whether it had changes.
        launcher: the `bench run` that it belongs to.
    """

    command: str
    code: str = ""
    accelerator: str = "cpu"
    devices: int = 1
    nodes: int = 1
    device_ids: tuple[int, ...] = ()
    threads: int = 1
    logger: str = "csv"
    git: dict[str, Any] = field(default_factory=dict)
    launcher: ProcessId = field(default_factory=ProcessId)


@dataclass(frozen=True)
class RunConfig:
    """`config.json`: the cell, and how it is run."""

    cell: Cell
    launch: CellLaunch


@dataclass(frozen=True)
class Progress:
    """`status.json`: how far a run is, `done` of `total` steps of a phase (total 0: unknown), and why it stopped."""

    phase: str = "starting"
    done: int = 0
    total: int = 0
    note: str = ""
    since: float = 0.0
    stopped: str = ""

    def __str__(self) -> str:
        so_far = f" {self.done}/{self.total}" if self.total else ""
        return self.phase + so_far + (f", {self.note}" if self.note else "")


@dataclass(frozen=True)
class Failure:
    """`failure.json`: why a run was given up, and when (seconds since 1970)."""

    reason: str
    time: float
    traceback: str = ""


@dataclass(frozen=True)
class Job:
    """`job.json`: the cluster's job that a run was last given to, when, and whether it was cancelled since."""

    id: str
    time: float
    cancelled: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9]+(_[0-9]+)?", self.id):  # it is handed to the cluster's commands
            raise ValueError(f"{self.id!r:.60} is no job's number")


@dataclass(frozen=True)
class Snapshot:
    """A run as its folder shows it at one moment.

    Attributes:
        state: the answer.
        detail: why it failed, waits, stopped or can't be told.
        since: start of what it does now, or end of what it did (seconds since 1970); 0: unknown.
        progress: the last it said.
        holder: process that is at it.
        launcher: living `bench run` that will start it, or has; one of another machine is taken to live.
        job: the cluster's job that it was last given to.
        failure: why it was last given up, whatever came after.
    """

    state: State
    detail: str = ""
    since: float = 0.0
    progress: Progress = Progress()
    holder: ProcessId | None = None
    launcher: ProcessId | None = None
    job: Job | None = None
    failure: Failure | None = None


class RunFolder:
    """The folder of one run; its name is the cell's hash.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path):
        self.path, self.hash = path, path.name
        self.config = path / "config.json"
        self.record = path / records.FILE
        self.outcomes = path / outcomes.FILE
        self.code = path / records.CODE
        self.failure = path / "failure.json"
        self.progress = path / "status.json"
        self.job = path / "job.json"
        self.trained = path / "trained.json"
        self.not_finite = path / "not_finite.json"  # the step whose loss was NaN or infinite
        self.log = path / "log.txt"
        self.curves = path / "logs"
        self.lock = path / ".lock"
        self.checkpoints = path / "checkpoints"
        self.features = path / "features"
        self.weights = path / "method.safetensors"  # of the trained method, to embed with it again
        self.encoder = path / "encoder.safetensors"  # the backbone alone, under its own tensor names

    @classmethod
    def all_in(cls, out: Path) -> Iterator[RunFolder]:
        """Every run under the folder of all runs, planned, begun or complete, in the order of their paths."""
        found = {path.parent for name in ("config.json", records.FILE) for path in out.glob(f"*/*/*/{name}")}
        return map(cls, sorted(found))

    @property
    def out(self) -> Path:
        """The folder of all runs."""
        return self.path.parents[2]

    def write_config(self, config: RunConfig) -> None:
        """Write `config.json`, unless it says the same already (a cell is prepared both to wait and to start)."""
        with suppress(BadJson):
            if self.read_config() == config:
                return
        write_json(self.config, asdict(config))

    def read_config(self) -> RunConfig:
        """Read `config.json`. Raises BadJson if it is missing or damaged."""
        if (config := read(RunConfig, self.config)) is None:
            raise BadJson(f"{self.config.name}: missing")
        return config

    def is_complete(self, measures: list[str]) -> bool:
        """Whether a valid record of this cell with every one of these measures is there."""
        try:
            record = records.read_record(self.record)
            return record["cell"]["hash"] == self.hash and set(measures) <= set(record["config"]["measures"])
        except (records.BadRecord, KeyError, TypeError):
            return False

    def read_progress(self) -> Progress:
        """The last thing the run said; phase `starting` if it hasn't yet, or can't be read."""
        try:
            return read(Progress, self.progress) or Progress()
        except BadJson:
            return Progress()

    def read_job(self) -> Job | None:
        """The job that the run was last given to, if any is known."""
        try:
            return read(Job, self.job)
        except BadJson:
            return None

    def fail(self, reason: str, traceback: str = "") -> None:
        """Leave word of why the run was given up."""
        write_json(self.failure, asdict(Failure(reason, time.time(), traceback)))

    def state(self, jobs: Mapping[str, str] | None = NO_JOBS) -> Snapshot:
        """How the run fares, from one look at its files.

        Args:
            jobs: what the cluster says of its jobs that wait or run: id -> RUNNING and so on, or `PENDING: Priority`
                with the reason. None: it isn't answering.
        """
        holder = lock.holder(self.lock)
        problems: list[str] = []
        config, job = self._try(RunConfig, self.config, problems), self._try(Job, self.job, problems)
        progress = self._try(Progress, self.progress, problems) or Progress()
        failure = self._try(Failure, self.failure, problems)
        launcher = _living(config.launch.launcher) if config else None

        def found(state: State, detail: str = "", since: float = 0.0) -> Snapshot:
            return Snapshot(state, detail, since, progress, holder, launcher, job, failure)

        if holder is not None:
            return found(State.RUNNING, since=progress.since)
        if self.is_complete(config.cell.measures if config else []):
            return found(State.COMPLETE, since=_changed(self.record))
        if problems:
            return found(State.UNKNOWN, "; ".join(problems), _changed(self.config))
        if job and jobs is None:
            return found(State.UNKNOWN, "the cluster isn't answering", job.time)
        if job and jobs is not None and job.id in jobs:
            has_machine = jobs[job.id] in WITH_MACHINE
            return found(State.RUNNING if has_machine else State.QUEUED, "" if has_machine else jobs[job.id], job.time)
        if failure:
            return found(State.FAILED, failure.reason, failure.time)
        if not job and not self.log.exists():
            if launcher is None:
                return found(State.NOT_STARTED, since=_changed(self.config))
            return found(State.QUEUED, "waits for its turn in `bench run`", _changed(self.config))
        if progress.stopped:
            return found(State.STOPPED, f"asked to by {progress.stopped}", _changed(self.progress))
        alone = launcher is not None or config is None or not config.launch.launcher.pid
        ended = f"job {job.id}" if job else "its process" if alone else "its process and the command that started it"
        return found(State.STALE, f"{ended} ended without a word", progress.since or _changed(self.config))

    def _try(self, cls: type[T], path: Path, problems: list[str]) -> T | None:
        try:
            return read(cls, path)
        except BadJson as bad:
            problems.append(str(bad))
            return None


def _living(process: ProcessId) -> ProcessId | None:
    return process if process.pid and (not process.here or process.find()) else None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def belongs_to(process: ProcessId, launcher: ProcessId | None) -> bool:
    """Whether a process of this machine was started by that launcher, directly or not."""
    if launcher is None or not launcher.here:
        return False
    try:
        found = process.find()
        return found is not None and launcher.pid in {above.pid for above in found.parents()}
    except psutil.Error:
        return False
