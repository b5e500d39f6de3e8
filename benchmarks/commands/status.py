"""`bench status`."""

from __future__ import annotations

from pathlib import Path


def command(*, out: str = "results/runs") -> int:
    """Say how every cell of a folder fares: running, queued, failed (and why), stopped, stale or complete.

    Args:
        out: folder of the runs.
    """
    from disentangle_bench.benchmarks.launchers.survey import report

    print(report(Path(out)))
    return 0
