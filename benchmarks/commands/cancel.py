"""`bench cancel`."""

from __future__ import annotations

import sys
from pathlib import Path

from disentangle_bench.benchmarks.commands import preconditions


def command(*cells: str, out: str = "results/runs") -> int:
    """Stop cells that run, each with a checkpoint, and take waiting ones out of the cluster's queue.

    Args:
        cells: which, by hash or by part of the name, such as simclr or "digits/simclr seed 0"; default: all.
        out: folder of the runs.
    """
    from disentangle_bench.benchmarks.launchers import survey

    preconditions.require_folder(Path(out))
    asked, out_of_reach = survey.cancel(Path(out), list(cells))
    for title in asked:
        print(f"asked to stop: {title}")
    for line in out_of_reach:
        print(f"bench: {line}", file=sys.stderr)
    if not asked and not out_of_reach:
        print(f"nothing is running or queued under {out}")
    return 1 if out_of_reach else 0
