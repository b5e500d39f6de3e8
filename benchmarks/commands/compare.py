"""`bench compare`."""

from __future__ import annotations

from pathlib import Path

from disentangle_bench.benchmarks.errors import RequestError


def command(a: str, b: str, *, out: str = "results/runs", threshold: float = 0.01, measures: str | None = None) -> int:
    """Say what is better or worse in B than in A beyond noise; exit code 3 if something is worse (a gate for CI).

    Args:
        a: folder of runs, or a method of the folder `out`.
        b: folder of runs, or a method of the folder `out`.
        out: folder that holds the runs of two methods.
        threshold: loss that is put up with, in the score's own unit (0.01 is one point of accuracy).
        measures: only these, comma-separated, such as linear@1,knn@1.
    """
    from disentangle_bench.benchmarks.planning.suite import names_in
    from disentangle_bench.evaluation.leaderboard import compare
    from disentangle_bench.evaluation.records import read_records

    only = names_in(measures) if measures else []
    try:
        if Path(a).is_dir() and Path(b).is_dir():
            comparison = compare.compare(Path(a), Path(b), threshold, only)
        else:
            records, problems = read_records(Path(out))
            comparison = compare.compare_methods(records, a, b, threshold, only, problems)
    except compare.NothingToCompare as error:
        raise RequestError(f"compare {a} {b}: {error}") from error
    print(comparison.text(), end="")
    return 3 if comparison.worse else 0
