"""Encoded features of complete cells: kept for the next measure, the oldest removed when they take too much room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning.cell import FEATURES
from disentangle_bench.benchmarks.runs import lock as locks

ROOM = "DISENTANGLE_BENCH_FEATURES_GB"
"""Environment variable: what the features of all cells of a folder may take, in GB."""
DEFAULT_GB = 4.0


def room() -> float:
    """Bytes that features may take; RequestError if the variable holds no number."""
    text = os.environ.get(ROOM, str(DEFAULT_GB))
    try:
        return float(text) * 1e9
    except ValueError:
        raise RequestError(f"{ROOM}={text}: expected a number of GB, such as {DEFAULT_GB:g}") from None


def prune(out: Path) -> None:
    """Remove features of the cells that were judged longest ago, until the rest has room; cells at work keep theirs."""
    kept, sizes = [], {}
    for folder in out.glob(f"*/*/*/{FEATURES}"):
        kept.append(folder)
        sizes[folder] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    kept.sort(key=lambda folder: folder.stat().st_mtime)
    total = sum(sizes.values())
    for folder in kept:
        if total <= room():
            return
        try:
            with locks.hold(folder.parent, seconds=0):
                shutil.rmtree(folder, ignore_errors=True)
                total -= sizes[folder]
        except locks.Taken:
            continue
