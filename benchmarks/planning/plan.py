"""From a suite and the command line's choices to resolved cells. What is wrong with a request is found here."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.machine import has_bf16
from disentangle_bench.benchmarks.planning import options, sweep
from disentangle_bench.benchmarks.planning.cell import Cell, content_hash
from disentangle_bench.benchmarks.planning.lookup import (
    check_names,
    find_class,
    initial_weights,
    own_measures,
    own_parts,
    own_texts,
    resolve_measures,
    source_hash,
)
from disentangle_bench.benchmarks.planning.settings import BATCH_OPTIONS, Settings
from disentangle_bench.benchmarks.planning.suite import Suite
from disentangle_bench.benchmarks.planning.suite_parts import Experiment, ExperimentSettings
from disentangle_bench.benchmarks.planning.trial import check_class, setup_data, try_building, try_measure
from disentangle_bench.benchmarks.planning.tuning import read_choice
from disentangle_bench.datamodules.base import DataMismatch, ImageDataModule
from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.protocol import BUILT_IN, MEASURES


def resolve_precision(precision: str, accelerator: str) -> str:
    """Lightning's name of `auto`, `fp32` or `bf16`; auto is bf16 where the device computes in it."""
    if precision == "auto":
        precision = "bf16" if has_bf16(accelerator) else "fp32"
    return {"fp32": "32-true", "bf16": "bf16-mixed"}[precision]


def plan(suite: Suite, accelerator: str = "cpu", *, dry: bool = False) -> list[Cell]:
    """Every cell of the suite, resolved and checked; experiments that come to the same cell share it.

    Args:
        suite: the request.
        accelerator: what will be computed on.
        dry: nothing will be run, so that files of weights may be missing; which do is printed, a line each.

    Raises:
        RequestError: an unknown name or option, a value of the wrong type or range, data that is missing or too small.
    """
    check_names(suite)
    matrix = (methods.available() if suite.methods == "all" else suite.methods) if suite.datasets else []
    experiments = suite.experiments
    names = dict.fromkeys([*matrix, *(one.method for one in experiments)])
    method_classes = {name: find_class(methods, "method", name) for name in names}
    data_classes = {
        name: find_class(datamodules, "dataset", name)
        for name in dict.fromkeys([*suite.datasets, *(one.dataset for one in experiments)])
    }
    for name, method_class in method_classes.items():
        check_class(method_class, f"method {name}")
    measures = resolve_measures(suite.measures)
    settings = Settings(suite, method_classes, data_classes, read_choice(suite) if suite.tuned else None)
    settings.check()
    planner = _Planner(settings, resolve_precision(suite.precision, accelerator), measures, dry)
    known = {name: options.known_options(method_classes[name]) for name in matrix}
    sweep.check(suite, known)
    optional = not suite.named
    cells: list[Cell] = []
    for dataset, method in product(suite.datasets, matrix):
        rows = sweep.rows(suite, method, dataset, known[method])
        made = [planner.cell(dataset, method, row.experiment, optional, row.overrides) for row in rows]
        made = made if rows else [planner.cell(dataset, method, optional=optional)]
        cells += [cell for cell in made if cell is not None]
    cells += [cell for one in experiments if (cell := planner.cell(one.dataset, one.method, one)) is not None]
    if not cells:
        raise RequestError(f"suite {suite.name}: none of its methods can train on its data sets, see above")
    planner.tell_of_choice(cells)
    shared: dict[str, Cell] = {}
    for cell in cells:
        one_of = shared.setdefault(cell.hash, replace(cell, experiments=[]))
        one_of.experiments.extend(cell.experiments)
    # seeds outermost: every method has its first figure early
    return [replace(cell, seed=seed) for seed in suite.seeds for cell in shared.values()]


class _Planner:
    """Cells of one suite; data sets are loaded once for all methods whose images are the same."""

    def __init__(self, settings: Settings, precision: str, measures: list[str], dry: bool):
        self.settings, self.suite, self.choice = settings, settings.suite, settings.choice
        self.precision, self.measures, self.dry = precision, measures, dry
        self.needed: set[str] = set()
        self.loaded: dict[str, ImageDataModule] = {}

    def cell(
        self,
        dataset: str,
        method: str,
        experiment: Experiment | None = None,
        optional: bool = False,
        overrides: dict[str, Any] | None = None,
    ) -> Cell | None:
        """The cell of the first seed; None where the data lack labels that a method needs, and it is `optional`."""
        suite, settings = self.suite, self.settings
        method_class, data_class = settings.method_classes[method], settings.data_classes[dataset]
        over = suite.overrides if overrides is None else overrides
        where = f"experiment {experiment.label!r}: " if experiment else ""
        own = ExperimentSettings() if experiment is None else experiment.settings
        data_options = settings.of_data(dataset, method, own.data, over, where)
        method_options = settings.of_method(method, own.method, over, where)
        parts = (data_class, method_class, *own_parts(method_options, f"{where}method {method}"))
        source = source_hash(*parts, weights=initial_weights(method_options))
        data = self.load(dataset, data_options)
        if missing := method_class.uses_targets - {target.role for target in data.targets}:
            lack = f"{method} trains with {'/'.join(sorted(missing))} labels, which {dataset} does not have"
            if not optional:
                raise RequestError(where + lack)
            print(f"left out: {lack}", file=sys.stderr)
            return None
        try:
            given: dict[str, Any] = {name: data_options.get(name) for name in BATCH_OPTIONS}
            data.check_batches(roles=method_class.uses_targets, **given)
        except DataMismatch as error:
            raise RequestError(f"{where}data set {dataset}, method {method}: {error}") from error
        needed = try_building(method_class, method_options, f"{where}method {method}", data)
        if needed and not self.dry:
            raise RequestError(f"{where}method {method}: {needed[0]}")
        for one in needed:
            if one not in self.needed:
                print(f"a run needs a file: {method}: {one}", file=sys.stderr)
            self.needed.add(one)
        if experiment:
            _check_published(experiment, data.targets)
        budget = own.budget if own.budget and "budget" not in over else suite.budget
        choice = self.choice if self.choice and method in self.choice.methods else None
        return Cell(
            dataset=dataset,
            method=method,
            seed=suite.seeds[0],
            data=data_options,
            fingerprint=data.fingerprint,
            source=source,
            options=method_options,
            budget=budget.given,
            precision=self.precision,
            measures=self.measures,
            suite=suite.name,
            experiments=[experiment.entry(suite.name)] if experiment else [],
            threads=suite.threads,
            tuned=choice.draws if choice else None,
            tuned_at=choice.budget if choice and choice.budget != budget.given else {},
            by_hand=settings.by_hand(method, method_options, over),
            imports=own_measures(suite.measures),
        )

    def tell_of_choice(self, cells: list[Cell]) -> None:
        """Say which of the methods that learn have no part in the choice, or have one that was made with other code."""
        if self.choice is None:
            return
        file = Path(str(self.suite.tuned)).name
        for method in dict.fromkeys(cell.method for cell in cells):
            known = self.choice.sources.get(method)
            if method not in self.choice.methods and self.settings.method_classes[method].trains:
                print(f"untuned: {method} is not in {file} and has the options of the suite", file=sys.stderr)
            elif known and (others := [one for one in cells if one.method == method and one.source not in known]):
                print(
                    f"tuned: {method} runs with the options in {file}, which were chosen with "
                    f"{self._otherwise(others[0])}; `bench tune` chooses anew",
                    file=sys.stderr,
                )

    def _otherwise(self, cell: Cell) -> str:
        """Words for the code or weights that a choice was made with, where they aren't the cell's."""
        if not cell.source:
            return "code or weights of your own that this run is without"
        classes = self.settings.data_classes[cell.dataset], self.settings.method_classes[cell.method]
        code = own_texts(*classes, *own_parts(cell.options, f"method {cell.method}"))
        there = {"your code": code, "the weights that `init` names": initial_weights(cell.options)}
        return f"another version of {' or '.join(name for name, found in there.items() if found)}"

    def load(self, dataset: str, data_options: dict[str, Any]) -> ImageDataModule:
        """The data set with these options, but for how its batches are composed."""
        images = data_options | dict.fromkeys(BATCH_OPTIONS & data_options.keys())
        key = content_hash([dataset, images])
        if key not in self.loaded:
            self.loaded[key] = setup_data(self.settings.data_classes[dataset], images, dataset)
            for title in self.measures:
                if title not in BUILT_IN:
                    try_measure(MEASURES[title], self.loaded[key].targets)
        return self.loaded[key]


def _check_published(experiment: Experiment, targets: tuple[TargetSpec, ...]) -> None:
    """A published figure is of a score and a target that there are, and in its range."""
    for figure in experiment.published:
        where = f"experiment {experiment.label!r}: published: "
        if figure.measure not in MEASURES:
            raise RequestError(where + str(unknown("measure", figure.measure, MEASURES)))
        scores, subjects = MEASURES[figure.measure].scores, MEASURES[figure.measure].targets.choose(targets)
        if figure.score not in scores:
            raise RequestError(where + str(unknown("score", figure.score, scores)))
        names = [subject for subject, _ in subjects]
        if figure.target not in names and (figure.target is not None or len(names) > 1):
            raise RequestError(where + str(unknown("target", str(figure.target), names)))
        low, high = scores[figure.score].low, scores[figure.score].high
        if not low <= figure.value <= high:
            raise RequestError(
                f"{where}{figure.measure} {figure.score} lies between {low:g} and {high:g}, got {figure.value:g}"
                + (": 84.44 % is 0.8444" if scores[figure.score].unit == "percent" else "")
            )
