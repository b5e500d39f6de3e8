"""Encoded features of complete cells: kept for the next measure, the oldest removed when they take too much room."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.benchmarks.runs.storage import size_of

LIMIT = "DISENTANGLE_BENCH_FEATURES_GB"
"""Environment variable: what the features of all cells of a folder may take, in GB."""
DEFAULT_GB = 4.0


def limit() -> float:
    """Bytes that features may take; RequestError if the variable holds no number."""
    text = os.environ.get(LIMIT, str(DEFAULT_GB))
    try:
        return float(text) * 1e9
    except ValueError:
        raise RequestError(f"{LIMIT}={text}: expected a number of GB, such as {DEFAULT_GB:g}") from None


def prune(out: Path) -> None:
    """Remove features of the cells that were judged longest ago, until the rest has room; cells at work keep theirs."""
    kept = []
    for run in map(RunFolder, out.glob("*/*/*")):
        with suppress(FileNotFoundError, NotADirectoryError):  # another cell is doing the same; somebody's own file
            kept.append((run.features.stat().st_mtime, size_of(run.features), run))
    kept.sort(key=lambda entry: entry[0])
    total = sum(size for _, size, _ in kept)
    for _, size, run in kept:
        if total <= limit():
            return
        try:
            with lock.hold(run.lock, seconds=0):
                shutil.rmtree(run.features, ignore_errors=True)
                total -= size
        except lock.Taken:
            continue
