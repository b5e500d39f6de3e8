"""From a suite and the command line's choices to resolved cells. What is wrong with a request is found here."""

from __future__ import annotations

import sys
from inspect import getsourcefile, signature
from itertools import takewhile
from pathlib import Path
from typing import Any

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks import own_code
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.machine import has_bf16
from disentangle_bench.benchmarks.planning import options
from disentangle_bench.benchmarks.planning.cell import Cell, content_hash
from disentangle_bench.benchmarks.planning.suite import Suite
from disentangle_bench.datamodules.base import DataMismatch, DataNotFound, ImageDataModule
from disentangle_bench.evaluation.protocol import MEASURES, newest

BATCH_OPTIONS = set(signature(ImageDataModule.check_batches).parameters) - {"self", "roles"}
"""Options of a data set that a method may have of its own."""
PACKAGE = "disentangle_bench"


def resolve_precision(precision: str, accelerator: str) -> str:
    """Lightning's name of `auto`, `fp32` or `bf16`; auto is bf16 where the device computes in it."""
    if precision == "auto":
        precision = "bf16" if has_bf16(accelerator) else "fp32"
    return {"fp32": "32-true", "bf16": "bf16-mixed"}[precision]


def plan(suite: Suite, accelerator: str = "cpu") -> list[Cell]:
    """Every cell of the suite, resolved and checked.

    Raises:
        RequestError: an unknown name or option, a value of the wrong type or range, data that is missing or too small.
    """
    own_code.allow(Path.cwd())
    method_names = methods.available() if suite.methods == "all" else suite.methods
    method_classes = {name: find_class(methods, "method", name) for name in method_names}
    data_classes = {name: find_class(datamodules, "dataset", name) for name in suite.datasets}
    measures = resolve_measures(suite.measures)
    _check_addressees(suite, method_classes)
    loaded, roles = {}, {}
    for name, cls in data_classes.items():
        given = suite.settings.get("data", {}) | suite.settings.get(name, {})
        loaded[name] = setup_data(cls, options.resolve(cls, given, f"data set {name}"), name)
        roles[name] = {target.role for target in loaded[name].targets}
    method_options, batches = {}, {}
    for name, cls in method_classes.items():
        shared = {k: v for k, v in suite.settings.get("method", {}).items() if k in options.known_options(cls)}
        own = dict(suite.settings.get(name, {}))
        batches[name] = _batch_options(own.pop("data", {}), name)
        method_options[name] = options.resolve(cls, shared | own, f"method {name}")
    left_out = {
        (dataset, name): f"{name} trains with {'/'.join(sorted(missing))} labels, which {dataset} does not have"
        for dataset in suite.datasets
        for name, cls in method_classes.items()
        if (missing := cls.uses_targets - roles[dataset])
    }
    if left_out and suite.methods != "all":
        raise RequestError(next(iter(left_out.values())))
    for reason in left_out.values():
        print(f"left out: {reason}", file=sys.stderr)
    precision = resolve_precision(suite.precision, accelerator)
    data_options = {
        (dataset, name): _data_options(
            suite, cls, loaded[dataset], dataset, name, batches[name], method_classes[name].uses_targets
        )
        for dataset, cls in data_classes.items()
        for name in method_names
        if (dataset, name) not in left_out
    }
    return [
        Cell(
            dataset=dataset,
            method=method,
            seed=seed,
            data=data_options[dataset, method],
            fingerprint=loaded[dataset].fingerprint,
            source=source_hash(data_classes[dataset], method_classes[method]),
            options=method_options[method],
            budget=suite.budget.given,
            precision=precision,
            measures=measures,
            suite=suite.name,
            threads=suite.threads,
        )
        for seed in suite.seeds  # seeds outermost: every method has its first figure early
        for dataset in suite.datasets
        for method in method_names
        if (dataset, method) not in left_out
    ]


def resolve_measures(names: list[str]) -> list[str]:
    """Titles of measures; one named without a version is the newest. RequestError for a name that is none."""
    versions = {title.partition("@")[0]: title for title in newest()}
    for name in names:
        if name not in MEASURES and name not in versions:
            raise unknown("measure", name, [*MEASURES, *versions])
    return list(dict.fromkeys(versions.get(name, name) for name in names))


def find_class(registry: Any, kind: str, name: str) -> Any:
    """The class of a name in a registry (`methods` or `datamodules`).

    Raises:
        RequestError: there is none (with the nearest names), or the user's file doesn't run.
    """
    try:
        return registry.find(name)
    except LookupError as error:
        known = registry.available()
        raise RequestError(str(error)) if "." in name or name in known else unknown(kind, name, known) from error


def source_hash(*classes: type) -> str:
    """Hash of the files that define these classes, as far as they are not this package's; empty if all are."""
    outside = [
        ancestor
        for cls in classes
        for ancestor in takewhile(lambda one: one.__module__.partition(".")[0] != PACKAGE, cls.__mro__)
    ]
    files = sorted({Path(file) for cls in outside if (file := getsourcefile(cls))})
    return content_hash([file.read_text(encoding="utf-8", errors="replace") for file in files]) if files else ""


def setup_data(cls: type, data_options: dict[str, Any], name: str) -> ImageDataModule:
    """The data set, loaded, or RequestError if it is missing or the options don't fit it."""
    try:
        data = cls(**options.instantiate(cls, data_options))
        data.setup()
    except (DataNotFound, ValueError) as error:
        raise RequestError(f"data set {name}: {error}") from error
    return data


def _batch_options(given: Any, method: str) -> dict[str, Any]:
    """How a method's batches are composed, where that is part of the method; the images are those of all methods."""
    if not isinstance(given, dict) or not given.keys() <= BATCH_OPTIONS:
        raise RequestError(
            f"method {method}: `data` may hold {' and '.join(sorted(BATCH_OPTIONS))}, got {given!r}; "
            "the data themselves are the same for all methods"
        )
    return given


def _data_options(
    suite: Suite,
    cls: Any,
    loaded: ImageDataModule,
    dataset: str,
    method: str,
    batches: dict[str, Any],
    roles: frozenset[str],
) -> dict[str, Any]:
    """The data set's options for one method, which sees targets of those roles, checked on the loaded images."""
    given = suite.settings.get("data", {}) | suite.settings.get(dataset, {}) | batches
    resolved = options.resolve(cls, given, f"data set {dataset}")
    try:
        given_to_batches: dict[str, Any] = {name: resolved.get(name) for name in BATCH_OPTIONS}
        loaded.check_batches(roles=roles, **given_to_batches)
    except DataMismatch as error:
        raise RequestError(f"data set {dataset}, method {method}: {error}") from error
    return resolved


def _check_addressees(suite: Suite, method_classes: dict[str, type]) -> None:
    """Settings for something that is not there are a mistake, not a wish."""
    known = {"data", "method", *methods.available(), *datamodules.available(), *suite.datasets, *method_classes}
    for addressee in suite.settings:
        if addressee not in known:
            raise RequestError(f"settings: {unknown('addressee', addressee, known)}")
    everyones = set().union(*(options.known_options(cls) for cls in method_classes.values()))
    for key in suite.settings.get("method", {}):
        if key not in everyones:
            raise RequestError(f"settings of every method: {unknown('option', key, everyones)}")
