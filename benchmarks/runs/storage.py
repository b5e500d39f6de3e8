"""Sizes of a run's files, files that can be done without, and copying a run from another folder.

A folder of runs can be moved as it is: nothing in it names its own place.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.folder import NO_JOBS, RunFolder, State
from disentangle_bench.evaluation import records
from disentangle_bench.files import replacing


class MergeResult(StrEnum):
    """Result of copying a run."""

    COPIED = "copied"
    THERE = "already there"
    INCOMPLETE = "left out, not complete"
    BUSY = "left out, somebody is at it"
    DIFFERS = "there is another record of this cell, which stays"


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count nothing, and what vanishes meanwhile neither."""
    total = 0
    for file in (path, *path.rglob("*")) if path.is_dir() and not path.is_symlink() else (path,):
        try:
            total += 0 if file.is_symlink() or not file.is_file() else file.stat().st_size
        except OSError:
            continue
    return total


def sizes(run: RunFolder) -> dict[str, int]:
    """Bytes by what they are for."""
    found = {
        "records": size_of(run.record) + size_of(run.outcomes),
        "weights": size_of(run.weights) + size_of(run.encoder),
        "features": size_of(run.features),
        "checkpoints": size_of(run.checkpoints),
    }
    whole = size_of(run.path)
    return found | {"other": max(whole - sum(found.values()), 0), "all": whole}


def dispensable(
    run: RunFolder, weights: bool = False, failed: bool = False, jobs: Mapping[str, str] | None = NO_JOBS
) -> list[Path]:
    """Files and folders of a run that can be done without, as far as they are there.

    Args:
        run: whose.
        weights: also those of a complete run.
        failed: also the whole folder of a run that failed or is stale.
        jobs: the cluster's, see `RunFolder.state`.
    """
    if not run.is_complete([]):
        return [run.path] if failed and run.state(jobs).state in (State.FAILED, State.STALE) else []
    paths = [run.features, run.checkpoints, *((run.weights, run.encoder) if weights else ())]
    return [path for path in paths if path.exists() and not path.is_symlink()]


def remove(run: RunFolder, paths: Sequence[Path]) -> int:
    """Remove files and folders of a run, unless somebody is at it; returns their bytes."""
    if not paths:
        return 0
    size = sum(map(size_of, paths))
    try:
        with lock.hold(run.lock, seconds=0):
            _delete(paths)
    except lock.Taken:
        return 0
    return size


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def take_over(run: RunFolder, out: Path) -> MergeResult:
    """Copy a complete run to its place under another folder, without what can be computed again.

    What was there of an incomplete run of the same cell is replaced. Its record is written last, so that a kill at any
    moment leaves an incomplete run or the whole one.
    """
    if not run.is_complete([]):
        return MergeResult.INCOMPLETE
    into = RunFolder(out.joinpath(*run.path.parts[-3:]))
    if into.is_complete([]):
        differs = records.different_figures(records.read_record(into.record), records.read_record(run.record))
        return MergeResult.DIFFERS if differs else MergeResult.THERE
    into.path.mkdir(parents=True, exist_ok=True)
    left_out = shutil.ignore_patterns(run.features.name, run.checkpoints.name, run.lock.name, records.FILE, "*.tmp")
    try:
        with lock.hold(into.lock, seconds=0):
            _delete([path for path in into.path.iterdir() if path != into.lock])  # weights that the record isn't of
            shutil.copytree(run.path, into.path, ignore=left_out, dirs_exist_ok=True, symlinks=True)
            with replacing(into.record) as beside:
                shutil.copyfile(run.record, beside)
    except lock.Taken:
        return MergeResult.BUSY
    return MergeResult.COPIED
