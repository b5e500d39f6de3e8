"""`bench list`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from disentangle_bench.benchmarks.commands.listing.layout import paragraph, table

Kind = Literal["methods", "datasets", "suites", "measures", "claims", "backbones", "views", "keys", "metrics"]
Table = tuple[list[str], list[list[str]]]
"""Headers and rows."""


def command(what: Kind, *names: str) -> int:
    """List what there is; with names, all that is known of these: options, spaces, splits, sources.

    Args:
        what: methods, datasets, suites, measures (or metrics), claims, backbones, views, or keys (what a suite's file
            may say).
        names: only these, in full, apart or comma-separated; one of your own by its path, such as my_file.MyMethod.
    """
    from disentangle_bench.benchmarks import own_code
    from disentangle_bench.benchmarks.planning.command_line import names_in

    own_code.allow(Path.cwd())
    kind = "measures" if what == "metrics" else what
    chosen = [name for text in names for name in names_in(text)]
    if chosen:
        from disentangle_bench.benchmarks.commands.listing import cards

        print("\n\n".join(cards.CARDS[kind](name) for name in chosen))
        return 0
    print(table(*TABLES[kind]()))
    print(f"\n{paragraph(f'bench list {kind} {MORE[kind]}')}")
    return 0


def _methods() -> Table:
    from disentangle_bench import methods

    rows = []
    for name in methods.available():
        seen = ", ".join(sorted(methods.attribute(name, "uses_targets")))
        rows.append([name, seen or "none", methods.attribute(name, "source")])
    return ["method", "labels seen", "paper"], rows


def _datasets() -> Table:
    from disentangle_bench import datamodules

    found = datamodules.attribute
    rows = [[name, found(name, "licence"), found(name, "source")] for name in datamodules.available()]
    return ["data set", "licence", "source"], rows


def _suites() -> Table:
    from disentangle_bench.benchmarks.planning import suite

    return ["suite", "what it is for"], [[name, suite.description(name)] for name in suite.names()]


def _measures() -> Table:
    from disentangle_bench.evaluation.protocol import MEASURES

    arrows = {"up": " ↑", "down": " ↓", None: ""}
    rows = []
    for title, measure in MEASURES.items():
        scores = ", ".join(name + arrows[score.direction] for name, score in measure.scores.items())
        rows.append([title, measure.aspect, measure.targets.text, scores])
    return ["measure", "asks about", "targets", "scores (↑ more is better)"], rows


def _claims() -> Table:
    from disentangle_bench.benchmarks.planning import claims

    rows = [[one.name, file, one.statement] for file, found in claims.shipped().items() for one in found]
    return ["claim", "paper", "in words"], rows


def _backbones() -> Table:
    from disentangle_bench.registry import declared, offered

    doc = str(declared("disentangle_bench.methods.networks.backbones:ConvNet").__doc__)
    own = [[name, "of an installed package"] for name in offered("disentangle_bench.backbones")]
    timms = ["timm's", "any name that timm.list_models() prints, such as resnet18"]
    return ["backbone", "what it is"], [["convnet", doc.splitlines()[0]], *own, timms]


def _views() -> Table:
    from disentangle_bench.registry import declared, offered

    doc = str(declared("disentangle_bench.methods.views.augmentation:Augmentation").__doc__)
    own = [[name, "of an installed package"] for name in offered("disentangle_bench.views")]
    return ["views", "what they are"], [["method.augmentation", doc.splitlines()[0]], *own]


def _keys() -> Table:
    from disentangle_bench.benchmarks.planning.keys import every_key

    rows = []
    for one in every_key():
        needed = "required" if one.default == "required" else f"default: {one.default}"
        rows.append([one.name, f"{one.help} ({one.type}; {needed}; such as {one.example})"])
    return ["key of a suite", "what it says"], rows


TABLES: dict[str, Callable[[], Table]] = {
    "methods": _methods,
    "datasets": _datasets,
    "suites": _suites,
    "measures": _measures,
    "claims": _claims,
    "backbones": _backbones,
    "views": _views,
    "keys": _keys,
}
MORE: dict[str, str] = {
    "methods": "NAME: its options, its spaces, what `bench tune` tries",
    "datasets": "NAME: its options, splits and targets, and where its files belong",
    "suites": "NAME: its data sets, methods, seeds, budget, measures and settings; `bench list keys` explains them",
    "measures": "NAME: what it fits on and is scored on, range, chance level, source",
    "claims": "NAME: which figures it compares; `bench claims` judges it",
    "backbones": "NAME: features, parameters, pretrained weights",
    "views": "NAME: options",
    "keys": "NAME: one of them",
}
"""What else can be asked."""
