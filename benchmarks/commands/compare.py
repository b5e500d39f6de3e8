"""`bench compare`."""

from __future__ import annotations

import sys
from pathlib import Path

from disentangle_bench.benchmarks import terminal
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
    from disentangle_bench.evaluation.records import find_records

    if not 0 <= threshold < float("inf"):
        raise RequestError(f"--threshold {threshold}: a loss that is put up with, 0 or more")
    only = names_in(measures) if measures else []
    try:
        if Path(a).is_dir() and Path(b).is_dir():
            comparison = compare.compare(Path(a), Path(b), threshold, only)
        else:
            found, problems = find_records(Path(out))
            comparison = compare.compare_methods(found, a, b, threshold, only, problems)
    except compare.NothingToCompare as error:
        folders = [side for side in (a, b) if Path(side).is_dir()]
        hint = "" if folders else f" (--out {out})"
        if len(folders) == 1:
            hint = f"; {folders[0]} is a folder, and the other one isn't"
        raise RequestError(f"compare {a} {b}: {error}{hint}") from error
    print(comparison.text(terminal.shape()["width"] if sys.stdout.isatty() else None), end="")
    code = comparison.exit_code
    return 0 if allow_underpowered and code == compare.EXIT_UNDERPOWERED else code
