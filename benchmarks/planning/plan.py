"""From a suite and the command line's choices to resolved cells. What is wrong with a request is found here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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
from disentangle_bench.methods.networks.backbones import require_pretrained

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
    method_options, batches = {}, {}
    sources: dict[tuple[str, str], str] = {}
    for name, cls in method_classes.items():
        shared = {k: v for k, v in suite.settings.get("method", {}).items() if k in options.known_options(cls)}
        own = dict(suite.settings.get(name, {}))
        batches[name] = _batch_options(own.pop("data", {}), name)
        method_options[name] = options.resolve(cls, shared | own, f"method {name}")
        sources |= {(dataset, name): source_hash(data_class, cls) for dataset, data_class in data_classes.items()}
    given = {name: suite.settings.get("data", {}) | suite.settings.get(name, {}) for name in data_classes}
    resolved = {name: options.resolve(cls, given[name], f"data set {name}") for name, cls in data_classes.items()}
    loaded, roles = {}, {}
    for name, cls in data_classes.items():
        loaded[name] = setup_data(cls, resolved[name], name)
        roles[name] = {target.role for target in loaded[name].targets}
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
    for dataset, name in data_options:
        _try_building(method_classes[name], method_options[name], name, loaded[dataset])
    return [
        Cell(
            dataset=dataset,
            method=method,
            seed=seed,
            data=data_options[dataset, method],
            fingerprint=loaded[dataset].fingerprint,
            source=sources[dataset, method],
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
    try:
        files = sorted({Path(file) for cls in outside if (file := getsourcefile(cls))})
    except (TypeError, OSError) as error:
        raise RequestError(
            f"{outside[0].__qualname__}: a class needs a file, whose content is part of a run's hash"
        ) from error
    return content_hash([file.read_text(encoding="utf-8", errors="replace") for file in files]) if files else ""


def setup_data(cls: type, data_options: dict[str, Any], name: str) -> ImageDataModule:
    """The data set, loaded, or RequestError if it is missing or the options don't fit it."""
    with opened_data(cls, data_options, name) as data:
        data.setup()
    return data


@contextmanager
def opened_data(cls: type, data_options: dict[str, Any], name: str) -> Iterator[ImageDataModule]:
    """The data set, not loaded; within the block what is wrong with it is a RequestError."""
    with _told(cls, f"data set {name}"):
        yield cls(**options.instantiate(cls, data_options))


@contextmanager
def _told(cls: type, what: str) -> Iterator[None]:
    """Tell in a line what goes wrong: of our own classes what the request can be wrong in, of others' anything."""
    try:
        yield
    except RequestError:
        raise
    except (DataNotFound, ValueError, OSError) as error:
        raise RequestError(f"{what}: {error}") from error
    except BaseException as error:  # a file of the user's may raise anything, `sys.exit` included
        if cls.__module__.partition(".")[0] == PACKAGE or isinstance(error, KeyboardInterrupt):
            raise
        raise RequestError(f"{what}: its code ended with {type(error).__name__}: {error}") from error


def _try_building(cls: Any, resolved: dict[str, Any], name: str, data: ImageDataModule) -> None:
    """Raise RequestError if the method can't be made of its options for these images.

    Ours are made without memory for their weights; those that timm would download are not.
    """
    import torch

    arguments = options.instantiate(cls, resolved)
    ours = cls.__module__.partition(".")[0] == PACKAGE
    with _told(cls, f"method {name}"), torch.device("meta") if ours else nullcontext():
        if arguments.get("init") == "timm":
            arguments["init"] = None
            require_pretrained(arguments["backbone"])
        cls(image_shape=data.image_shape, data=data.describe(), **arguments)


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
    """Settings for something that is not there are a mistake, not a wish; so are those that change nothing."""
    known = {"data", "method", *methods.available(), *datamodules.available(), *suite.datasets, *method_classes}
    for addressee in suite.settings:
        if addressee not in known:
            raise RequestError(f"settings: {unknown('addressee', addressee, known)}")
    everyones = set().union(*(options.known_options(cls) for cls in method_classes.values()))
    for key in suite.settings.get("method", {}):
        if key not in everyones:
            raise RequestError(f"settings of every method: {unknown('option', key, everyones)}")
    here = {"data", "method", *suite.datasets, *method_classes}
    for addressee, given in suite.assigned.items():
        if addressee in suite.settings and addressee not in here:
            raise RequestError(f"--set {addressee}: changes nothing, {addressee} is not part of this request")
        if addressee not in ("data", "method"):
            continue
        names = suite.datasets if addressee == "data" else method_classes
        for key in given:
            own = [name for name in names if key in suite.settings.get(name, {})]
            takers = [n for n in names if addressee == "data" or key in options.known_options(method_classes[n])]
            if takers and set(takers) <= set(own):
                raise RequestError(f"--set {addressee}.{key}: changes nothing, {own[0]}.{key} is set, too")
