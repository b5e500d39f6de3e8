"""`bench clean`."""

from __future__ import annotations

from pathlib import Path

from disentangle_bench.benchmarks.commands import preconditions


def command(*, out: str = "results/runs", weights: bool = False, failed: bool = False, dry_run: bool = False) -> int:
    """Give back the room of what complete runs don't need: encoded features, left checkpoints. Records always stay.

    Args:
        out: folder of the runs; those that somebody is at are left alone.
        weights: the weights of complete runs too; measures can then only be added by training again.
        failed: the whole folders of runs that failed or whose process or job died too; they then start anew.
        dry_run: only say what would go.
    """
    from disentangle_bench.benchmarks.launchers import slurm_queue
    from disentangle_bench.benchmarks.runs import storage
    from disentangle_bench.benchmarks.runs.folder import RunFolder

    preconditions.require_folder(Path(out))
    preconditions.check_writable(Path(out))
    freed, runs = 0, list(RunFolder.all_in(Path(out)))
    jobs = slurm_queue.ask_queue(needed=failed and any(run.job.exists() for run in runs)).jobs
    for run in runs:
        goes = storage.dispensable(run, weights, failed, jobs)
        size = sum(storage.size_of(path) for path in goes) if dry_run else storage.remove(run, goes)
        if size:
            print(f"{size / 1e6:10,.1f} MB  {'/'.join(run.path.parts[-3:])}: {', '.join(path.name for path in goes)}")
        freed += size
    print(f"{freed / 1e6:10,.1f} MB  {'would be given back' if dry_run else 'given back'}")
    return 0
