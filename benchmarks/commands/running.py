"""Commands that run cells, follow them and end them: run, eval, status, cancel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from disentangle_bench.benchmarks.commands.preconditions import (
    check_writable,
    count_cores,
    find_devices,
    refuse_foreign_checkpoints,
    require_slurm,
    require_wandb,
)
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning import suite as suites
from disentangle_bench.benchmarks.planning.suite import choose
from disentangle_bench.benchmarks.runs import feature_cache as banks

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.planning.cell import Cell


def run(
    suite: str = "quick",
    method: str | None = None,
    dataset: str | None = None,
    seeds: str | None = None,
    measures: str | None = None,
    set: list[str] | None = None,
    out: str = "results/runs",
    devices: int = 1,
    nodes: int = 1,
    jobs: int | None = None,
    launcher: Literal["local", "slurm"] = "local",
    detach: bool = False,
    logger: Literal["csv", "wandb"] = "csv",
    dry_run: bool = False,
) -> int:
    """Train and judge every missing cell of a suite, then print the leaderboard.

    Args:
        suite: name of a suite (see `bench list suites`), or a YAML file.
        method: methods instead of the suite's, comma-separated, or `all`; `my_file.MyMethod` names one of your own.
        dataset: data sets instead of the suite's, comma-separated.
        seeds: seeds instead of the suite's, such as 0,1,2.
        measures: what to measure instead of the suite's, comma-separated, such as linear,dci, or `all` (see
            `bench list metrics`); what a complete run lacks is added to its record without training again.
        set: KEY=VALUE, may be repeated: method.temperature=0.2, simclr.lr=0.01, data.batch_size=64, budget.epochs=3.
        out: folder of all runs; what is complete there is not run again, what is part-done goes on.
        devices: processors or GPUs for each cell; on each of its machines, where it has several.
        nodes: machines for each cell (with --launcher slurm).
        jobs: cells side by side; default: as many as the machine has room for.
        launcher: local runs the cells here; slurm gives each to the cluster as a job, see `resources` of a suite.
        detach: don't wait for the cluster's jobs; `bench status` shows them, the same command without this waits.
        logger: curves always go to CSV files; wandb besides (works offline without a key).
        dry_run: only list what would be done.
    """
    from disentangle_bench.benchmarks import signals as stopping
    from disentangle_bench.benchmarks.launchers import local as matrix
    from disentangle_bench.benchmarks.planning.remembered import planned_before, remember_plan

    request = choose(suite, method, dataset, seeds, set or [], measures)
    folder = Path(out)
    check_writable(folder)
    banks.room()
    require_wandb(logger)
    if devices < 1 or nodes < 1 or (jobs is not None and jobs < 1):
        raise RequestError("--devices, --nodes and --jobs must be at least 1")
    if launcher == "slurm":
        require_slurm(request, devices)
    elif nodes > 1 or detach:
        raise RequestError(f"--{'nodes' if nodes > 1 else 'detach'} needs a cluster: --launcher slurm")
    else:
        request.resources = {}
    cells = planned_before(request, folder)
    if cells is None or not all(cell.complete(folder) for cell in cells):
        if not dry_run and launcher == "local":
            matrix.warm_up()  # imports in the background what planning imports here
        from disentangle_bench.benchmarks.planning.plan import plan

        accelerator, available = find_devices()
        if launcher == "slurm":
            accelerator, available = ("gpu" if "gpus_per_node" in request.resources else "cpu"), devices
        if devices > available:
            raise RequestError(f"--devices {devices}: this machine has {available} ({accelerator})")
        cells = plan(request, accelerator)
        refuse_foreign_checkpoints(cells, folder)
    if dry_run:
        return list_cells(cells, folder)
    outcome = matrix.Outcome(complete=cells)
    if all(cell.complete(folder) for cell in cells):
        print(f"all {len(cells)} cells are complete", file=sys.stderr)
    else:
        cores = request.resources.get("cpus_per_task", request.threads or 1) if launcher == "slurm" else count_cores()
        room = available // devices if accelerator == "gpu" else cores // (devices * (request.threads or cores))
        launch = matrix.Launch(
            out=folder,
            command=" ".join(["bench", *sys.argv[1:]]),
            accelerator=accelerator,
            devices=devices,
            nodes=nodes,
            jobs=jobs or max(1, min(room, len(cells))),
            device_ids=tuple(range(available)) if accelerator == "gpu" and launcher == "local" else (),
            threads=cores,
            logger=logger,
        )
        with stopping.as_ctrl_c():
            if launcher == "slurm":
                from disentangle_bench.benchmarks.launchers import slurm as cluster

                outcome = cluster.run(cells, launch, suites.USUAL_RESOURCES | request.resources, detach)
            else:
                outcome = matrix.run(cells, launch)
    remember_plan(request, folder, cells)
    show_table(folder, hashes={cell.hash for cell in cells}, logger=logger)
    for title, reason in outcome.failed.items():
        print(f"bench: failed {title}: {reason}", file=sys.stderr)
    return 1 if outcome.failed else 0


def list_cells(cells: list[Cell], folder: Path) -> int:
    """Print what a run would do."""
    for cell in cells:
        started = (cell.folder(folder) / "log.txt").exists()
        state = "complete" if cell.complete(folder) else "started" if started else "missing"
        print(f"{state:9} {cell.title:40} {cell.folder(folder)}")
    missing = sum(not cell.complete(folder) for cell in cells)
    print(f"{len(cells)} cells, {missing} to run")
    return 0


def show_table(folder: Path, hashes: set[str], logger: str = "csv") -> None:
    """Print the leaderboard of the given cells and write it beside their runs."""
    from disentangle_bench.evaluation import records
    from disentangle_bench.evaluation.leaderboard import summary as tables

    found, problems = records.read_records(folder)
    for problem in problems:
        print(f"bench: skipped {problem.reason}", file=sys.stderr)
    chosen = [record for record in found if record["cell"]["hash"] in hashes]
    if not chosen:
        return
    frame = tables.leaderboard(chosen)
    text = tables.to_markdown(frame)
    print(text)
    (folder / "leaderboard.md").write_text(text, encoding="utf-8")
    (folder / "leaderboard.csv").write_text(tables.to_csv(frame), encoding="utf-8")
    if logger == "wandb":
        from disentangle_bench.benchmarks.execution.wandb import log_leaderboard

        log_leaderboard(frame, folder)


def evaluate(
    encoder: str,
    dataset: str = "colored_digits",
    suite: str = "quick",
    measures: str | None = None,
    set: list[str] | None = None,
    out: str = "results/runs",
    untrained: bool = False,
) -> int:
    """Judge an encoder that exists already, without training.

    Args:
        encoder: `encoder.safetensors` of a run of this suite, or `timm:NAME` for one of timm's with its own weights.
        dataset: what to judge it on.
        suite: whose measures and data settings to use.
        measures: what to measure instead, comma-separated, such as linear,dci, or `all` (see `bench list metrics`).
        set: KEY=VALUE, may be repeated, such as data.batch_size=64.
        out: folder of all runs.
        untrained: judge a timm encoder with random weights (refused otherwise).
    """
    from disentangle_bench.benchmarks.execution.pretrained import judge_encoder

    folder = Path(out)
    check_writable(folder)
    banks.room()
    request = choose(suite, None, dataset, None, set or [], measures)
    record = judge_encoder(encoder, request, folder, untrained)
    show_table(folder, hashes={record["cell"]["hash"]})
    return 0


def status(out: str = "results/runs") -> int:
    """Say how every cell of a folder fares: running, queued, failed (and why), interrupted, stale or complete.

    Args:
        out: folder of the runs.
    """
    from disentangle_bench.benchmarks.launchers.survey import report

    print(report(Path(out)))
    return 0


def cancel(cells: list[str] | None = None, out: str = "results/runs") -> int:
    """Stop cells that run, each with a checkpoint, and take waiting ones out of the cluster's queue.

    Args:
        cells: which, by hash or by part of the name, such as simclr or "digits/simclr seed 0"; default: all.
        out: folder of the runs.
    """
    from disentangle_bench.benchmarks.launchers import survey as overview

    asked, out_of_reach = overview.cancel(Path(out), cells or [])
    for title in asked:
        print(f"asked to stop: {title}")
    for line in out_of_reach:
        print(f"bench: {line}", file=sys.stderr)
    if not asked and not out_of_reach:
        print(f"nothing is running or queued under {out}")
    return 1 if out_of_reach else 0
