"""Progress of a launcher's cells: one bar over all, one for each that runs, a line for each that ended."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.folder import Progress
from disentangle_bench.files import printable

MOST = 8
"""Running cells that have a bar of their own."""


class ProgressBars:
    """One bar over all cells with the time left, and one for each of the first running cells.

    Args:
        total: number of cells.
        complete: of them, already.
        side_by_side: cells that run at once.
    """

    def __init__(self, total: int, complete: int, side_by_side: int):
        self._terminal = terminal.bars()
        hidden = terminal.hides_bars()
        self._overall = tqdm(
            file=self._terminal,
            total=total,
            initial=complete,
            desc="cells",
            unit="cell",
            position=0,
            dynamic_ncols=True,
            disable=hidden,
            smoothing=0,
        )
        self._cells = [
            tqdm(
                file=self._terminal,
                position=1 + i,
                dynamic_ncols=True,
                disable=hidden,
                leave=False,
                bar_format="  {desc} {bar:20} {n_fmt}/{total_fmt}{postfix}",
            )
            for i in range(min(side_by_side, MOST))
        ]

    def show(self, slot: int, cell: Cell, progress: Progress) -> None:
        """Bring the bar of a running cell up to date."""
        if slot >= len(self._cells):
            return
        bar = self._cells[slot]
        bar.total, bar.n = progress.total or None, progress.done
        bar.set_description_str(printable(f"{cell.title}: {progress.phase}"), refresh=False)
        bar.set_postfix_str(printable(progress.note), refresh=False)
        bar.refresh()
        self._overall.refresh()

    def started(self, cell: Cell, log: Path) -> None:
        """Say where a cell writes what happens to it, if many words are wanted."""
        if terminal.verbosity == terminal.Verbosity.VERBOSE:
            self.say(f"started {cell.title} (log: {log})")

    def finished(self, cell: Cell, failure: str | None, seconds: float | None) -> None:
        """Count a cell and say in a line what became of it."""
        took = "by another process" if seconds is None else f"in {seconds:.0f} s"
        self.say(f"failed {cell.title}: {failure}" if failure else f"done {cell.title} {took}")
        self._overall.update()

    def say(self, line: str) -> None:
        """Write a line above the bars."""
        if terminal.verbosity == terminal.Verbosity.QUIET:
            return
        self._overall.write(printable(line), file=self._terminal)

    def close(self) -> None:
        """Take the bars off the screen."""
        for bar in (*self._cells, self._overall):
            bar.close()
