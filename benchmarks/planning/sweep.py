"""Rows of a sweep: `--sweep simclr.lr=0.1,0.2` makes one of each value, several sweeps one of each combination.

A suite can have sweeps of its own (`sweep:`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from disentangle_bench import datamodules
from disentangle_bench import methods as all_methods
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.planning.command_line import assigned, holds, keys_of, merged
from disentangle_bench.benchmarks.planning.options import instantiate, resolve
from disentangle_bench.benchmarks.planning.suite import Suite
from disentangle_bench.benchmarks.planning.suite_parts import Budget, Experiment, ExperimentSettings

MOST_ROWS = 1000
"""Most rows of a sweep for one method on one data set."""
EVERYONES = ("data", "method", "budget")


@dataclass(frozen=True)
class Row:
    """One combination of values.

    Attributes:
        experiment: with a label that names them.
        overrides: those of the command line, with the values of the sweep.
    """

    experiment: Experiment
    overrides: dict[str, Any]


def rows(suite: Suite, method: str, dataset: str, options: set[str]) -> list[Row]:
    """Rows of the sweeps for one method on one data set; none if no sweep is about them.

    Args:
        suite: with sweeps.
        method: name.
        dataset: name.
        options: that the method has.

    Raises:
        RequestError: a budget that is none, or swept and set at once; too many rows.
    """
    ours = {path: values for path, values in suite.sweeps.items() if _is_about(path, method, dataset, options)}
    if not ours:
        return []
    found = []
    for values in _combinations(ours):
        tree = assigned([f"{path}={text}" for path, (text, _) in values.items()], "--sweep")
        if "budget" in tree and "budget" in suite.overrides:
            raise RequestError("--sweep budget: it is set by --set, too")
        budget = None
        if "budget" in tree:
            given = resolve(Budget, tree.pop("budget"), "--sweep budget")
            try:
                budget = Budget(**instantiate(Budget, given))
            except ValueError as error:
                raise RequestError(f"--sweep: {error}") from error
        told = " ".join(f"{path.partition('.')[2]}={_shown(value)}" for path, (_, value) in values.items())
        experiment = Experiment(f"{method} {told}", method, dataset, ExperimentSettings(budget=budget))
        found.append(Row(experiment, merged(suite.overrides, tree)))
    return found


def check(suite: Suite, methods: Mapping[str, set[str]]) -> None:
    """Raise RequestError for a sweep that is about nothing in the request, or about what is set besides.

    Args:
        suite: with sweeps.
        methods: of the suite, each with its options; experiments of the suite are not swept.
    """
    for path in suite.sweeps:
        head, _, rest = path.partition(".")
        known = [*EVERYONES, *methods, *suite.datasets]
        own = path in suite.sweep
        if own:  # the request may have left out what it is about
            known += [*all_methods.available(), *datamodules.available()]
        where = f"suite {suite.name}, sweep" if own else "--sweep"
        if holds(suite.overrides, keys_of(path)):
            raise RequestError(f"{where} {path}: it is set by --set, too")
        if head not in known:
            raise RequestError(f"{where} {path}: {unknown('addressee', head, known)}")
        everyones = set().union(*methods.values())
        if head == "method" and rest.partition(".")[0] not in everyones:
            raise RequestError(f"{where} {path}: {unknown('option', rest, everyones)}")


def _is_about(path: str, method: str, dataset: str, options: set[str]) -> bool:
    head, _, rest = path.partition(".")
    return head in ("data", "budget", method, dataset) or (head == "method" and rest.partition(".")[0] in options)


def _combinations(sweeps: Mapping[str, list[tuple[str, Any]]]) -> Iterator[dict[str, tuple[str, Any]]]:
    """Path -> (text, value), the last path's values fastest."""
    count = math.prod(map(len, sweeps.values()))
    if count > MOST_ROWS:
        raise RequestError(f"--sweep: {count:,} rows for one method, at most {MOST_ROWS:,} may be")
    for chosen in product(*sweeps.values()):
        yield dict(zip(sweeps, chosen, strict=True))


def _shown(value: Any) -> str:
    """A value as text without commas, which separate labels on the command line."""
    return str(value).replace(", ", " ").replace(",", " ")
