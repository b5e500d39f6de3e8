"""`bench tune`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from disentangle_bench.benchmarks.commands import preconditions
from disentangle_bench.benchmarks.errors import RequestError

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.planning.cell import Cell
    from disentangle_bench.benchmarks.planning.suite import Suite
    from disentangle_bench.benchmarks.planning.suite_parts import Tuning
    from disentangle_bench.benchmarks.planning.tuning import TrialResult


def command(
    *,
    suite: str,
    to: str,
    method: str | None = None,
    set: list[str] | None = None,
    out: str = "results/tuning",
    devices: int = 1,
    nodes: int = 1,
    jobs: int | None = None,
    launcher: Literal["local", "slurm"] = "local",
    detach: bool = False,
    dry_run: bool = False,
) -> int:
    """Choose every method's options on validation images, from as many draws of its search space for each.

    Its runs are ordinary ones, with a seed that the suite doesn't report; the same command goes on where it stopped.

    Args:
        suite: whose methods; its key `tune` says by which score, from how many draws and with which seed.
        to: file for the choice, for `bench run --tuned`, or a suite's `tuned`.
        method: only these, comma-separated.
        set: KEY=VALUE, may be repeated, as in `bench run`.
        out: folder of the runs.
        devices: processors or GPUs for each cell, as in `bench run`.
        nodes: machines for each cell (with --launcher slurm).
        jobs: cells side by side; default: as many as the machine has room for.
        launcher: local or slurm.
        detach: don't wait for the cluster's jobs; the same command chooses once they have run.
        dry_run: only list what would be done.
    """
    from disentangle_bench.benchmarks.commands.carry_out import carry_out
    from disentangle_bench.benchmarks.planning.suite import choose
    from disentangle_bench.benchmarks.planning.tuning import Choice, check_criterion, tuning_suite
    from disentangle_bench.benchmarks.runs.folder import RunFolder
    from disentangle_bench.json_files import write_json

    request = choose(suite, method, None, None, set)
    preconditions.check_target(Path(to))
    request.tuned = None  # what is to be chosen does not depend on what was
    request.sweeps = {}  # and is chosen once, not for each row of a method
    tune = request.tune
    check_criterion(tune)
    settings, datasets = _draws(request)
    if not settings:
        raise RequestError(f"suite {suite}: no method to tune")
    cells, code = carry_out(
        tuning_suite(request, settings, datasets),
        Path(out),
        devices=devices,
        nodes=nodes,
        jobs=jobs,
        launcher=launcher,
        detach=detach,
        dry_run=dry_run,
        alone=True,
    )
    if code or dry_run:
        return code
    missing = sum(not RunFolder(cell.folder(Path(out))).is_complete(cell.measures) for cell in cells) if detach else 0
    if missing:
        print(f"{missing} of {len(cells)} runs are still on their way; the same command chooses once they are there")
        return 0
    row_of = {(cell.dataset, label): cell for cell in cells for label in cell.labels}
    found = {}
    for name, draws in settings.items():
        rows = [[row_of[data, f"{name} draw {number}"] for data in datasets[name]] for number in range(len(draws))]
        found[name] = _ranked(name, draws, rows, Path(out), tune)
    fixed = (suite, sorted({one for names in datasets.values() for one in names}), tune.measure, tune.score)
    sources = {name: sorted({cell.source for cell in cells if cell.method == name} - {""}) for name in found}
    own = {name: hashes for name, hashes in sources.items() if hashes}
    choice = Choice(*fixed, tune.seed, tune.draws, request.budget.given, found, own)
    Path(to).parent.mkdir(parents=True, exist_ok=True)
    write_json(Path(to), choice.content)
    for name, (best, *_) in found.items():
        changed = ", ".join(f"{key}={value}" for key, value in best.options.items()) or "as they are"
        print(f"{name}: {changed} ({tune.measure} {tune.score} {best.score:.3f})")
    print(f"written to {to}; run with it: {_use(suite, method, set, to)}")
    return 0


def _use(suite: str, method: str | None, assignments: list[str] | None, to: str) -> str:
    """The command that runs what was tuned with the options that were chosen."""
    words = ["bench", "run", "--suite", suite, "--tuned", to]
    words += ["--method", method] if method else []
    kept = [one for one in assignments or [] if not one.startswith("tune.")]
    return shlex.join([*words, *(word for one in kept for word in ("--set", one))])


def _draws(request: Suite) -> tuple[dict[str, list[dict[str, Any]]], dict[str, list[str]]]:
    """Settings of every method that trains, and the data sets that it can be run on."""
    from disentangle_bench import methods
    from disentangle_bench.benchmarks.planning.lookup import find_class
    from disentangle_bench.benchmarks.planning.plan import plan
    from disentangle_bench.benchmarks.planning.tuning import draw

    settings: dict[str, list[dict[str, Any]]] = {}
    datasets: dict[str, list[str]] = {}
    for cell in plan(request):
        known = find_class(methods, "method", cell.method)
        if cell.experiments or cell.seed != request.seeds[0] or not known.trains:
            continue
        tune = request.tune
        settings[cell.method] = draw(known.search, cell.options, tune.draws, f"{tune.seed}/{cell.method}")
        datasets.setdefault(cell.method, []).append(cell.dataset)
    return settings, datasets


def _ranked(
    name: str, draws: list[dict[str, Any]], rows: list[list[Cell]], out: Path, tune: Tuning
) -> list[TrialResult]:
    """All settings of a method with their means over data sets, see `choose_best`; `rows` has the runs of each."""
    from disentangle_bench.benchmarks.planning.tuning import TrialResult, choose_best

    tried = []
    for options, runs in zip(draws, rows, strict=True):
        mean = _mean([_score(run, out, tune.measure, tune.score) for run in runs])
        tried.append(TrialResult(options, mean, [run.hash for run in runs]))
    try:
        return choose_best(tried)
    except RequestError as error:
        raise RequestError(f"{name}: {error}") from error


def _score(cell: Cell, out: Path, measure: str, score: str) -> float | None:
    """A run's mean score over targets, in the method's primary space; None if one is undefined."""
    from disentangle_bench.benchmarks.runs.folder import RunFolder
    from disentangle_bench.evaluation.records import read_record

    record = read_record(RunFolder(cell.folder(out)).record)
    found: list[float | None] = [
        (row["scores"] or {}).get(score)
        for row in record["metrics"]
        if row["measure"] == measure and row["space"] == record["primary_space"]
    ]
    return _mean(found)


def _mean(scores: list[float | None]) -> float | None:
    """None if one of them is, or there are none."""
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None
