"""Run the missing cells of a matrix, each in its own process, several side by side.

The folder of records is the only state: any number of processes may work on one folder, and any of them may die.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Protocol

from disentangle_bench.benchmarks import signals as stopping
from disentangle_bench.benchmarks.execution import provenance
from disentangle_bench.benchmarks.launchers.progress import Board
from disentangle_bench.benchmarks.planning.cell import CONFIG, FAILURE, INTERRUPTED, JOB, LOCKED, Cell
from disentangle_bench.benchmarks.runs import cleanup as leftovers
from disentangle_bench.benchmarks.runs import lock as locks
from disentangle_bench.benchmarks.runs.progress_file import read_status
from disentangle_bench.evaluation.records import write_json

PRELOADED = [
    "disentangle_bench.benchmarks.launchers.apart",
    "disentangle_bench.benchmarks.execution.run_cell",
    "disentangle_bench.evaluation.metrics.probes",
    "disentangle_bench.evaluation.metrics.clustering",
    "disentangle_bench.evaluation.metrics.invariance",
    "disentangle_bench.evaluation.pictures.sheets",
]
POLL_SECONDS = 0.2
PLACES = {"RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}
"""Environment variables by which torchrun and SLURM tell a process its place among others."""
STOP_SECONDS = 300
"""For a cell that was asked to stop, to come to the end of its batch and save."""


@dataclass(frozen=True)
class Launch:
    """How cells are run; nothing here changes a result.

    Attributes:
        out: folder of all runs.
        command: as the user gave it, for the records.
        accelerator: cpu or gpu.
        devices: for each cell, on each machine.
        nodes: machines for each cell (on a cluster).
        jobs: cells side by side.
        device_ids: of the machine's GPUs, shared out over the jobs; empty on a CPU.
        threads: of the processor, for a cell whose suite doesn't say.
        logger: csv, or wandb besides.
    """

    out: Path
    command: str
    accelerator: str = "cpu"
    devices: int = 1
    nodes: int = 1
    jobs: int = 1
    device_ids: tuple[int, ...] = ()
    threads: int = 1
    logger: str = "csv"


@dataclass
class Outcome:
    """What became of the cells: titles of those complete, and the reason of each that failed."""

    complete: list[Cell] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def settle(self, cell: Cell, failure: str | None) -> None:
        """Enter what became of a cell."""
        if failure is None:
            self.complete.append(cell)
        else:
            self.failed[cell.title] = failure


class Process(Protocol):
    """What the matrix needs of a running cell."""

    pid: int | None

    def is_alive(self) -> bool: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    @property
    def exitcode(self) -> int | None: ...


class Subprocess:
    """A cell over several devices: Lightning starts its own copies of this command, one a device."""

    def __init__(self, folder: Path):
        with (folder / "log.txt").open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "disentangle_bench.benchmarks.execution.run_cell", str(folder), "--with-parent"],
                stdout=log,
                stderr=log,
                stdin=subprocess.PIPE,  # closed when this process dies, and the cell with it
                env=_environment(),
                process_group=0,
            )
        self.pid: int | None = self._popen.pid

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def terminate(self) -> None:
        self._popen.terminate()

    def kill(self) -> None:
        os.killpg(self._popen.pid, signal.SIGKILL)  # Lightning's copies with it

    @property
    def exitcode(self) -> int | None:
        return self._popen.poll()


def warm_up() -> None:
    """Start the fork server; it imports torch and Lightning once, beside whatever this process does meanwhile."""
    from multiprocessing.forkserver import ensure_running

    _context()
    ensure_running()


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _environment() -> dict[str, str]:
    """This process's environment, but not its place among others: a cell that it starts is the first of its own.

    Several of these commands may work on one folder side by side, started by `srun -n 4` for example.
    """
    return {name: value for name, value in os.environ.items() if name not in PLACES}


def _child(folder: Path, environment: dict[str, str]) -> None:
    """Entry of a forked cell: its output goes to its log, it dies with the process that started it."""
    os.environ.clear()  # the fork server's is as old as the fork server
    os.environ.update(environment)
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    stopping.install()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
    from disentangle_bench.benchmarks.execution import run_cell as runner

    sys.exit(runner.main(folder))


def _die_with(sentinel: int) -> None:
    wait_for([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def run(cells: list[Cell], launch: Launch) -> Outcome:
    """Run every cell that has no complete record yet, and wait for those that other processes are at.

    Returns:
        What became of all cells. KeyboardInterrupt passes through after the running cells were stopped.
    """
    matrix = Matrix(cells, launch)
    for cell in matrix.outcome.complete:
        leftovers.sweep(cell.folder(launch.out))
    if matrix.pending:
        matrix.work()
    return matrix.outcome


def start(cell: Cell, launch: Launch, slot: int = 0) -> Process:
    """Start a cell in a process of its own; `slot` says which of the machine's GPUs it gets."""
    folder = prepare(cell, launch, slot)
    (folder / JOB).unlink(missing_ok=True)  # it isn't in a cluster's hands any more
    if launch.devices > 1:
        return Subprocess(folder)
    process = _context().Process(target=_child, args=(folder, _environment()), name=cell.title)
    process.start()
    return process


def prepare(cell: Cell, launch: Launch, slot: int = 0) -> Path:
    """Make a cell's folder and write there what its process needs to know."""
    folder = cell.folder(launch.out)
    folder.mkdir(parents=True, exist_ok=True)
    first = slot * launch.devices
    ids = (
        [launch.device_ids[(first + i) % len(launch.device_ids)] for i in range(launch.devices)]
        if launch.device_ids
        else []
    )
    settings = {
        "accelerator": launch.accelerator,
        "devices": launch.devices,
        "nodes": launch.nodes,
        "device_ids": ids,
        "threads": launch.threads,
        "logger": launch.logger,
        "command": launch.command,
        "launcher": {"host": socket.gethostname(), "pid": os.getpid()},
        "git": provenance.git_state(),  # of the code that is loaded, whatever happens to the files meanwhile
    }
    write_json(folder / CONFIG, {"cell": cell.as_dict(), "launch": settings})
    return folder


def failure_of(folder: Path, since: float = 0) -> str | None:
    """Why a cell was given up at or after `since` (seconds since 1970), or None."""
    try:
        failure = json.loads((folder / FAILURE).read_text())
    except (OSError, ValueError):
        return None
    return failure["reason"] if failure["time"] >= since else None


@dataclass
class Running:
    """A started cell."""

    cell: Cell
    process: Process
    since: float


class Matrix:
    """The cells still to do, those running, and what became of the others."""

    def __init__(self, cells: list[Cell], launch: Launch):
        self.launch, self.begun = launch, time.time()
        self.outcome = Outcome(complete=[cell for cell in cells if cell.complete(launch.out)])
        self.pending = deque(cell for cell in cells if cell not in self.outcome.complete)
        self.running: dict[int, Running] = {}
        self.busy_elsewhere: set[str] = set()
        self.total = len(cells)

    def work(self) -> None:
        """Until every cell is complete or has failed."""
        self.board = Board(self.total, len(self.outcome.complete), self.launch.jobs)
        for waiting in self.pending:
            if not (waiting.folder(self.launch.out) / CONFIG).exists():
                prepare(waiting, self.launch)  # so that `bench status` knows of it
        try:
            while self.pending or self.running:
                for slot in range(self.launch.jobs):
                    if slot in self.running:
                        self._look_after(slot)
                    if slot not in self.running and (cell := self._next()) is not None:
                        self.running[slot] = Running(cell, start(cell, self.launch, slot), time.monotonic())
                time.sleep(POLL_SECONDS)
        except BaseException:
            self.stop()
            raise
        finally:
            self.board.close()

    def _look_after(self, slot: int) -> None:
        """Show how far a running cell is, or enter what became of it."""
        running = self.running[slot]
        cell, folder = running.cell, running.cell.folder(self.launch.out)
        if running.process.is_alive():
            self.board.show(slot, cell, read_status(folder))
            return
        del self.running[slot]
        code = running.process.exitcode
        if code == LOCKED:  # another process is at it: look again later
            self.busy_elsewhere.add(cell.hash)
            self.pending.append(cell)
        elif code == 0 and cell.complete(self.launch.out):
            self._settle(cell, None, running.since)
        elif code == INTERRUPTED:
            reason = (
                f"interrupted by {read_status(folder).get('stopped', 'a signal')}; the same command goes on from there"
            )
            self._settle(cell, reason, running.since)
        else:
            if code is not None and code < 0:
                reason = f"killed by {signal.Signals(-code).name}"
                reason += " (out of memory?)" if code == -signal.SIGKILL else ""
                write_json(folder / FAILURE, {"reason": reason, "traceback": "", "time": time.time()})
            self._settle(cell, f"{failure_of(folder) or 'no reason left'} (log: {folder / 'log.txt'})", running.since)

    def _settle(self, cell: Cell, failure: str | None, since: float | None) -> None:
        self.outcome.settle(cell, failure)
        self.board.settled(cell, failure, None if since is None else time.monotonic() - since)

    def _next(self) -> Cell | None:
        """The next cell to start; those that another process has settled meanwhile are taken off the list."""
        for _ in range(len(self.pending)):
            cell = self.pending.popleft()
            if cell.complete(self.launch.out):
                self._settle(cell, None, None)
            elif cell.hash not in self.busy_elsewhere:
                return cell
            elif reason := failure_of(cell.folder(self.launch.out), since=self.begun):
                self._settle(cell, reason, None)
            elif locks.holder(cell.folder(self.launch.out)) is not None:
                self.pending.append(cell)
            else:
                return cell
        return None

    def stop(self) -> None:
        """Ask the running cells to stop and wait until each has saved; another Ctrl-C kills them."""
        processes = [running.process for running in self.running.values()]
        try:
            for process in processes:
                process.terminate()
            if processes:
                self.board.say(f"stopping {len(processes)} cells at their next checkpoint; Ctrl-C again kills at once")
            deadline = time.monotonic() + STOP_SECONDS
            while any(process.is_alive() for process in processes) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            for process in processes:
                if process.is_alive():
                    process.kill()
