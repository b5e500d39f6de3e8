"""A request from its checks to its table: what `bench run` and `bench tune` share."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.commands import preconditions
from disentangle_bench.benchmarks.layout import fitted, several
from disentangle_bench.files import printable

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.launchers import Launch, LaunchResult
    from disentangle_bench.benchmarks.planning.cell import Cell
    from disentangle_bench.benchmarks.planning.suite import Suite


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
    alone: bool = False,
) -> tuple[list[Cell], int]:
    """Make every missing cell of a suite and print the leaderboard; options as of the command.

    The leaderboard has all runs of the folder that can be compared with these cells, or, with `alone`, these only: no
    table to report, so that what to do with one isn't said.

    Returns:
        All cells of the suite, and the exit code.
    """
    from disentangle_bench.benchmarks.runs import feature_cache

    preconditions.check_writable(folder)
    feature_cache.limit()
    preconditions.require_wandb(logger)
    preconditions.require_launcher(launcher, request, devices, nodes, jobs, detach, dry_run)
    from disentangle_bench.benchmarks.planning.lookup import check_names, names_own_code

    if sys.stderr.isatty() and terminal.verbosity > terminal.Verbosity.QUIET:  # what follows takes seconds
        print(f"looking at suite {printable(request.name)} and the runs in {printable(str(folder))}", file=sys.stderr)
    starts_cells = launcher == "local" and not dry_run and _is_incomplete(request, folder)
    if starts_cells:  # import in the background, once, what cells need, while planning imports it here
        from disentangle_bench.benchmarks.launchers.local import warm_up

        if names_own_code(request):
            warm_up()  # somebody's own code imports torch, which takes as long as to warm up
        check_names(request)
        warm_up()
    else:
        check_names(request)
    from disentangle_bench.benchmarks.execution.build import edited_measures
    from disentangle_bench.benchmarks.launchers import Launch, run
    from disentangle_bench.benchmarks.machine import count_cores, find_devices
    from disentangle_bench.benchmarks.planning.plan import plan

    resources = request.resources
    if launcher == "slurm":
        accelerator, available = ("cpu" if resources.gpus_per_node == 0 else "gpu"), devices
    else:
        accelerator, available = find_devices()
    preconditions.require_devices(devices, accelerator, available)
    cells = plan(request, accelerator, dry=dry_run)
    for told in edited_measures(cells[0].imports, folder):
        print(f"bench: {printable(told)}", file=sys.stderr)
    preconditions.require_logger(logger, cells[0])
    preconditions.refuse_foreign_checkpoints(cells, folder)
    cores = count_cores()
    if launcher == "slurm":
        from disentangle_bench.benchmarks.launchers.slurm_submission import cores_for

        cores = resources.cpus_per_task or cores_for(cells, request.threads)
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
        return cells, _list(cells, launch, launcher, request.description)
    try:
        outcome = run(launcher, cells, launch)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(stop) or "the same command goes on from here") from stop
    _show(cells, outcome, launch, alone)
    return cells, 1 if outcome.failed else 0


def _show(cells: list[Cell], outcome: LaunchResult, launch: Launch, alone: bool) -> None:
    """Print the leaderboard that the cells with a record stand in, why the others have none, and what is next."""
    from disentangle_bench.benchmarks.commands.leaderboard import show_board
    from disentangle_bench.benchmarks.execution.record import keep_experiments
    from disentangle_bench.benchmarks.runs.folder import RunFolder

    try:
        for cell in outcome.complete:
            keep_experiments(cell, RunFolder(cell.folder(launch.out)))
        show_board(launch.out, hashes={cell.hash for cell in cells}, logger=launch.logger, alone=alone)
    finally:  # also where the disk has no room for the table
        for cell, reason in outcome.failed:
            print(f"bench: failed {cell.title}: {reason}", file=sys.stderr)
    if outcome.failed and terminal.verbosity == terminal.Verbosity.VERBOSE:
        for cell, _ in outcome.failed:
            failure = RunFolder(cell.folder(launch.out)).state().failure
            print(failure.traceback if failure else "", file=sys.stderr, end="")
    if outcome.complete and not alone and terminal.verbosity > terminal.Verbosity.QUIET:
        print(next_steps(launch.out), file=sys.stderr)


def _is_incomplete(request: Suite, folder: Path) -> bool:
    """Whether there are certainly cells to run: fewer records than the least that the request comes to, unplanned."""
    from disentangle_bench.benchmarks.runs.folder import RunFolder

    methods = 1 if request.methods == "all" else len(request.methods)
    least = len(request.seeds) * max(len(request.datasets) * methods, len(request.experiments) > 0)
    return sum(run.record.exists() for run in RunFolder.all_in(folder)) < least


def next_steps(folder: Path) -> str:
    """Hints at commands for complete runs."""
    where = "" if folder == Path(preconditions.RUNS) else f" --out {shlex.quote(str(folder))}"
    return (
        "next\n"
        "  # a page with pictures, statistics and a card of every method\n"
        f"  bench report{where}\n"
        "  # the table for a paper (or md, csv, html; see also --columns, --transpose)\n"
        f"  bench leaderboard{where} --format latex\n"
        "  # a folder that lets others check the table, by `bench verify my_board`\n"
        f"  bench leaderboard{where} --board my_board"
    )


def _list(cells: list[Cell], launch: Launch, launcher: str, description: str) -> int:
    """Print what a run would do, and how long that takes as far as complete runs, or the suite's words, tell."""
    from tabulate import tabulate

    from disentangle_bench.benchmarks.launchers import slurm_queue
    from disentangle_bench.benchmarks.launchers.estimate import estimate
    from disentangle_bench.benchmarks.runs.folder import RunFolder, State

    missing: list[Cell] = []
    rows = []
    runs = [RunFolder(cell.folder(launch.out)) for cell in cells]
    jobs = slurm_queue.ask_queue(needed=any(run.job.exists() for run in runs)).jobs
    for cell, run in zip(cells, runs, strict=True):
        complete = run.is_complete(cell.measures)
        state = State.COMPLETE if complete else run.state(jobs).state if run.config.exists() else State.NOT_STARTED
        missing += [] if complete else [cell]
        rows.append([str(state), printable(cell.title), run.hash])
    print(tabulate(rows, ["state", "cell", "run"], disable_numparse=True))
    print(f"\n{several(len(cells), 'cell')}, {len(missing)} to run; folders: {launch.out}/DATASET/METHOD/RUN")
    if missing:
        told = estimate(missing, launch.out, launch.resources.max_parallel if launcher == "slurm" else launch.jobs)
        if told is None:
            told = f"no estimate of the time: none of these methods has a complete run of this kind under {launch.out}"
            told += f"; of the whole suite its file says: {description}" if "minutes" in description else ""
        print(fitted(told))
    if launcher == "slurm" and missing:
        from disentangle_bench.benchmarks.launchers.slurm_submission import script

        print(f"\n{script(len(missing), launch)}")
    return 0
