"""Shared by launchers: how cells are run, their results, and the one loop that starts and waits for them."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Protocol

from disentangle_bench.benchmarks.execution.failures import explain
from disentangle_bench.benchmarks.execution.record import git_state
from disentangle_bench.benchmarks.launchers.progress import ProgressBars
from disentangle_bench.benchmarks.layout import several
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.planning.suite_parts import Resources
from disentangle_bench.benchmarks.runs.folder import CellLaunch, ExitStatus, RunConfig, RunFolder, State
from disentangle_bench.benchmarks.runs.lock import ProcessId
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile

NO_REASON = "no reason left"
RANK_VARIABLES = {
    *("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS", "JSM_NAMESPACE_RANK"),
}
"""Environment variables by which torchrun, SLURM and LSF tell a process which of several it is."""


@dataclass(frozen=True, kw_only=True)
class Launch(CellLaunch):
    """How cells are run: each of them, and all together. `device_ids` are the machine's, shared out over the jobs.

    Attributes:
        out: folder of all runs.
        jobs: cells side by side.
        resources: what a job of a cluster gets.
        detach: don't wait for a cluster's jobs.
    """

    out: Path
    jobs: int = 1
    resources: Resources = field(default_factory=Resources)
    detach: bool = False

    def of_cell(self, slot: int) -> CellLaunch:
        """Launch of the cell in one of the slots side by side, with its share of the machine's GPUs."""
        first, ids = slot * self.devices, self.device_ids
        known = {part.name: getattr(self, part.name) for part in fields(CellLaunch)}
        return CellLaunch(
            **known
            | {
                "code": str(Path(self.code).resolve()),
                "device_ids": tuple(ids[(first + i) % len(ids)] for i in range(self.devices)) if ids else (),
                "git": git_state(),  # of the code that is loaded, whatever happens to the files meanwhile
                "launcher": ProcessId.this(),
            }
        )


@dataclass
class LaunchResult:
    """Result of a launch: cells that are complete, and cells that failed with their reasons."""

    complete: list[Cell] = field(default_factory=list)
    failed: list[tuple[Cell, str]] = field(default_factory=list)


@dataclass(frozen=True)
class ExitReport:
    """How a cell's process or job ended: its exit status, and in words where its folder can't say it itself."""

    status: int = ExitStatus.DONE
    reason: str = ""


class Handle(Protocol):
    """A started cell, as the loop sees it."""

    def poll(self) -> ExitReport | None:
        """None while it is at work."""

    def stop(self) -> None:
        """Ask it to save and end."""

    def kill(self) -> None:
        """End it at once."""


class Starter(Protocol):
    """Starts cells.

    Attributes:
        slots: cells that it runs side by side.
        poll_seconds: between two looks at the running cells.
        stop_seconds: for cells that were asked to stop to come to the end of their batch and save; 0: they go on
            without whoever waits for them.
    """

    slots: int
    poll_seconds: float
    stop_seconds: float

    def start(self, cell: Cell, slot: int) -> Handle:
        """Start a cell, which `prepare` has been called for; OSError if its folder can't be written to."""


@dataclass
class _Running:
    cell: Cell
    handle: Handle
    since: float


def prepare(cell: Cell, launch: Launch, slot: int = 0) -> RunFolder:
    """Make a cell's folder and write there what its process needs to know.

    What an earlier attempt left as its reason goes: one that is there later is of this attempt, whatever a clock says.
    """
    run = RunFolder(cell.folder(launch.out))
    run.path.mkdir(parents=True, exist_ok=True)
    run.write_config(RunConfig(cell, launch.of_cell(slot)))
    run.failure.unlink(missing_ok=True)
    return run


def _give_up(run: RunFolder, reason: str) -> str:
    """Leave word in a cell's folder; where that can't be done, it is why its process could not, either."""
    try:
        run.fail(reason)
    except OSError as error:
        explained = explain(error, run.path)
        return explained if reason == NO_REASON else f"{reason}; {explained}"
    return reason


def split_complete(cells: list[Cell], out: Path) -> tuple[list[Cell], list[Cell]]:
    """(Cells with a record, the others)."""
    parts: tuple[list[Cell], list[Cell]] = ([], [])
    for cell in cells:
        parts[not RunFolder(cell.folder(out)).is_complete(cell.measures)].append(cell)
    return parts


class Scheduler:
    """The one loop over cells that aren't complete: starts them as there is room, until each is complete or failed.

    The folders are the only state: any number of launchers may work on one folder of runs, and any of them may die.

    Args:
        cells: that have no record yet.
        launch: how they are run.
        starter: of cells.
        complete: how many others are complete already, for the progress bar.
    """

    def __init__(self, cells: list[Cell], launch: Launch, starter: Starter, complete: int):
        self.launch, self.starter = launch, starter
        self.outcome = LaunchResult()
        self.pending, self.running = deque(cells), dict[int, _Running]()
        self.elsewhere: set[str] = set()
        """Hashes of cells that other processes were found to be at."""
        self.bars = ProgressBars(len(cells) + complete, complete, min(starter.slots, len(cells)))

    def run(self) -> LaunchResult:
        """Run until no cell is left. KeyboardInterrupt passes through after the running cells were stopped."""
        try:
            while self.pending or self.running:
                for slot in range(self.starter.slots):
                    if slot in self.running:
                        self._poll(slot)
                    if slot not in self.running and (cell := self._next()) is not None:
                        self._start(cell, slot)
                time.sleep(self.starter.poll_seconds)
        except BaseException:
            self._stop()
            raise
        finally:
            self.bars.close()
        return self.outcome

    def _folder(self, cell: Cell) -> RunFolder:
        return RunFolder(cell.folder(self.launch.out))

    def _start(self, cell: Cell, slot: int) -> None:
        since, run = time.monotonic(), self._folder(cell)
        try:
            self.running[slot] = _Running(cell, self.starter.start(cell, slot), since)
            self.bars.started(cell, run.log)
        except OSError as error:  # what is in this cell's way need not be in the others'
            self._finish(cell, f"its folder can't be used: {explain(error, run.path)}", since)

    def _poll(self, slot: int) -> None:
        """Show how far a running cell is, or enter what became of it."""
        running, run = self.running[slot], self._folder(self.running[slot].cell)
        exited = running.handle.poll()
        if exited is None:
            self.bars.show(slot, running.cell, run.read_progress())
            return
        del self.running[slot]
        cell, found = running.cell, run.state()
        if run.is_complete(cell.measures):
            self._finish(cell, None, running.since)
        elif exited.status == ExitStatus.LOCKED:  # look again later
            self.elsewhere.add(cell.hash)
            self.pending.append(cell)
        elif exited.reason:
            self._finish(cell, _give_up(run, exited.reason), running.since)
        elif exited.status == ExitStatus.INTERRUPTED:
            by = found.progress.stopped or "a signal"
            self._finish(cell, f"interrupted by {by}; the same command goes on from there", running.since)
        else:
            reason = found.failure.reason if found.failure else _give_up(run, NO_REASON)
            self._finish(cell, reason, running.since)

    def _finish(self, cell: Cell, failure: str | None, since: float | None) -> None:
        log = self._folder(cell).log
        if failure is None:
            self.outcome.complete.append(cell)
        else:
            self.outcome.failed.append((cell, f"{failure} (log: {log})" if log.exists() else failure))
        self.bars.finished(cell, failure, None if since is None else time.monotonic() - since)

    def _next(self) -> Cell | None:
        """The next cell to start; those that another process has finished meanwhile are taken off the list."""
        for _ in range(len(self.pending)):
            cell = self.pending.popleft()
            run = self._folder(cell)
            if run.is_complete(cell.measures):
                self._finish(cell, None, None)
                continue
            if cell.hash not in self.elsewhere:
                return cell
            found = run.state()
            if found.failure:
                self._finish(cell, found.failure.reason, None)
            elif found.state == State.RUNNING:
                self.pending.append(cell)
            else:
                return cell
        return None

    def _stop(self) -> None:
        """Ask the running cells to stop and wait until each has saved; another Ctrl-C kills them."""
        handles = [running.handle for running in self.running.values()] if self.starter.stop_seconds else []
        try:
            for handle in handles:
                handle.stop()
            if handles:
                self.bars.say(
                    f"stopping {several(len(handles), 'cell')}, to be gone on with later; Ctrl-C again kills at once"
                )
            deadline = time.monotonic() + self.starter.stop_seconds
            while any(handle.poll() is None for handle in handles) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            for handle in handles:
                if handle.poll() is None:
                    handle.kill()
            for running in self.running.values() if handles else ():  # one that was not yet awake leaves no word
                run = self._folder(running.cell)
                with suppress(OSError):
                    if run.state().state == State.STALE:
                        ProgressFile(run).stopped("its launcher, which was interrupted")


@contextmanager
def environment(left_out: Iterable[str] = (), **added: str) -> Iterator[None]:
    """Leave variables out of this process's environment and add others within the block."""
    before = dict(os.environ)
    for name in left_out:
        os.environ.pop(name, None)
    os.environ.update(added)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
