"""`bench run`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.commands import preconditions

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.launchers import Launch, LaunchResult
    from disentangle_bench.benchmarks.planning.cell import Cell
    from disentangle_bench.benchmarks.planning.suite import Suite


def command(
    *,
    suite: str = "quick",
    method: str | None = None,
    dataset: str | None = None,
    seeds: str | None = None,
    measures: str | None = None,
    set: list[str] | None = None,
    sweep: list[str] | None = None,
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

    Args:
        suite: name of a suite (see `bench list suites`), or a YAML file.
        method: methods instead of the suite's, comma-separated; `all`, or nothing, is all of the suite's own.
            `my_file.MyMethod` names one of yours. Of a suite's experiments only those of these methods, or with these
            labels.
        dataset: data sets instead of the suite's, comma-separated.
        seeds: seeds instead of the suite's, such as 0,1,2.
        measures: what to measure instead of the suite's, comma-separated, such as linear,dci, or `all` (see
            `bench list metrics`); what a complete run lacks is added to its record without training again.
        set: KEY=VALUE, may be repeated: method.temperature=0.2, simclr.lr=0.01, data.batch_size=64, budget.epochs=3.
        sweep: KEY=VALUE,VALUE, may be repeated: a row for each value, such as simclr.temperature=0.1,0.2 (or method.,
            data. or budget.); of several sweeps one for each combination. A row is called by its values.
        out: folder of all runs; what is complete there is not run again, what is part-done goes on.
        devices: processors or GPUs for each cell; on each of its machines, where it has several.
        nodes: machines for each cell (with --launcher slurm).
        jobs: cells side by side, which share the processor's cores; default: as many as the machine has room for
            (of a cluster: `resources.max_parallel`).
        launcher: local runs the cells here; slurm gives each to the cluster as a job, see `resources` of a suite.
        detach: don't wait for the cluster's jobs; `bench status` shows them, the same command without this waits.
        logger: curves go to CSV files; wandb besides (works offline without a key), or a logger of Lightning's kind
            by its dotted path: lightning.pytorch.loggers.TensorBoardLogger or my_file.MyLogger.
        dry_run: only list what would be done; with --launcher slurm, also the batch file.
    """
    from disentangle_bench.benchmarks.planning.suite import choose

    request = choose(suite, method, dataset, seeds, set, measures, sweep)
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


def carry_out(
    request: Suite,
    folder: Path,
    *,
    devices: int = 1,
    nodes: int = 1,
    jobs: int | None = None,
    launcher: Literal["local", "slurm"] = "local",
    detach: bool = False,
    logger: str = "csv",
    dry_run: bool = False,
) -> tuple[list[Cell], int]:
    """Make every missing cell of a suite and print the leaderboard; options as of the command.

    Returns:
        All cells of the suite, and the exit code.
    """
    from disentangle_bench.benchmarks.runs import feature_cache

    preconditions.check_writable(folder)
    feature_cache.limit()
    preconditions.require_wandb(logger)
    preconditions.require_launcher(launcher, request, devices, nodes, jobs, detach)
    from disentangle_bench.benchmarks.planning.lookup import check_names

    check_names(request)
    if launcher == "local" and not dry_run and _is_incomplete(request, folder):
        from disentangle_bench.benchmarks.launchers.local import warm_up

        warm_up()  # imports in the background what planning imports here
    from disentangle_bench.benchmarks.launchers import Launch, run
    from disentangle_bench.benchmarks.machine import count_cores, find_devices
    from disentangle_bench.benchmarks.planning.plan import plan
    from disentangle_bench.benchmarks.signals import as_ctrl_c

    resources = request.resources
    if launcher == "slurm":
        accelerator, available = ("gpu" if resources.gpus_per_node else "cpu"), devices
        cores = resources.cpus_per_task or request.threads or 1
    else:
        (accelerator, available), cores = find_devices(), count_cores()
    preconditions.require_devices(devices, accelerator, available)
    cells = plan(request, accelerator, dry=dry_run)
    preconditions.require_logger(logger, cells[0])
    preconditions.refuse_foreign_checkpoints(cells, folder)
    fitting = available // devices if accelerator == "gpu" else cores // (devices * (request.threads or cores))
    side_by_side = min(jobs or max(1, fitting), len(cells))
    launch = Launch(
        out=folder,
        command=shlex.join(["bench", *sys.argv[1:]]),
        accelerator=accelerator,
        devices=devices,
        nodes=nodes,
        jobs=side_by_side,
        device_ids=tuple(range(available)) if accelerator == "gpu" and launcher == "local" else (),
        threads=cores if launcher == "slurm" else max(1, cores // (side_by_side * devices)),
        logger=logger,
        resources=resources,
        detach=detach,
    )
    if dry_run:
        return cells, _list(cells, launch, launcher)
    with as_ctrl_c():
        outcome = run(launcher, cells, launch)
    _show(cells, outcome, launch)
    return cells, 1 if outcome.failed else 0


def _show(cells: list[Cell], outcome: LaunchResult, launch: Launch) -> None:
    """Print the leaderboard of the cells that have a record, why the others have none, and what can be done next."""
    from disentangle_bench.benchmarks.commands.leaderboard import show_board
    from disentangle_bench.benchmarks.execution.record import keep_experiments
    from disentangle_bench.benchmarks.runs.folder import RunFolder

    try:
        for cell in outcome.complete:
            keep_experiments(cell, RunFolder(cell.folder(launch.out)))
        show_board(launch.out, hashes={cell.hash for cell in cells}, logger=launch.logger)
    finally:  # also where the disk has no room for the table
        for cell, reason in outcome.failed:
            print(f"bench: failed {cell.title}: {reason}", file=sys.stderr)
    if outcome.failed and terminal.verbosity == terminal.Verbosity.VERBOSE:
        for cell, _ in outcome.failed:
            failure = RunFolder(cell.folder(launch.out)).state().failure
            print(failure.traceback if failure else "", file=sys.stderr, end="")
    if outcome.complete and terminal.verbosity > terminal.Verbosity.QUIET:
        print(_next_steps(launch.out), file=sys.stderr)


def _is_incomplete(request: Suite, folder: Path) -> bool:
    """Whether there are certainly cells to run: fewer records than the least that the request comes to, unplanned."""
    from disentangle_bench.benchmarks.runs.folder import RunFolder

    methods = 1 if request.methods == "all" else len(request.methods)
    least = len(request.seeds) * max(len(request.datasets) * methods, len(request.experiments) > 0)
    return sum(run.record.exists() for run in RunFolder.all_in(folder)) < least


def _next_steps(folder: Path) -> str:
    """What people do with complete runs."""
    where = "" if folder == Path("results/runs") else f" --out {shlex.quote(str(folder))}"
    return (
        f"next: bench report{where}   # pictures, statistics and every method's card, in one page\n"
        f"      bench leaderboard{where} --format latex   # or md, csv, html; --columns, --sort, --transpose\n"
        f"      bench leaderboard{where} --board my_board   # what others need to check it: bench verify my_board"
    )


def _list(cells: list[Cell], launch: Launch, launcher: str) -> int:
    """Print what a run would do."""
    from disentangle_bench.benchmarks.launchers import slurm_queue
    from disentangle_bench.benchmarks.runs.folder import RunFolder, State

    missing = 0
    runs = [RunFolder(cell.folder(launch.out)) for cell in cells]
    jobs = slurm_queue.ask_queue(needed=any(run.job.exists() for run in runs)).jobs
    for cell, run in zip(cells, runs, strict=True):
        complete = run.is_complete(cell.measures)
        state = State.COMPLETE if complete else run.state(jobs).state if run.config.exists() else State.NOT_STARTED
        missing += not complete
        print(f"{state:11} {cell.title:40} {run.path}")
    print(f"{len(cells)} cells, {missing} to run")
    if launcher == "slurm" and missing:
        from disentangle_bench.benchmarks.launchers.slurm import script

        print(f"\n{script(missing, launch)}")
    return 0
