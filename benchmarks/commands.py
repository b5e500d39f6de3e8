"""The commands behind `bench`, one function each; signatures and docstrings are the command line and its help."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks import banks
from benchmarks import suite as suites
from benchmarks.checks import (
    check_writable,
    count_cores,
    find_devices,
    refuse_foreign_checkpoints,
    require_runs,
    require_slurm,
    require_wandb,
)
from benchmarks.errors import RequestError

if TYPE_CHECKING:
    from benchmarks.cells import Cell
    from benchmarks.suite import Suite


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
    from benchmarks import matrix, stopping
    from benchmarks.remembered import planned_before, remember_plan

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
        from benchmarks.plan import plan

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
                from benchmarks import cluster

                outcome = cluster.run(cells, launch, suites.USUAL_RESOURCES | request.resources, detach)
            else:
                outcome = matrix.run(cells, launch)
    remember_plan(request, folder, cells)
    show_table(folder, hashes={cell.hash for cell in cells}, logger=logger)
    for title, reason in outcome.failed.items():
        print(f"bench: failed {title}: {reason}", file=sys.stderr)
    return 1 if outcome.failed else 0


def choose(
    suite: str,
    method: str | None,
    dataset: str | None,
    seeds: str | None,
    assignments: list[str],
    measures: str | None = None,
) -> Suite:
    """The suite with the command line's choices in place of its own."""
    chosen = suites.read(suite)
    if method:
        chosen.methods = "all" if method == "all" else _names(method)
    if dataset:
        chosen.datasets = _names(dataset)
    if seeds:
        try:
            chosen.seeds = [int(seed) for seed in seeds.split(",")]
        except ValueError:
            raise RequestError(f"--seeds must be whole numbers, such as 0,1,2; got {seeds!r}") from None
    if measures:
        from evaluation.protocol import newest

        chosen.measures = list(newest()) if measures == "all" else _names(measures)
    suites.override(chosen, assignments)
    return chosen.check()


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


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
    from evaluation.leaderboard import records, tables

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
        from benchmarks.tracking import log_leaderboard

        log_leaderboard(frame, folder)


def leaderboard(
    out: str = "results/runs",
    format: Literal["md", "csv", "latex", "html"] = "md",
    matched: Literal["epochs", "images", "forward_passes", "minutes"] | None = None,
    interval: Literal["t", "bootstrap"] = "t",
    to: str | None = None,
) -> int:
    """Print the leaderboard of all complete runs in a folder.

    Args:
        out: folder of the runs.
        format: md (markdown), csv (every score, with its interval), latex (booktabs) or html.
        matched: only runs whose training took the same (within 10 %) in this unit.
        interval: of the csv's `low` and `high`: Student's t, right for few seeds, or bootstrap over the seeds.
        to: write it to this file; markdown under the commands, commits and hardware that gave it.
    """
    from evaluation.leaderboard import compute, records, tables
    from evaluation.leaderboard.rows import provenance

    require_runs(Path(out))
    found, problems = records.read_records(Path(out))
    for problem in problems:
        print(f"bench: skipped {problem.reason}", file=sys.stderr)
    chosen = compute.match(found, matched) if matched else found
    frame = tables.leaderboard(chosen, interval)
    text = {
        "md": lambda: tables.to_markdown(frame, problems),
        "csv": lambda: tables.to_csv(frame),
        "latex": lambda: tables.to_latex(frame),
        "html": lambda: tables.to_html(frame),
    }[format]()
    if to is None:
        print(text)
        return 0
    check_writable(Path(to).parent)
    Path(to).parent.mkdir(parents=True, exist_ok=True)
    Path(to).write_text(f"# Leaderboard\n\n{provenance(chosen)}\n{text}" if format == "md" else text, encoding="utf-8")
    return 0


def report(
    out: str = "results/runs",
    to: str = "results/report",
    baseline: str | None = None,
    logger: Literal["none", "wandb"] = "none",
) -> int:
    """Build a page with tables, statistics and pictures that works offline.

    Args:
        out: folder of the runs.
        to: folder of the report; open its index.html.
        baseline: method that the others are compared with; default: simclr if it was run, else a floor.
        logger: wandb: log the report, with its tables and pictures, as an artifact too.
    """
    from evaluation.leaderboard.report import build

    require_runs(Path(out))
    check_writable(Path(to))
    require_wandb(logger)
    try:
        page = build(Path(out), Path(to), baseline)
    except ValueError as error:
        raise RequestError(f"--baseline: {error}") from error
    if logger == "wandb":
        from benchmarks.tracking import log_report

        log_report(page.parent)
    print(page)
    return 0


def compare(a: str, b: str, out: str = "results/runs", threshold: float = 0.01, measures: str | None = None) -> int:
    """Say what is better or worse in B than in A beyond noise; exit code 3 if something is worse (a gate for CI).

    Args:
        a: folder of runs, or a method of the folder `out`.
        b: folder of runs, or a method of the folder `out`.
        out: folder that holds the runs of two methods.
        threshold: loss that is put up with, in the score's own unit (0.01 is one point of accuracy).
        measures: only these, comma-separated, such as linear@1,knn@1.
    """
    from evaluation.leaderboard import compare as comparing
    from evaluation.leaderboard.records import read_records

    only = _names(measures) if measures else []
    try:
        if Path(a).is_dir() and Path(b).is_dir():
            comparison = comparing.compare(Path(a), Path(b), threshold, only)
        else:
            records, problems = read_records(Path(out))
            comparison = comparing.compare_methods(records, a, b, threshold, only, problems)
    except comparing.NothingToCompare as error:
        raise RequestError(f"compare {a} {b}: {error}") from error
    print(comparison.text(), end="")
    return 3 if comparison.worse else 0


def data(
    action: Literal["show", "check"],
    name: str,
    method: str | None = None,
    set: list[str] | None = None,
    to: str | None = None,
) -> int:
    """Look at a data set: `show` draws a contact sheet, `check` counts, and finds unreadable files and duplicates.

    Args:
        action: show or check.
        name: of the data set.
        method: show the views that this method trains on instead: a row an image, the image itself first.
        set: KEY=VALUE of the data set's options, may be repeated, such as correlation=0.5 or root=FOLDER.
        to: the picture; default: results/data/NAME.png, or NAME-METHOD.png.
    """
    from benchmarks import looking

    given = suites.assigned([f"{name}.{assignment}" for assignment in set or []]).get(name, {})
    picture = Path(to or f"results/data/{name}{f'-{method}' if method else ''}.png")
    if action == "show":
        check_writable(picture.parent)
    print(looking.look(action, name, given, method, picture))
    return 0


def status(out: str = "results/runs") -> int:
    """Say how every cell of a folder fares: running, queued, failed (and why), interrupted, stale or complete.

    Args:
        out: folder of the runs.
    """
    from benchmarks.overview import report

    print(report(Path(out)))
    return 0


def cancel(cells: list[str] | None = None, out: str = "results/runs") -> int:
    """Stop cells that run, each with a checkpoint, and take waiting ones out of the cluster's queue.

    Args:
        cells: which, by hash or by part of the name, such as simclr or "digits/simclr seed 0"; default: all.
        out: folder of the runs.
    """
    from benchmarks import overview

    asked, out_of_reach = overview.cancel(Path(out), cells or [])
    for title in asked:
        print(f"asked to stop: {title}")
    for line in out_of_reach:
        print(f"bench: {line}", file=sys.stderr)
    if not asked and not out_of_reach:
        print(f"nothing is running or queued under {out}")
    return 1 if out_of_reach else 0


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
    from benchmarks.encoder import judge_encoder

    folder = Path(out)
    check_writable(folder)
    banks.room()
    request = choose(suite, None, dataset, None, set or [], measures)
    record = judge_encoder(encoder, request, folder, untrained)
    show_table(folder, hashes={record["cell"]["hash"]})
    return 0


def show_list(what: Literal["methods", "datasets", "suites", "metrics"]) -> int:
    """List what there is.

    Args:
        what: methods, datasets, suites or metrics.
    """
    from benchmarks.listing import listing

    print(listing(what))
    return 0


def doctor(out: str = "results/runs") -> int:
    """Say what this machine offers, and what to do about what is missing.

    Args:
        out: folder that runs would go to.
    """
    from benchmarks.doctor import report

    print(report(Path(out)))
    return 0


def perf(only: str | None = None) -> int:
    """Measure what takes time: the linear probe beside scikit-learn's, the protocol, IP-IRM's partition, the loader.

    Args:
        only: names of entries, comma-separated; default: all.
    """
    from benchmarks.errors import unknown
    from benchmarks.perf import ENTRIES, measure

    names = _names(only) if only else list(ENTRIES)
    for name in names:
        if name not in ENTRIES:
            raise unknown("entry", name, ENTRIES)
    print(measure(names))
    return 0
