"""`bench compare`."""

from __future__ import annotations

import sys
from pathlib import Path

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.commands import preconditions
from disentangle_bench.benchmarks.errors import RequestError


def command(
    a: str,
    b: str,
    *,
    out: str = "results/runs",
    threshold: float = 0.01,
    measures: str | None = None,
    allow_underpowered: bool = False,
) -> int:
    """Say what is better, worse or the same in B as in A; exit code 3 if a figure is worse, 4 if the runs can't tell.

    Args:
        a: folder of runs, or a method of the folder `out`.
        b: folder of runs, or a method of the folder `out`.
        out: folder that holds the runs of two methods.
        threshold: loss that is put up with, in the score's own unit (0.01 is one point of accuracy).
        measures: only these, comma-separated, such as linear@1,knn@1.
        allow_underpowered: exit code 0 instead of 4.
    """
    from disentangle_bench.benchmarks.planning.command_line import names_in
    from disentangle_bench.evaluation.leaderboard import compare
    from disentangle_bench.evaluation.leaderboard.writers.comparison import as_text
    from disentangle_bench.evaluation.records import find_records

    if not 0 <= threshold < float("inf"):
        raise RequestError(f"--threshold {threshold}: a loss that is put up with, 0 or more")
    only = names_in(measures or "")
    folders = [side for side in (a, b) if Path(side).is_dir()]
    sides = [find_records(Path(folder)) for folder in (folders if len(folders) == 2 else [out])]
    if records := [record for found, _ in sides for record in found.values()]:
        preconditions.require_recorded("measure", only, records)
    problems = [problem for _, skipped in sides for problem in skipped]
    try:
        if len(sides) == 2:
            comparison = compare.compare_records(sides[0][0], sides[1][0], threshold, only, problems)
        else:
            comparison = compare.compare_methods(sides[0][0], a, b, threshold, only, problems)
    except compare.NothingToCompare as error:
        hint = "" if folders else f" (--out {out})"
        if len(folders) == 1:
            hint = f"; {folders[0]} is a folder, and the other one isn't"
        raise RequestError(f"compare {a} {b}: {error}{hint}") from error
    print(as_text(comparison, terminal.shape()["width"] if sys.stdout.isatty() else None), end="")
    code = comparison.exit_code
    return 0 if allow_underpowered and code == compare.EXIT_UNDERPOWERED else code
