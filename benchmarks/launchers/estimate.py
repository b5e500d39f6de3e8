"""An estimate of the time that cells will take, from complete runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from disentangle_bench.benchmarks.execution.pretrained.forecast import duration
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.evaluation.records import Record, find_records, seconds_taken


def estimate(missing: list[Cell], out: Path, side_by_side: int) -> str | None:
    """A line on the time that cells will take.

    A cell is taken to be as long as the mean of complete runs with its settings, of other seeds; where there are none,
    of those of its method on its data set under the same suite and budget.

    Args:
        missing: cells that are to be run.
        out: folder of all runs.
        side_by_side: how many of them run at once.

    Returns:
        None where no complete run tells.
    """
    found, _ = find_records(out, deep=False)
    seconds = [_expected(cell, list(found.values())) for cell in missing]
    known = [one for one in seconds if one is not None]
    if not known:
        return None
    rest = f"; nothing to estimate the other {len(missing) - len(known)} from" if len(known) < len(missing) else ""
    slots = min(side_by_side, len(known))
    which = "" if not rest else f" for {len(known)} of them"
    return f"{in_all(known, slots)}{which}, {slots} side by side, going by complete runs here{rest}"


def in_all(seconds: Sequence[float], slots: int) -> str:
    """`about 12 min`: how long cells take that take so many seconds each, so many of them side by side."""
    return f"about {duration(max(sum(seconds) / slots, *seconds))}"


def _expected(cell: Cell, records: list[Record]) -> float | None:
    """Seconds of a cell; None if nothing tells. One that is trained already is measured only."""
    if own := [record for record in records if record["cell"]["hash"] == cell.hash]:
        return float(own[0]["cost"].get("eval_seconds") or 0.0)
    alike = [record for record in records if record["cell"]["settings"] == cell.settings]
    kind = (cell.dataset, cell.method, cell.suite, cell.budget)
    alike = alike or [record for record in records if _kind(record) == kind]
    return fmean(map(seconds_taken, alike)) if alike else None


def _kind(record: Record) -> tuple:
    cell, config = record["cell"], record["config"]
    return cell["dataset"], cell["method"], config.get("suite"), config.get("budget")
