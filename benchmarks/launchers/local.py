"""Cells on this machine, each in a process of its own: forked from a warm server, or started over several devices."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import wait as wait_for
from tempfile import gettempdir
from typing import Any

from disentangle_bench.benchmarks import own_code, signals
from disentangle_bench.benchmarks.execution.failures import explain_signal
from disentangle_bench.benchmarks.launchers.base import (
    RANK_VARIABLES,
    ExitReport,
    Handle,
    Launch,
    LaunchResult,
    Scheduler,
    environment,
    prepare,
)
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.folder import RunFolder

PRELOADED = [
    "disentangle_bench.benchmarks.launchers.process_group",
    "disentangle_bench.benchmarks.execution.run_cell",
    "disentangle_bench.methods.views.fused",
    "disentangle_bench.evaluation.metrics.probes",
    "disentangle_bench.evaluation.metrics.clustering",
    "disentangle_bench.evaluation.metrics.invariance",
    "disentangle_bench.evaluation.pictures.sheets",
]


def run(missing: list[Cell], launch: Launch, complete: int = 0) -> LaunchResult:
    """Run cells that have no complete record yet, and wait for those that other processes are at.

    Args:
        missing: those cells.
        launch: how they are run.
        complete: how many others are complete.

    Returns:
        What became of them. KeyboardInterrupt passes through after the running cells were stopped.
    """
    for cell in missing:
        _announce(cell, launch)
    return Scheduler(missing, launch, Starter(launch), complete).run()


def _announce(cell: Cell, launch: Launch) -> None:
    """Let `bench status` know of a cell that waits; what is in its way is said when it would start."""
    with suppress(OSError):
        if not RunFolder(cell.folder(launch.out)).config.exists():
            prepare(cell, launch)


class Starter:
    """Starts cells as processes of this machine."""

    poll_seconds, stop_seconds = 0.2, 300.0

    def __init__(self, launch: Launch):
        self.launch, self.slots = launch, launch.jobs

    def start(self, cell: Cell, slot: int) -> Handle:
        """Start a cell; `slot` says which of the machine's GPUs it gets."""
        return start(cell, self.launch, slot)


def start(cell: Cell, launch: Launch, slot: int = 0) -> Process:
    """Start a cell in a process of its own."""
    run = prepare(cell, launch, slot)
    run.job.unlink(missing_ok=True)  # it isn't in a cluster's hands any more
    if launch.devices == 1:
        try:
            return Forked(run, cell.title)
        except (FileNotFoundError, ConnectionError):
            _tell_slow_starts()
    return Subprocess(run)


@cache
def _tell_slow_starts() -> None:
    """Say once why cells start later than they could."""
    print(
        f"cells start some seconds later each: the socket of the server that forks them is gone from {gettempdir()}, "
        "where something cleans up",
        file=sys.stderr,
    )


class Process:
    """A cell's process."""

    pid: int

    def exitcode(self) -> int | None:
        """Exit status, negative after a signal; None while it runs."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ask it to save and end."""
        if self.exitcode() is None:
            with suppress(ProcessLookupError):  # it has ended since
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def poll(self) -> ExitReport | None:
        """None while it is at work."""
        code = self.exitcode()
        if code is None or code >= 0:
            return None if code is None else ExitReport(code)
        return ExitReport(code, explain_signal(-code))


class Forked(Process):
    """A cell on one device: forked from a server that has imported everything already."""

    def __init__(self, run: RunFolder, title: str):
        with own_environment():
            process = _context().Process(target=_child, args=(run, dict(os.environ)), name=title)
            process.start()
        self._process, self.pid = process, process.pid

    def exitcode(self) -> int | None:
        """Exit status, negative after a signal; None while it runs."""
        return self._process.exitcode


class Subprocess(Process):
    """A cell over several devices: Lightning starts its own copies of this command, one a device."""

    def __init__(self, run: RunFolder):
        with run.log.open("ab") as log, own_environment():
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "disentangle_bench.benchmarks.execution.run_cell",
                    str(run.path),
                    "--with-parent",
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.PIPE,  # closed when this process dies, and the cell with it
                process_group=0,
            )
        self.pid = self._process.pid

    def exitcode(self) -> int | None:
        """Exit status, negative after a signal; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it at once, Lightning's copies with it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


@contextmanager
def own_environment() -> Iterator[None]:
    """Start processes within the block as if this one were none of several.

    Their environment lacks this process's rank: several of these commands may work on one folder side by side, started
    by `srun -n 4` for example; Lightning reads its rank when it is imported, and logs on the first only. It also keeps
    Python from putting the user's folder first on the path.
    """
    with environment(RANK_VARIABLES, **own_code.SAFE_PATH):
        yield


def warm_up() -> None:
    """Start the fork server; it imports torch and Lightning once, beside whatever this process does meanwhile."""
    _context()
    with own_environment():
        forkserver.ensure_running()


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _child(run: RunFolder, environment: dict[str, str]) -> None:
    """Entry of a forked cell: its output goes to its log, it dies with the process that started it."""
    from disentangle_bench.benchmarks.launchers import process_group  # there since before the fork

    gc.freeze()  # what was there before the fork
    gc.set_threshold(*process_group.USUAL)
    os.environ.clear()  # the fork server's is as old as the fork server
    os.environ.update(environment)
    log = os.open(run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signals.install()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
    from disentangle_bench.benchmarks.execution import run_cell

    sys.exit(run_cell.main(run))


def _die_with(sentinel: int) -> None:
    wait_for([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
