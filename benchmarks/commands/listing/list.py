"""`bench list`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from disentangle_bench.benchmarks.layout import about, entries, paragraph, table

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
    shown = LISTS[kind]()
    print(shown if isinstance(shown, str) else "\n\n".join(table(*one) for one in shown))
    print(f"\n{paragraph(f'bench list {kind} {MORE[kind]}')}")
    return 0


def _methods() -> list[Table]:
    from disentangle_bench import methods

    rows = []
    for name in methods.available():
        seen = ", ".join(sorted(methods.attribute(name, "uses_targets")))
        rows.append([name, seen or "none", methods.attribute(name, "source")])
    return [(["method", "labels seen", "paper"], rows)]


def _datasets() -> list[Table]:
    from disentangle_bench import datamodules

    rows = [[name, about(datamodules.attribute(name, "__doc__"))] for name in datamodules.available()]
    return [(["data set", "what it is"], rows)]


def _suites() -> list[Table]:
    from disentangle_bench.benchmarks.planning import suite

    return [(["suite", "what it is for"], [[name, suite.description(name)] for name in suite.names()])]


def _measures() -> list[Table]:
    from disentangle_bench.evaluation.protocol import MEASURES

    arrows = {"up": "↑", "down": "↓", None: ""}
    rows = []
    for title, measure in MEASURES.items():
        scores = ", ".join(name + arrows[score.direction] for name, score in measure.scores.items())
        rows.append([title, measure.aspect, measure.targets.text, scores])
    return [(["measure", "asks about", "targets", "scores"], rows)]


def _claims() -> list[Table]:
    from disentangle_bench.benchmarks.planning import claims

    shipped = claims.shipped().items()
    return [([file, "its claims"], [[one.name, one.statement] for one in found]) for file, found in shipped]


def _backbones() -> list[Table]:
    from disentangle_bench.registry import declared, offered

    doc = str(declared("disentangle_bench.methods.networks.backbones:ConvNet").__doc__)
    own = [[name, "of an installed package"] for name in offered("disentangle_bench.backbones")]
    timms = ["timm's", "any name that timm.list_models() prints, such as resnet18"]
    return [(["backbone", "what it is"], [["convnet", doc.splitlines()[0]], *own, timms])]


def _views() -> list[Table]:
    from disentangle_bench.registry import declared, offered

    doc = str(declared("disentangle_bench.methods.views.augmentation:Augmentation").__doc__)
    own = [[name, "of an installed package"] for name in offered("disentangle_bench.views")]
    return [(["views", "what they are"], [["method.augmentation", doc.splitlines()[0]], *own])]


def _keys() -> str:
    from disentangle_bench.benchmarks.planning.keys import every_key

    pairs = []
    for one in every_key():
        needed = "required" if one.default == "required" else f"default: {one.default}"
        pairs.append((f"{one.name}  ({one.type}; {needed})", f"{one.help} Example: {one.example}"))
    return f"keys of a suite's file; None is written null\n\n{entries(pairs)}"


LISTS: dict[str, Callable[[], list[Table] | str]] = {
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
    "datasets": "NAME: its source and licence, options, splits and targets, and where its files belong",
    "suites": "NAME: its data sets, methods, seeds, budget, measures and settings; `bench list keys` explains them",
    "measures": "NAME: what it fits on and is scored on, range, chance level, source. ↑: more is better, ↓: less",
    "claims": "NAME: which figures it compares (of a claim, or of all of a method's paper); `bench claims` judges it",
    "backbones": "NAME: features, parameters, pretrained weights",
    "views": "NAME: options",
    "keys": "NAME: one of them, or all of a part such as resources",
}
"""For each kind the hint below its list: what a name shows."""
