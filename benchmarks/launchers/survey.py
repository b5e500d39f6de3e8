"""States of all cells of a folder, whoever started them, and cancelling them."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tabulate import tabulate

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.launchers import slurm_queue
from disentangle_bench.benchmarks.launchers.slurm_queue import note_job
from disentangle_bench.benchmarks.layout import several
from disentangle_bench.benchmarks.runs.folder import RunFolder, Snapshot, State, belongs_to
from disentangle_bench.benchmarks.runs.lock import ProcessId
from disentangle_bench.evaluation.leaderboard.naming import told_apart
from disentangle_bench.evaluation.records import BadRecord, read_record
from disentangle_bench.files import printable
from disentangle_bench.json_files import BadJson

ACTIVE = (State.RUNNING, State.QUEUED, State.UNKNOWN)
"""States of cells that a process or a job may be at; these can be cancelled."""
UNDERWAY = (State.RUNNING, State.STOPPED, State.STALE)
"""States in which the table shows how far a cell has come."""
EXPLAINED = (State.FAILED, State.STALE)
"""States whose reason and log are shown below the table."""
ENDED = (State.FAILED, State.STOPPED, State.STALE, State.NOT_STARTED)
"""States of cells that wait for somebody to give the command again."""
TAIL = 8
"""Lines of a failed cell's log that are shown."""


@dataclass(frozen=True)
class CellReport:
    """A cell as it was found.

    Attributes:
        title: of the cell, with what tells it apart from others of the same title (`told_apart`), or its folder's path
            if its configuration can't be read.
        run: its folder.
        found: how it fares.
        detail: why.
        has_namesakes: whether there are other cells of its title, such as one of its code before an edit.
    """

    title: str
    run: RunFolder
    found: Snapshot
    detail: str
    has_namesakes: bool = False

    @property
    def where(self) -> str:
        """Job, or host and process, that it is in the hands of."""
        job, holder, launcher = self.found.job, self.found.holder, self.found.launcher
        if job:
            return f"job {job.id}" + (f" on {holder.host}" if holder else "")
        return str(holder or launcher or "") if self.found.state in ACTIVE else ""

    def matches(self, name: str) -> bool:
        """Whether a name is the beginning of the cell's hash, or part of its title."""
        return self.run.hash.startswith(name) or name in self.title


def survey(out: Path) -> list[CellReport]:
    """Every cell that was ever started or given in under a folder, in the order of the table."""
    runs = list(RunFolder.all_in(out))
    queue = slurm_queue.ask_queue(needed=any(run.job.exists() for run in runs))
    surveyed = _told_apart([_look_at(run, queue) for run in runs])
    return sorted(surveyed, key=lambda one: (list(State).index(one.found.state), one.title))


def _look_at(run: RunFolder, queue: slurm_queue.Queue) -> CellReport:
    found, title = run.state(queue.jobs), str(run.path)
    try:
        cell = run.read_config().cell
        title = cell.title if cell.hash == run.hash else title
    except BadJson:  # its state says so; a run of a board has its record alone
        with suppress(BadRecord):
            entry = read_record(run.record)["cell"]
            title = f"{entry['dataset']}/{entry['method']} seed {entry['seed']}"
    detail = found.detail
    if found.state == State.UNKNOWN and queue.jobs is None:
        detail = queue.problem
    if found.state == State.STALE and found.job:
        detail += f" ({slurm_queue.exit_state(found.job.id) or 'SLURM has forgotten how'})"
    return CellReport(title, run, found, detail)


def _told_apart(surveyed: list[CellReport]) -> list[CellReport]:
    """The cells, with the settings that differ added to titles that several share."""
    by_title: dict[str, list[int]] = {}
    for place, one in enumerate(surveyed):
        by_title.setdefault(one.title, []).append(place)
    for places in by_title.values():
        if len(places) > 1:
            differing = told_apart([_config(surveyed[place].run) for place in places])
            for place, text in zip(places, differing, strict=True):
                one = surveyed[place]
                surveyed[place] = replace(one, title=f"{one.title} ({text})" if text else one.title, has_namesakes=True)
    return surveyed


def _config(run: RunFolder) -> dict[str, Any]:
    """A cell's configuration, of its record where nothing else tells."""
    with suppress(BadJson):
        return asdict(run.read_config().cell)
    with suppress(BadRecord):
        return dict(read_record(run.record)["config"])
    return {}


def report(out: Path) -> str:
    """The table of all cells, then why the failed ones did and the ends of their logs."""
    surveyed = survey(out)
    if not surveyed:
        return f"no cells under {out}: `bench run --out {out}` makes some"
    columns = {
        "state": [str(one.found.state) for one in surveyed],
        "cell": [one.title for one in surveyed],
        "progress": [str(one.found.progress) if one.found.state in UNDERWAY else "" for one in surveyed],
        "for": [_age(one.found.since) for one in surveyed],
        "where": [one.where for one in surveyed],
        "run": [one.run.hash if one.has_namesakes else "" for one in surveyed],
        "why": ["" if one.found.state in EXPLAINED else one.detail for one in surveyed],
    }
    parts = [
        tabulate(
            {name: cells for name, cells in columns.items() if any(cells)},
            "keys",
            maxcolwidths=60,
            disable_numparse=True,
        )
    ]
    if any(one.has_namesakes for one in surveyed):
        parts.append(
            "Cells of one name differ in what stands in brackets. To drop one that is no longer wanted, as of code "
            f"from before an edit, remove its folder: {out}/DATASET/METHOD/RUN"
        )
    for one in surveyed:
        if one.found.state in EXPLAINED:
            log = _log(one, out)
            parts.append(f"{one.found.state} {one.title}: {one.detail}\n  {log}\n{_tail(log)}")
    counts = [(sum(one.found.state == state for one in surveyed), state) for state in State]
    parts.append(f"{several(len(surveyed), 'cell')}: " + ", ".join(f"{n} {state}" for n, state in counts if n))
    if again := {command: None for one in surveyed if one.found.state in ENDED for command in _command(one.run)}:
        parts.append("\n  ".join(["what isn't complete goes on from where it was with", *again]))
    return "\n\n".join(parts)


def _command(run: RunFolder) -> list[str]:
    """The command that a cell was started with, quoted anew since a folder may be from anywhere; empty if unknown."""
    with suppress(BadJson, ValueError):
        words = shlex.split(run.read_config().launch.command)
        return [printable(shlex.join(words))] if words[:1] == ["bench"] else []
    return []


def _age(since: float) -> str:
    """`3 h`: time since a moment in seconds since 1970; empty for 0, an unknown one."""
    if not since:
        return ""
    seconds = max(int(time.time() - since), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _log(one: CellReport, out: Path) -> Path:
    """The cell's own log, or its job's if it didn't come to write one."""
    job, log = one.found.job, one.run.log
    return slurm_queue.log_of(out, job.id) if job and not log.exists() else log


def _tail(log: Path) -> str:
    try:
        with log.open(errors="replace") as lines:
            return "\n".join(f"  | {line.rstrip()}" for line in deque(lines, TAIL)) or "  | (nothing in it)"
    except OSError:
        return "  | (no log)"


def cancel(out: Path, names: list[str]) -> tuple[list[str], list[str]]:
    """Ask running cells to stop and take waiting ones out of SLURM's queue; without names all, their launchers too.

    Args:
        out: folder of all runs.
        names: beginnings of hashes, or parts of titles such as `simclr` or `digits/simclr seed 0`.

    Returns:
        Titles of the cells that were asked, and lines on those that can't be reached from here.

    Raises:
        RequestError: a name fits no cell that is running or queued.
    """
    active = [one for one in survey(out) if one.found.state in ACTIVE and (one.where or one.found.job)]
    for name in names:
        if not any(one.matches(name) for one in active):
            known = ", ".join(one.title for one in active) or "none"
            raise RequestError(f"cancel {name}: no such cell is running or queued under {out}; there are: {known}")
    asked: list[str] = []
    out_of_reach: list[str] = []
    jobs: list[str] = []
    processes: set[ProcessId] = set()
    for one in active:
        if names and not any(one.matches(name) for name in names):
            continue
        found = one.found
        launcher = found.launcher if found.launcher and found.launcher.here else None
        if found.holder and not belongs_to(found.holder, launcher):
            launcher = None
        if found.job:
            note_job(one.run, found.job.id, cancelled=True)
            jobs.append(found.job.id)
        elif launcher and not names:
            processes.add(launcher)
        elif launcher and found.state == State.QUEUED:
            out_of_reach.append(f"{one.title} {one.detail} ({one.where}), which ends with all of its cells only")
            continue
        elif found.holder and found.holder.find():
            processes.add(found.holder)
        else:
            out_of_reach.append(f"{one.title} is in the hands of {one.where}: cancel it there")
            continue
        asked.append(one.title)
    if jobs:
        try:
            slurm_queue.cancel(jobs)
        except slurm_queue.NotAnswering as error:
            raise RequestError(f"cancel: {error}") from error
    return asked, out_of_reach + _ask(processes)


def _ask(processes: set[ProcessId]) -> list[str]:
    """Ask processes of this machine to stop, each still the one that it was; lines on those that may not be asked."""
    refused = []
    for process in processes:
        try:
            if process.find():
                os.kill(process.pid, signal.SIGTERM)
        except ProcessLookupError:  # it ended meanwhile
            pass
        except PermissionError:
            refused.append(f"process {process.pid} belongs to another user")
    return refused
