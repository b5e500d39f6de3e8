"""`bench status` and `bench cancel`: what has become of every cell of a folder, whoever started it, and ending them."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tabulate import tabulate

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.launchers import slurm_queue as slurm
from disentangle_bench.benchmarks.planning.cell import CONFIG, FAILURE, Cell
from disentangle_bench.benchmarks.runs import lock as locks
from disentangle_bench.benchmarks.runs.progress_file import read_status
from disentangle_bench.evaluation.records import FILE as RECORD

ORDER = ("running", "queued", "failed", "interrupted", "stale", "unknown", "not started", "complete")
"""Of the table. `stale`: its process or job died without a word; `unknown`: SLURM isn't answering."""
ACTIVE = ("running", "queued", "unknown")
TAIL = 8
"""Lines of a failed cell's log that are shown."""


@dataclass(frozen=True)
class Seen:
    """A cell as it was found.

    Attributes:
        cell: what it is.
        folder: where it lies.
        state: one of ORDER.
        progress: phase and how far.
        since: start of what it does now, or end of what it did (seconds since 1970).
        where: job or host and process, if any.
        detail: why it failed, waits or stopped.
        launcher: the living `bench run` on this machine that it belongs to, or 0.
    """

    cell: Cell
    folder: Path
    state: str
    progress: str = ""
    since: float = 0.0
    where: str = ""
    detail: str = ""
    launcher: int = 0


def survey(out: Path) -> list[Seen]:
    """Every cell that was ever started or given in under a folder."""
    queue, problem = None, ""
    if any(out.glob(f"*/*/*/{slurm.JOB}")):
        try:
            queue = slurm.queue()
        except slurm.NotAnswering as error:
            problem = str(error)
    seen = [look(cell, path.parent, out, queue, problem) for path, cell in _cells(out)]
    return sorted(seen, key=lambda one: (ORDER.index(one.state), one.cell.title))


def _cells(out: Path) -> Iterator[tuple[Path, Cell]]:
    for path in sorted(out.glob(f"*/*/*/{CONFIG}")):
        try:
            yield path, Cell(**json.loads(path.read_text())["cell"])
        except (ValueError, TypeError, KeyError):
            continue  # of another version, or not ours


def look(cell: Cell, folder: Path, out: Path, queue: dict[str, slurm.Queued] | None, problem: str) -> Seen:
    """What one cell is at; `queue` is None if it isn't known, for the reason in `problem`."""
    status, job = read_status(folder), slurm.read_job(folder)
    holder = locks.holder(folder)
    queued = queue.get(job["job"]) if queue and job else None
    number = f"job {job['job']}" if job else ""
    progress = status["phase"] + (f" {status['done']}/{status['total']}" if status["total"] else "")
    progress += f", {status['note']}" if status["note"] else ""
    if holder is not None:
        who = locks.signature(folder)
        process = f"{who.get('host', '?')} pid {who.get('pid', '?')}"
        where = f"{number} on {who.get('host', '?')}" if queued else process
        return Seen(cell, folder, "running", progress, status.get("since", 0), where, launcher=_parent(folder, who))
    if cell.complete(out):
        return Seen(cell, folder, "complete", since=_changed(folder / RECORD))
    if queued and job:
        phase = {"CONFIGURING": "starting", "RUNNING": "starting", "COMPLETING": "ending"}.get(queued.state, "")
        detail = "" if phase else f"{queued.state}: {queued.reason}"
        return Seen(cell, folder, "running" if phase else "queued", phase, job["time"], number, detail)
    if job and problem:
        return Seen(cell, folder, "unknown", "", job["time"], number, problem)
    try:
        failure = json.loads((folder / FAILURE).read_text())
        return Seen(cell, folder, "failed", "", failure["time"], "", failure["reason"])
    except (OSError, ValueError):
        pass
    if not job and not (folder / "log.txt").exists():
        launcher = _launcher(folder)
        if not launcher:
            return Seen(cell, folder, "not started", since=_changed(folder / CONFIG))
        where, near = f"{launcher['host']} pid {launcher['pid']}", launcher["host"] == socket.gethostname()
        waiting = "waits for its turn in `bench run`"
        since = _changed(folder / CONFIG)
        return Seen(cell, folder, "queued", "", since, where, waiting, launcher["pid"] if near else 0)
    if "stopped" in status:
        return Seen(cell, folder, "interrupted", progress, _changed(folder / "status.json"), "", status["stopped"])
    ending = f" ({slurm.ending(job['job']) or 'SLURM has forgotten how'})" if job else ""
    detail = f"{number or 'its process'} ended without a word{ending}"
    return Seen(cell, folder, "stale", progress, status.get("since", _changed(folder / CONFIG)), "", detail)


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _launcher(folder: Path) -> dict[str, Any]:
    """Host and pid of the `bench run` that wrote the cell's configuration, empty if it is dead."""
    try:
        launcher = json.loads((folder / CONFIG).read_text())["launch"]["launcher"]
        if launcher["host"] != socket.gethostname():
            return launcher  # it can't be told from here
        lives = psutil.Process(launcher["pid"]).create_time() <= _changed(folder / CONFIG)  # else only the number does
        return launcher if lives else {}
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return {}


def _parent(folder: Path, who: dict[str, Any]) -> int:
    """The launcher of a process on this machine, 0 if it runs without."""
    launcher = _launcher(folder)
    try:
        above = {parent.pid for parent in psutil.Process(who["pid"]).parents()}
        return launcher["pid"] if who["host"] == socket.gethostname() and launcher["pid"] in above else 0
    except (KeyError, psutil.Error):
        return 0


def report(out: Path) -> str:
    """The table of all cells, then why the failed ones did and the ends of their logs."""
    seen = survey(out)
    if not seen:
        return f"no cells under {out}: `bench run --out {out}` makes some"
    explained = ("failed", "stale")
    rows = [
        [
            one.state,
            one.cell.title,
            one.progress,
            _age(one.since),
            one.where,
            "" if one.state in explained else one.detail,
        ]
        for one in seen
    ]
    parts = [tabulate(rows, headers=["state", "cell", "progress", "since", "where", "why"], maxcolwidths=60)]
    for one in seen:
        if one.state in explained:
            log = _log(one.folder, out)
            parts.append(f"{one.state} {one.cell.title}: {one.detail}\n  {log}\n{_tail(log)}")
    counts = ", ".join(f"{n} {state}" for state in ORDER if (n := sum(one.state == state for one in seen)))
    return "\n\n".join([*parts, f"{len(seen)} cells: {counts}"])


def _age(since: float) -> str:
    seconds = int(time.time() - since)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _log(folder: Path, out: Path) -> Path:
    """The cell's own log, or its job's if it didn't come to write one."""
    job = slurm.read_job(folder)
    return (
        out / ".jobs" / f"{job['job']}_0_log.err" if job and not (folder / "log.txt").exists() else folder / "log.txt"
    )


def _tail(log: Path) -> str:
    try:
        with log.open(errors="replace") as lines:
            return "\n".join(f"  | {line.rstrip()}" for line in deque(lines, TAIL))
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
    active = [one for one in survey(out) if one.state in ACTIVE]
    for name in names:
        if not any(_fits(one, name) for one in active):
            known = ", ".join(one.cell.title for one in active) or "none"
            raise RequestError(f"cancel {name}: no such cell is running or queued under {out}; there are: {known}")
    chosen = [one for one in active if not names or any(_fits(one, name) for name in names)]
    asked, out_of_reach, jobs, processes = [], [], [], set()
    for one in chosen:
        job, who = slurm.read_job(one.folder), locks.signature(one.folder)
        if job:
            slurm.note_job(one.folder, job["job"], cancelled=True)
            jobs.append(job["job"])
        elif one.launcher and not names:
            processes.add(one.launcher)
        elif one.state == "queued" and one.launcher:
            out_of_reach.append(f"{one.cell.title} {one.detail} ({one.where}), which ends with all of its cells only")
            continue
        elif one.state == "running" and who.get("host") == socket.gethostname():
            processes.add(who["pid"])
        else:
            out_of_reach.append(f"{one.cell.title} is in the hands of {one.where}: cancel it there")
            continue
        asked.append(one.cell.title)
    if jobs:
        try:
            slurm.cancel(jobs)
        except slurm.NotAnswering as error:
            raise RequestError(f"cancel: {error}") from error
    for process in processes:
        try:
            os.kill(process, signal.SIGTERM)
        except ProcessLookupError:  # it ended meanwhile
            pass
        except PermissionError:
            out_of_reach.append(f"process {process} belongs to another user")
    return asked, out_of_reach


def _fits(one: Seen, name: str) -> bool:
    return one.cell.hash.startswith(name) or name in one.cell.title
