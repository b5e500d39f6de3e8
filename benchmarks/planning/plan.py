"""From a suite and the command line's choices to resolved cells. What is wrong with a request is found here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from inspect import signature
from itertools import product
from pathlib import Path
from typing import Any

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.machine import has_bf16
from disentangle_bench.benchmarks.planning import options, sweep
from disentangle_bench.benchmarks.planning.cell import Cell, content_hash
from disentangle_bench.benchmarks.planning.command_line import merged
from disentangle_bench.benchmarks.planning.experiment import Experiment, ExperimentSettings
from disentangle_bench.benchmarks.planning.lookup import (
    check_names,
    find_class,
    own_measures,
    own_parts,
    resolve_measures,
    source_hash,
)
from disentangle_bench.benchmarks.planning.suite import Suite
from disentangle_bench.benchmarks.planning.trial import check_class, setup_data, try_building, try_measure
from disentangle_bench.benchmarks.planning.tuning import read_choice
from disentangle_bench.datamodules.base import DataMismatch, ImageDataModule
from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.protocol import BUILT_IN, MEASURES
from disentangle_bench.registry import dotted

BATCH_OPTIONS = set(signature(ImageDataModule.check_batches).parameters) - {"self", "roles"}
"""Options of a data set that a method may have of its own."""


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
    _check_addressees(suite, method_classes, data_classes)
    precision = resolve_precision(suite.precision, accelerator)
    planner = _Planner(suite, method_classes, data_classes, precision, measures, dry)
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
    planner.name_untuned(cells)
    shared: dict[str, Cell] = {}
    for cell in cells:
        one_of = shared.setdefault(cell.hash, replace(cell, experiments=[]))
        one_of.experiments.extend(cell.experiments)
    # seeds outermost: every method has its first figure early
    return [replace(cell, seed=seed) for seed in suite.seeds for cell in shared.values()]


class _Planner:
    """Cells of one suite; data sets are loaded once for all methods whose images are the same."""

    def __init__(
        self,
        suite: Suite,
        method_classes: dict[str, Any],
        data_classes: dict[str, Any],
        precision: str,
        measures: list[str],
        dry: bool,
    ):
        self.suite, self.method_classes, self.data_classes = suite, method_classes, data_classes
        self.precision, self.measures, self.dry = precision, measures, dry
        self.needed: set[str] = set()
        self.choice = read_choice(suite) if suite.tuned else None
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
        suite, method_class, data_class = self.suite, self.method_classes[method], self.data_classes[dataset]
        over = suite.overrides if overrides is None else overrides
        where = f"experiment {experiment.label!r}: " if experiment else ""
        own = ExperimentSettings() if experiment is None else experiment.settings
        data_options = self.data_options(dataset, method, own.data, over, where)
        method_options = self.method_options(method, own.method, over, where)
        source = source_hash(data_class, method_class, *own_parts(method_options, f"{where}method {method}"))
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
            by_hand=_by_hand(method_class, method_options, [over.get("method", {}), over.get(method, {})]),
            imports=own_measures(suite.measures),
        )

    def data_options(
        self, dataset: str, method: str, own: dict[str, Any], over: dict[str, Any], where: str
    ) -> dict[str, Any]:
        """The options of a data set for a method's rows, from all places that may say something; the later ones win.

        The class's defaults; the suite's settings of `data`, of the data set, of the method's batches; those of the
        experiment (`own`); the command line's or a sweep's (`over`), in the same order.
        """
        settings = self.suite.settings
        of_method = (places.get(method, {}).get("data", {}) for places in (settings, over))
        batches, over_batches = (_batch_options(given, method) for given in of_method)
        chosen = _layered(
            [settings.get("data", {}), settings.get(dataset, {}), batches, own],
            [over.get("data", {}), over.get(dataset, {}), over_batches],
        )
        return options.resolve(self.data_classes[dataset], chosen, f"{where}data set {dataset}")

    def method_options(self, method: str, own: dict[str, Any], over: dict[str, Any], where: str) -> dict[str, Any]:
        """The options of a method, from all places that may say something; the later ones win.

        The class's defaults; the suite's settings of `method`, as far as it has them, and of the method by name; what
        `bench tune` chose; the experiment's (`own`); the command line's or a sweep's (`over`), in the same order.
        """
        method_class = self.method_classes[method]
        by_place = (
            (_known_to(method_class, places.get("method", {})), _without_data(places.get(method, {})))
            for places in (self.suite.settings, over)
        )
        (for_all, named), of_command_line = by_place
        tuned = self.choice.options_of(method) if self.choice else {}
        chosen = _layered([for_all, named, tuned, own], of_command_line)
        for part in ("backbone", "own_views"):
            if isinstance(chosen.get(part), str):
                chosen[part] = dotted(chosen[part])
        return options.resolve(method_class, chosen, f"{where}method {method}")

    def name_untuned(self, cells: list[Cell]) -> None:
        """Say on standard error which of the methods that learn have no part in the choice that the others run with."""
        if self.choice is None:
            return
        for method in dict.fromkeys(cell.method for cell in cells):
            if method not in self.choice.methods and self.method_classes[method].trains:
                file = Path(str(self.suite.tuned)).name
                print(f"untuned: {method} is not in {file} and has the options of the suite", file=sys.stderr)

    def load(self, dataset: str, data_options: dict[str, Any]) -> ImageDataModule:
        """The data set with these options, but for how its batches are composed."""
        images = data_options | dict.fromkeys(BATCH_OPTIONS & data_options.keys())
        key = content_hash([dataset, images])
        if key not in self.loaded:
            self.loaded[key] = setup_data(self.data_classes[dataset], images, dataset)
            for title in self.measures:
                if title not in BUILT_IN:
                    try_measure(MEASURES[title], self.loaded[key].targets)
        return self.loaded[key]


def _layered(settings: Sequence[dict[str, Any]], overrides: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Options of several places, the later ones winning; overrides also reach into mappings."""
    found: dict[str, Any] = {}
    for chosen in settings:
        found |= chosen
    for chosen in overrides:
        found = merged(found, chosen)
    return found


def _without_data(given: dict[str, Any]) -> dict[str, Any]:
    """A method's own settings without those of its batches."""
    return {key: value for key, value in given.items() if key != "data"}


def _by_hand(cls: type, options: dict[str, Any], given: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of a method's options those that the command line set, by their paths (`augmentation.grey_p`)."""

    def leaves(tree: Any, values: Any, path: str) -> dict[str, Any]:
        if not isinstance(tree, dict) or not tree or not isinstance(values, dict):
            return {path: values}
        return {key: v for name in tree for key, v in leaves(tree[name], values[name], f"{path}.{name}").items()}

    known = [_known_to(cls, one) for one in given]
    found = {key: v for one in known for name in one for key, v in leaves(one[name], options[name], name).items()}
    return dict(sorted(found.items()))


def _known_to(cls: type, given: dict[str, Any]) -> dict[str, Any]:
    """Of options for every method, those that one has."""
    known = options.known_options(cls)
    return {key: value for key, value in given.items() if key in known}


def _batch_options(given: Any, method: str) -> dict[str, Any]:
    """How a method's batches are composed, where that is part of the method; the images are those of all methods."""
    if not isinstance(given, dict) or not given.keys() <= BATCH_OPTIONS:
        raise RequestError(
            f"method {method}: `data` may hold {' and '.join(sorted(BATCH_OPTIONS))}, got {given!r}; "
            "the data themselves are the same for all methods"
        )
    return given


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


def _check_addressees(suite: Suite, method_classes: dict[str, type], data_classes: dict[str, type]) -> None:
    """Settings for something that is not there are a mistake, not a wish; so are those that change nothing."""
    everyones = set().union(*(options.known_options(cls) for cls in method_classes.values()))
    for key in suite.settings.get("method", {}):
        if key not in everyones:
            raise RequestError(f"settings of every method: {unknown('option', key, everyones)}")
    here = {"data", "method", *data_classes, *method_classes}
    for addressee, given in suite.overrides.items():
        if addressee in suite.settings and addressee not in here:
            raise RequestError(f"--set {addressee}: changes nothing, {addressee} is not part of this request")
        if addressee not in ("data", "method") or suite.experiments:  # where what is assigned comes first
            continue
        names = suite.datasets if addressee == "data" else method_classes
        for key in given:
            own = [name for name in names if key in suite.settings.get(name, {})]
            takers = [n for n in names if addressee == "data" or key in options.known_options(method_classes[n])]
            if takers and set(takers) <= set(own):
                raise RequestError(f"--set {addressee}.{key}: changes nothing, {own[0]}.{key} is set, too")
