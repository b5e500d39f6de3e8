"""Many cells: each in a process of its own here, or as jobs of a cluster; and what has become of them.

In: cells and a `base.Launch`. Out: a `base.Outcome`, the records lying in the runs' folders. Each launcher is a module
with a function `run(cells, launch) -> Outcome`.
"""

import sys
from importlib import import_module

from disentangle_bench.benchmarks.launchers.base import Launch, Outcome, complete_cells
from disentangle_bench.benchmarks.planning.cell import Cell

LAUNCHERS = {
    "local": "disentangle_bench.benchmarks.launchers.local",
    "slurm": "disentangle_bench.benchmarks.launchers.slurm",
}


def run(name: str, cells: list[Cell], launch: Launch) -> Outcome:
    """Run every cell that has no complete record yet, by the launcher of that name."""
    if len(complete_cells(cells, launch.out)) == len(cells):
        print(f"all {len(cells)} cells are complete", file=sys.stderr)
        return Outcome(complete=cells)
    return import_module(LAUNCHERS[name]).run(cells, launch)
