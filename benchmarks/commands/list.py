"""`bench list`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal


def command(what: Literal["methods", "datasets", "suites", "metrics", "backbones", "views"], *names: str) -> int:
    """List what there is.

    Args:
        what: methods, datasets, suites, metrics, backbones or views.
        names: only these; one of your own by its path, such as my_file.MyMethod.
    """
    from tabulate import tabulate

    from disentangle_bench.benchmarks import own_code

    own_code.allow(Path.cwd())
    kinds = {
        "methods": _methods,
        "datasets": _datasets,
        "suites": _suites,
        "metrics": _metrics,
        "backbones": _backbones,
        "views": _views,
    }
    rows, headers = kinds[what](list(names))
    print(tabulate(rows, headers=headers, maxcolwidths=60 if len(headers) <= 3 else 30))
    return 0


def _methods(names: list[str]) -> tuple[list[list[str]], list[str]]:
    from disentangle_bench import methods

    rows = []
    for name, cls in _classes(methods, "method", names):
        rows.append([name, ", ".join(sorted(cls.uses_targets)) or "none", cls.source])
    return rows, ["method", "labels seen", "source"]


def _datasets(names: list[str]) -> tuple[list[list[str]], list[str]]:
    from disentangle_bench import datamodules

    rows = []
    for name, cls in _classes(datamodules, "dataset", names):
        rows.append([name, cls.licence, cls.source])
    return rows, ["data set", "licence", "source"]


def _classes(registry: Any, kind: str, names: list[str]) -> list[tuple[str, Any]]:
    if not names:
        return [(name, registry.find(name)) for name in registry.available()]
    from disentangle_bench.benchmarks.planning.lookup import find_class

    return [(name, find_class(registry, kind, name)) for name in names]


def _suites(names: list[str]) -> tuple[list[list[str]], list[str]]:
    from disentangle_bench.benchmarks.planning import suite

    return [[name, suite.read(name).description] for name in names or suite.names()], ["suite", "what it is for"]


def _metrics(names: list[str]) -> tuple[list[list[str]], list[str]]:
    from disentangle_bench.evaluation.protocol import MEASURES

    titles = list(MEASURES)
    if names:
        from disentangle_bench.benchmarks.planning.lookup import resolve_measures

        titles = resolve_measures(names)
    rows = []
    for title in titles:
        measure = MEASURES[title]
        spaces = ", ".join(measure.spaces) if measure.spaces else "all"
        about = [title, measure.subjects.text, spaces, measure.splits, measure.source]
        for name, score in measure.scores.items():
            better = {"up": "higher", "down": "lower", None: "neither"}[score.direction]
            rows.append([*about, name, better, f"{score.low:g} .. {score.high:g}", score.chance])
            about = [""] * len(about)  # said once for all scores of a measure
    return rows, ["measure", "targets", "spaces", "splits", "source", "score", "better", "range", "chance"]


def _backbones(names: list[str]) -> tuple[list[list[str]], list[str]]:
    from disentangle_bench.benchmarks.errors import RequestError
    from disentangle_bench.methods.networks.backbones import backbone
    from disentangle_bench.registry import offered

    entries = [["timm's", "any name that timm.list_models() prints"]] if not names else []
    shape = (3, 224, 224)
    rows = []
    for name in names or ["convnet", *offered("disentangle_bench.backbones")]:
        try:
            made: Any = backbone(name, shape)
        except ValueError as error:
            raise RequestError(str(error)) from error
        millions = sum(parameter.numel() for parameter in made.parameters()) / 1e6
        rows.append([name, f"{made.num_features} features, {millions:.2f} M parameters"])
    return rows + entries, ["backbone", "what it is"]


def _views(names: list[str]) -> tuple[list[list[str]], list[str]]:
    from disentangle_bench.benchmarks.errors import RequestError
    from disentangle_bench.methods.views import Augmentation, views_of
    from disentangle_bench.registry import offered

    rows = [["method.augmentation", (Augmentation.__doc__ or "").splitlines()[0]]] if not names else []
    for name in names or offered("disentangle_bench.views"):
        try:
            rows.append([name, (type(views_of(name)).__doc__ or "").splitlines()[0]])
        except ValueError as error:
            raise RequestError(str(error)) from error
    return rows, ["views", "what they are"]
