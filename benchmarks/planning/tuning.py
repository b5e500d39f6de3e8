"""Choosing options: as many settings of every method, drawn from the space that it declares, and what was chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.planning.suite import Suite
from disentangle_bench.benchmarks.planning.suite_parts import Experiment, ExperimentSettings, Tuning
from disentangle_bench.json_files import BadJson, read


@dataclass(frozen=True)
class TrialResult:
    """One setting of a method.

    Attributes:
        options: that differ from the suite's.
        score: mean over data sets; None if a run has none.
        records: hashes of the runs.
    """

    options: dict[str, Any]
    score: float | None
    records: list[str]


@dataclass(frozen=True)
class Choice:
    """The result of `bench tune`, as its file holds it.

    Attributes:
        suite: that was tuned.
        datasets: it was chosen on.
        measure, score: it was chosen by.
        seed: of the runs.
        draws: settings tried of every method.
        budget: of the runs.
        methods: name -> all that was tried, the chosen one first, the others in the order that they were drawn in.
        sources: of methods that were run with code from outside this package, name -> `Cell.source` of their runs.
    """

    suite: str
    datasets: list[str]
    measure: str
    score: str
    seed: int
    draws: int
    budget: dict[str, float]
    methods: dict[str, list[TrialResult]]
    sources: dict[str, list[str]] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """Content of its file, without `sources` if there are none."""
        return {name: value for name, value in asdict(self).items() if value or name != "sources"}

    def options_of(self, method: str) -> dict[str, Any]:
        """The options chosen for a method; none for one that wasn't tuned."""
        return dict(self.methods[method][0].options) if self.methods.get(method) else {}


def read_choice(suite: Suite) -> Choice:
    """The choice that a suite runs with.

    Raises:
        RequestError: there is no such file, it is none, it was made on other data, or with a seed that the suite
            reports.
    """
    where = f"suite {suite.name}: tuned: "
    try:
        choice = read(Choice, Path(str(suite.tuned)))
    except BadJson as error:
        raise RequestError(f"{where}{error}") from error
    if choice is None:
        raise RequestError(f"{where}no file {suite.tuned}; `bench tune --suite {suite.name}` makes one")
    if choice.seed in suite.seeds:
        raise RequestError(f"{where}seed {choice.seed} was used to choose and can't be used to report")
    if strangers := set(suite.datasets) - set(choice.datasets):
        raise RequestError(f"{where}nothing was chosen on {min(strangers)}, only on {', '.join(choice.datasets)}")
    return choice


def check_criterion(tune: Tuning) -> None:
    """Raise RequestError if options can't be chosen by that score: before anything is run for it."""
    from disentangle_bench.evaluation.protocol import MEASURES

    measure = MEASURES.get(tune.measure)
    choosers = [title for title, one in MEASURES.items() if one.chooses]
    if measure is None or not measure.chooses:
        raise RequestError(f"tune: measure {tune.measure!r}: it chooses by what never sees test images, {choosers[0]}")
    if tune.score not in measure.scores or measure.scores[tune.score].direction != "up":
        raise RequestError(f"tune: {unknown('score', tune.score, measure.scores)}")


def draw(space: dict[str, tuple[Any, ...]], own: dict[str, Any], count: int, seed: str) -> list[dict[str, Any]]:
    """Different settings of a search space: first no change, then a random order of all others.

    Args:
        space: option -> values.
        own: the options as they are.
        count: of settings.
        seed: of the order; a method's doesn't depend on which others there are.

    Raises:
        RequestError: the space has fewer.
    """
    everything = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    others = [one for one in everything if any(own[name] != value for name, value in one.items())]
    Random(seed).shuffle(others)
    if len(others) < count - 1:
        raise RequestError(f"{seed.rpartition('/')[2]}: its search space has {len(others) + 1} settings, not {count}")
    return [{}, *others[: count - 1]]


def tuning_suite(suite: Suite, settings: dict[str, list[dict[str, Any]]], datasets: dict[str, list[str]]) -> Suite:
    """The suite whose rows are the draws of every method.

    Args:
        suite: to tune.
        settings: method -> draws.
        datasets: method -> those that it can be run on.
    """
    rows = [
        Experiment(f"{method} draw {number}", method, dataset, ExperimentSettings(method=options))
        for method, draws in settings.items()
        for dataset in datasets[method]
        for number, options in enumerate(draws)
    ]
    return replace(
        suite,
        name=f"{suite.name} tuning",
        datasets=[],
        experiments=rows,
        seeds=[suite.tune.seed],
        tune=replace(suite.tune, seed=suite.tune.seed + 1),  # the suite's own, which it must not report
        measures=[suite.tune.measure],
        sweep={},
        tuned=None,
    )


def choose_best(tried: list[TrialResult]) -> list[TrialResult]:
    """The best first, the earlier one of equals; the others stay in order. One without a score is never chosen.

    Raises:
        RequestError: none has a score.
    """
    scored = [one for one in tried if one.score is not None]
    if not scored:
        raise RequestError("none of its runs has a score")
    best = max(scored, key=lambda one: one.score or 0.0)
    return [best, *(one for one in tried if one is not best)]
