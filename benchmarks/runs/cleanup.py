"""Removal of files that an interrupted run left, or that a complete one no longer needs."""

from __future__ import annotations

import shutil
from pathlib import Path

from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.files import being_written


def clear(run: RunFolder) -> None:
    """Remove it all from a complete run's folder; for whoever holds its lock."""
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    for path in _side_files(run):
        path.unlink(missing_ok=True)
    clear_unfinished(run)


def clear_unfinished(run: RunFolder) -> None:
    """Remove files and folders that a killed process was still writing; a launcher writes without the run's lock."""
    for path in list(run.path.rglob("*.tmp")):
        if path.is_dir():
            shutil.rmtree(path)
        elif not being_written(path):
            path.unlink(missing_ok=True)


def sweep(run: RunFolder) -> None:
    """Clear a complete run's folder if its process was killed before it could, and nobody is at it."""
    left = (run.lock, run.checkpoints, *_side_files(run))
    if not any(path.exists() for path in left) and not any(run.path.rglob("*.tmp")):
        return
    try:
        with lock.hold(run.lock, seconds=0):
            clear(run)
    except lock.Taken:
        pass


def _side_files(run: RunFolder) -> tuple[Path, ...]:
    return run.progress, run.failure, run.job
