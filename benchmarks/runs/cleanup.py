"""What an interrupted run leaves behind, and a complete one needs no more."""

from __future__ import annotations

import shutil
from pathlib import Path

from disentangle_bench.benchmarks.planning.cell import FAILURE, JOB, LOCK, STATUS
from disentangle_bench.benchmarks.runs import lock as locks

FILES = {STATUS, FAILURE, JOB}
FOLDERS = {"checkpoints"}


def clear(folder: Path) -> None:
    """Remove it all from a complete run's folder; for whoever holds its lock."""
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    clear_unfinished(folder)


def clear_unfinished(folder: Path) -> None:
    """Remove files and folders that a killed process was still writing."""
    for path in list(folder.rglob("*.tmp")):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Clear a complete run's folder if its process was killed before it could, and nobody is at it."""
    names = {path.name for path in folder.iterdir()}
    if not names & {LOCK, *FILES, *FOLDERS} and not any(folder.rglob("*.tmp")):
        return
    try:
        with locks.hold(folder, seconds=0):
            clear(folder)
    except locks.Taken:
        pass
