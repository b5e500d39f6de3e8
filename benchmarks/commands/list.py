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

    from disentangle_bench.benchmarks import own_code, terminal

    own_code.allow(Path.cwd())
    if what == "metrics" and names:
        from disentangle_bench.benchmarks.planning.lookup import resolve_measures

        print("\n\n".join(_measure(title) for title in resolve_measures(list(names))))
        return 0
    kinds = {
        "methods": _methods,
        "datasets": _datasets,
        "suites": _suites,
        "metrics": _metrics,
        "backbones": _backbones,
        "views": _views,
    }
    rows, headers = kinds[what](list(names))
    taken = max(len(row[0]) for row in rows) + 2 * len(headers)
    rest = max((terminal.shape()["width"] - taken) // (len(headers) - 1), 20)
    print(tabulate(rows, headers=headers, maxcolwidths=[None] + [rest] * (len(headers) - 1)))
    if what == "metrics":
        print("\nbench list metrics NAME says what it fits on, is scored on, its range, chance level and source")
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

    arrows = {"up": " ↑", "down": " ↓", None: ""}
    rows = [
        [
            title,
            measure.aspect,
            measure.targets.text,
            ", ".join(name + arrows[score.direction] for name, score in measure.scores.items()),
        ]
        for title, measure in MEASURES.items()
    ]
    return rows, ["measure", "asks about", "targets", "scores (↑ more is better)"]


def _measure(title: str) -> str:
    """All of one measure."""
    from tabulate import tabulate

    from disentangle_bench.benchmarks import terminal
    from disentangle_bench.evaluation.protocol import MEASURES

    measure = MEASURES[title]
    spaces = ", ".join(measure.spaces) if measure.spaces else "all"
    better = {"up": "higher", "down": "lower", None: "neither"}
    rows = [["asks about", measure.aspect], ["targets", measure.targets.text], ["spaces", spaces]]
    rows += [["splits", measure.splits], ["source", measure.source]]
    rows += [
        [name, f"better: {better[score.direction]}; range: {score.low:g} .. {score.high:g}; chance: {score.chance}"]
        for name, score in measure.scores.items()
    ]
    width = max(terminal.shape()["width"] - max(len(name) for name, _ in rows) - 4, 20)
    return tabulate(rows, headers=[title, ""], maxcolwidths=[None, width])


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
