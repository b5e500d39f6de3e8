"""The card of a suite, made without planning it: its data need not be there."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from disentangle_bench.benchmarks.layout import facts, several, table

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.planning.suite import Suite
    from disentangle_bench.benchmarks.planning.suite_parts import ExperimentSettings


def card(name: str) -> str:
    """Data sets, methods, rows, seeds, budget, measures, settings and the number of cells."""
    from disentangle_bench import methods
    from disentangle_bench.benchmarks.planning.suite import read
    from disentangle_bench.benchmarks.planning.suite_parts import Resources, Tuning

    suite = read(name)
    named = methods.available() if suite.methods == "all" else suite.methods
    pairs = [
        ("what it is for", suite.description),
        ("data sets", ", ".join(suite.datasets)),
        ("methods", f"all: {', '.join(named)}" if suite.methods == "all" else ", ".join(named)),
        ("seeds", ", ".join(map(str, suite.seeds))),
        ("budget", ", ".join(f"{amount:g} {unit}" for unit, amount in suite.budget.given.items())),
        ("measures", ", ".join(suite.measures)),
        ("precision", suite.precision),
        ("threads", str(suite.threads or "all of the processor")),
        ("sweep", "; ".join(f"{path}: {', '.join(map(_plain, values))}" for path, values in suite.sweep.items())),
        ("tuned", str(suite.tuned or "no; options as the suite and the methods have them")),
        ("tune", _changed(suite.tune, Tuning())),
        ("resources", _changed(suite.resources, Resources())),
        ("cells", _cells(suite, len(named))),
    ]
    pairs = [pair for pair in pairs if suite.datasets or pair[0] not in ("data sets", "methods")]
    parts = [facts(suite.name, pairs)]
    if suite.experiments:
        rows = [[one.label, one.method, one.dataset, _own(one.settings)] for one in suite.experiments]
        parts.append(table(["row", "method", "data set", "its own settings"], rows))
    if settings := [[to, _pairs(given)] for to, given in suite.settings.items()]:
        parts.append(table(["settings of", ""], settings))
    return "\n\n".join(parts)


def _cells(suite: Suite, methods: int) -> str:
    """`90: 10 methods x 3 data sets x 3 seeds`, with what a sweep and experiments make of it."""
    values = math.prod(map(len, suite.sweep.values()))
    matrix = methods * len(suite.datasets) if suite.datasets else 0
    made = [f"{several(methods, 'method')} x {several(len(suite.datasets), 'data set')}"] if matrix else []
    made = [f"{made[0]} x {values} values of the sweep"] if made and values > 1 else made
    made += [several(len(suite.experiments), "row")] if suite.experiments else []
    count = (matrix * values + len(suite.experiments)) * len(suite.seeds)
    told = f"({' and '.join(made)})" if len(made) > 1 else "".join(made)
    fewer = "; fewer where a data set lacks labels that a method trains with" if matrix else ""
    return f"{count}: {told} x {several(len(suite.seeds), 'seed')}{fewer}"


def _own(settings: ExperimentSettings) -> str:
    """The settings of an experiment's own: options of its method and its data, and its budget."""
    budget = settings.budget.given if settings.budget else {}
    return ", ".join(filter(None, map(_pairs, (settings.method, settings.data, budget))))


def _pairs(given: dict[str, Any]) -> str:
    return ", ".join(f"{key}={_plain(value)}" for key, value in given.items())


def _changed(given: Any, default: Any) -> str:
    """Fields that aren't as they are by default."""
    names = [field.name for field in fields(given) if getattr(given, field.name) != getattr(default, field.name)]
    return _pairs({name: getattr(given, name) for name in names})


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
