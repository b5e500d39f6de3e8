"""Many cells: each in a process of its own here, or as jobs of a cluster; and what has become of them.

In: cells and a `base.Launch`. Out: a `base.LaunchResult`, the records lying in the runs' folders. Each launcher is a
module with a function `run(missing, launch, complete) -> LaunchResult` for cells that have no record; `complete` others
have one.
"""

import sys
from importlib import import_module

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.launchers.base import Launch, LaunchResult, split_complete
from disentangle_bench.benchmarks.layout import several
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs import cleanup
from disentangle_bench.benchmarks.runs.folder import RunFolder


def run(name: str, cells: list[Cell], launch: Launch) -> LaunchResult:
    """Run every cell that has no complete record yet, by the launcher of that name."""
    complete, missing = split_complete(cells, launch.out)
    for cell in complete:
        cleanup.sweep(RunFolder(cell.folder(launch.out)))  # what its process didn't come to clear away
    there = f"; {len(complete)} of {len(cells)} are complete" if complete else ""
    told = f"{several(len(missing), 'cell')} to run, {launch.jobs} at a time{there}"
    if not missing:
        told = f"all cells are complete ({len(cells)})"
    if terminal.verbosity > terminal.Verbosity.QUIET and (name == "local" or not missing):  # a cluster's queue decides
        print(told, file=sys.stderr)
    if not missing:
        return LaunchResult(complete)
    outcome = import_module(f"{__name__}.{name}").run(missing, launch, len(complete))
    return LaunchResult([*complete, *outcome.complete], outcome.failed)
