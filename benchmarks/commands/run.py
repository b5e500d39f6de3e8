"""`bench run`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def command(
    *,
    suite: str = "quick",
    method: str | None = None,
    dataset: str | None = None,
    seeds: str | None = None,
    measures: str | None = None,
    set: list[str] | None = None,
    sweep: list[str] | None = None,
    tuned: str | None = None,
    out: str = "results/runs",
    devices: int = 1,
    nodes: int = 1,
    jobs: int | None = None,
    launcher: Literal["local", "slurm"] = "local",
    detach: bool = False,
    logger: str = "csv",
    dry_run: bool = False,
) -> int:
    """Train and judge every missing cell of a suite (a method on a data set with a seed), then print the leaderboard.

    The leaderboard has every complete run of the folder on these data sets with this budget; rows of this request are
    marked where there are others.

    Args:
        suite: name of a suite (see `bench list suites`), or a YAML file.
        method: methods instead of the suite's, comma-separated; `all`, or nothing, is all of the suite's own.
            `my_file.MyMethod` names one of yours. Of a suite's experiments only those of these methods, or with these
            labels.
        dataset: data sets instead of the suite's, comma-separated.
        seeds: seeds instead of the suite's, such as 0,1,2 or 0-4.
        measures: what to measure instead of the suite's, comma-separated, such as linear,dci, or `all` (see
            `bench list measures`); what a complete run lacks is added to its record without training again.
        set: KEY=VALUE, may be repeated: method.temperature=0.2, simclr.lr=0.01, data.batch_size=64, budget.epochs=3.
        sweep: KEY=VALUE,VALUE, may be repeated: a row for each value, such as simclr.temperature=0.1,0.2 (or method.,
            data. or budget.); of several sweeps one for each combination. A row is called by its values.
        tuned: file that `bench tune` wrote: methods are run with the options chosen there, and tables say so; in place
            of the suite's `tuned`.
        out: folder of all runs; what is complete there is not run again, what is part-done goes on.
        devices: processors or GPUs for each cell; on each of its machines, where it has several.
        nodes: machines for each cell (with --launcher slurm).
        jobs: cells side by side, which share the processor's cores; default: as many as the machine has room for
            (of a cluster: `resources.max_parallel`).
        launcher: local runs the cells here; slurm gives each to the cluster as a job, see `resources` of a suite.
        detach: don't wait for the cluster's jobs; `bench status` shows them, the same command without this waits.
        logger: curves go to CSV files; wandb besides (works offline without a key), or a logger of Lightning's kind
            by its dotted path: lightning.pytorch.loggers.TensorBoardLogger or my_file.MyLogger.
        dry_run: only list what would be done, and how long it takes going by complete runs in the folder; with
            --launcher slurm, also the batch file, on any machine.
    """
    from disentangle_bench.benchmarks.commands.carry_out import carry_out
    from disentangle_bench.benchmarks.planning.suite import choose

    request = choose(suite, method, dataset, seeds, set, measures, sweep, tuned)
    return carry_out(
        request,
        Path(out),
        devices=devices,
        nodes=nodes,
        jobs=jobs,
        launcher=launcher,
        detach=detach,
        logger=logger,
        dry_run=dry_run,
    )[1]
