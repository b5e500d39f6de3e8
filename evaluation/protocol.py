"""The registry of measures, and taking them on a feature bank.

A changed default gets a new version; figures of different versions never share a column. A new measure is one function
in `measures/` (its maths lives in `metrics/`) and one entry beside it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures import (
    clusters,
    content,
    domain,
    encoder,
    factors,
    fairness,
    label_free,
    own,
    wide,
)
from disentangle_bench.evaluation.measures.base import Measure, Score, Space
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.outcomes import Outcomes
from disentangle_bench.registry import offered

if TYPE_CHECKING:  # tables read MEASURES too, and should not wait for torch
    from disentangle_bench.evaluation.features import FeatureBank
    from disentangle_bench.evaluation.network import Network

__all__ = ["BUILT_IN", "MEASURES", "Measure", "Score", "Space", "evaluate"]

MEASURES: dict[str, Measure] = {
    measure.title: measure
    for part in (content, clusters, domain, fairness, factors, wide, label_free, encoder)
    for measure in part.MEASURES
}
"""Every measure by its title, in the order of the table's columns."""
BUILT_IN = frozenset(MEASURES)
"""Titles of those of this package."""


def register(measure: Any, where: str) -> str:
    """Take in a measure from outside, and return its title.

    Args:
        measure: of somebody's own.
        where: its path or name, for messages.

    Raises:
        ValueError: it is no `Measure`, not a whole one, or another one has its name and version.
    """
    if not isinstance(measure, Measure):
        raise ValueError(
            f"{where!r} is no measure: expected a disentangle_bench.evaluation.measures.base.Measure, found a "
            f"{type(measure).__name__}"
        )
    if problem := next(own.wrong(measure), None):
        raise ValueError(f"measure {where!r}: {problem}")
    known = MEASURES.get(measure.title)
    if known is not None and known is not measure and known.run is not own.not_here:
        raise ValueError(f"{where!r}: another measure is called {measure.title}, choose another name or version")
    MEASURES[measure.title] = measure
    return measure.title


for _name, _measure in offered("disentangle_bench.measures").items():  # of installed packages
    try:
        register(_measure, _name)
    except ValueError as error:  # every command would end with it
        warnings.warn(f"left out: {error}", stacklevel=1)


def newest() -> list[str]:
    """Titles of the newest version of every measure."""
    return list({measure.name: title for title, measure in MEASURES.items()}.values())


def evaluate(
    bank: FeatureBank,
    targets: tuple[TargetSpec, ...],
    measures: Iterable[str],
    report: Callable[[str], None] = lambda title: None,
    network: Network | None = None,
) -> tuple[list[dict[str, Any]], Outcomes]:
    """Measure every space of a bank.

    Args:
        bank: encoded splits.
        targets: of the data set.
        measures: titles, keys of `MEASURES`.
        report: told the title of each measurement before it starts, for a progress bar.
        network: what encoded the bank; without it, measures that need it are recorded as undefined.

    Returns:
        One row a measurement: space, its width (codes), measure, target ("" where it has none), parameters, seconds,
        and scores, or None and the reason why there are none. And the outcomes by test image of those measures that
        have them.
    """
    rows, outcomes = [], Outcomes()
    chosen = [MEASURES[title] for title in measures]
    for name, features in bank.features.items():
        space = Space(name, features, bank.targets, network, bank.weights)
        for measure in chosen:
            if not measure.applies(name):
                continue
            for subject, specs in measure.targets.choose(targets):
                report(f"{measure.title} of {subject} in {name}" if subject else f"{measure.title} of {name}")
                start = time.perf_counter()
                scores, reason = None, None
                try:
                    found = own.accepted(measure, measure.run(space, *specs))
                    scores = found.scores
                    outcomes.add(measure.title, name, subject, found)
                except MetricUndefined as undefined:
                    reason = str(undefined)
                rows.append(
                    {
                        "space": name,
                        "width": int(next(iter(features.values())).shape[1]),
                        "measure": measure.title,
                        "target": subject,
                        "parameters": measure.parameters,
                        "scores": scores,
                        "reason": reason,
                        "seconds": round(time.perf_counter() - start, 3),
                    }
                )
    return rows, outcomes
