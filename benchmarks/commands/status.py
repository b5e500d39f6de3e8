"""`bench status`."""

from __future__ import annotations

from pathlib import Path

from disentangle_bench.benchmarks.commands import preconditions


def command(*, out: str = "results/runs") -> int:
    """Say how every cell of a folder fares: running, queued, failed (and why), stopped, stale or complete.

    Args:
        out: folder of the runs.
    """
    from disentangle_bench.benchmarks.launchers.survey import report

    preconditions.require_folder(Path(out))
    print(report(Path(out)))
    return 0
