"""`bench merge`."""

from __future__ import annotations

import sys
from pathlib import Path

from disentangle_bench.benchmarks.commands import preconditions
from disentangle_bench.benchmarks.errors import RequestError


def command(*folders: str, out: str = "results/runs") -> int:
    """Copy the complete runs of other folders, from other machines for example, into one; exit code 1 if two differ.

    Args:
        folders: folders of runs, as given to `bench run --out`, or boards.
        out: folder that they come into; what is complete there stays as it is.
    """
    from disentangle_bench.benchmarks.runs import storage
    from disentangle_bench.benchmarks.runs.folder import RunFolder
    from disentangle_bench.evaluation.records import FILE
    from disentangle_bench.evaluation.verify import RECORDS
    from disentangle_bench.files import find_files

    if not folders:
        raise RequestError("merge: name the folders whose runs shall come in")
    runs: list[RunFolder] = []
    for folder in folders:
        preconditions.require_runs(Path(folder))
        if Path(folder).resolve() == Path(out).resolve():
            raise RequestError(f"merge {folder}: that is --out itself")
        board = Path(folder) / RECORDS
        own = list(RunFolder.all_in(board if board.is_dir() else Path(folder)))
        if not own:
            above = find_files(Path(folder).absolute(), FILE)[0].parents
            raise RequestError(
                f"merge {folder}: runs lie at DATASET/METHOD/RUN in the folder that `bench run --out` was given, which "
                f"seems to be {above[min(3, len(above) - 1)]}"
            )
        runs += own
    preconditions.check_writable(Path(out))
    counts = dict.fromkeys(storage.MergeResult, 0)
    for run in runs:
        taking = storage.take_over(run, Path(out))
        counts[taking] += 1
        if taking in (storage.MergeResult.DIFFERS, storage.MergeResult.BUSY):
            print(f"bench: {run.path}: {taking}", file=sys.stderr)
    print(", ".join(f"{count} {taking}" for taking, count in counts.items() if count))
    return 1 if counts[storage.MergeResult.DIFFERS] else 0
