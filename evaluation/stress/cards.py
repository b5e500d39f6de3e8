"""A card for each score: with which truth it moves, and under what it stops to, or starts elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from disentangle_bench.evaluation.measures.base import Measure, Score
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.outcomes import has_outcomes
from disentangle_bench.evaluation.stress.planted import TARGETS, Condition, plant

STEPS = (0.0, 0.5, 1.0)
"""Values that a truth takes: 0, one clean code for each factor, to 1, a full mixture or nothing but noise."""
TOLERANCE = 0.1
"""Change of a score that counts as none, as a share of its range, or of its value where the range has no bounds."""
Truth = Literal["mixing", "noise"]
TRUTHS: tuple[Truth, ...] = ("mixing", "noise")


@dataclass(frozen=True)
class Trial:
    """A score's curve under one condition.

    Attributes:
        condition: what was held.
        curves: truth -> scores at `STEPS`; NaN where undefined.
        verdict: in words, `holds` where nothing is wrong.
    """

    condition: Condition
    curves: dict[Truth, list[float]]
    verdict: str


@dataclass(frozen=True)
class Card:
    """Where one score can be trusted.

    Attributes:
        measure: title.
        score: its name; empty where the measure gave none.
        subject: what it is taken on.
        truths: with which truths it moves where nothing else is in the way.
        trials: the base first.
        reason: why there is nothing.
        seconds: that the measure took, all its scores together.
    """

    measure: str
    score: str
    subject: str
    truths: tuple[Truth, ...] = ()
    trials: list[Trial] = field(default_factory=list)
    reason: str = ""
    seconds: float = 0.0


def try_out(
    measure: Measure,
    conditions: Sequence[Condition],
    *,
    images: int = 600,
    seeds: int = 1,
    minutes: float = math.inf,
) -> list[Card]:
    """A card for each score that the measure shows.

    Args:
        measure: any; one that needs the network itself, or spaces that are not planted, gets a card that says so.
        conditions: the base first.
        images: of train, probe and test.
        seeds: draws that are averaged.
        minutes: conditions that aren't through after this time are left out.
    """
    start = time.perf_counter()
    tried: list[Condition] = []
    found: list[dict[Truth, list[dict[str, float]]]] = []
    for condition in conditions:
        points: dict[tuple[float, float], dict[str, float]] = {}
        for mixing, noise in [(step, 0.0) for step in STEPS] + [(0.0, step) for step in STEPS[1:]]:
            if found and time.perf_counter() - start > 60 * minutes:
                break
            points[mixing, noise], reason = _scores(measure, condition, mixing, noise, images, seeds)
            if not points[0.0, 0.0] and not found:
                return [Card(measure.title, "", measure.targets.text, reason=reason)]
        else:
            tried.append(condition)
            found.append({"mixing": [points[t, 0.0] for t in STEPS], "noise": [points[0.0, t] for t in STEPS]})
    seconds = time.perf_counter() - start
    return [
        _card(measure, name, score, tried, found, seconds)
        for name, score in measure.scores.items()
        if name in found[0]["mixing"][0]
    ]


def _card(
    measure: Measure,
    name: str,
    score: Score,
    conditions: Sequence[Condition],
    found: list[dict[Truth, list[dict[str, float]]]],
    seconds: float,
) -> Card:
    curves: list[dict[Truth, list[float]]] = [
        {truth: [point.get(name, math.nan) for point in points] for truth, points in one.items()} for one in found
    ]
    base = curves[0]
    finite = math.isfinite(score.high - score.low)
    tolerance = TOLERANCE * (score.high - score.low if finite else max(1.0, abs(base["mixing"][0])))
    truths = tuple(truth for truth in TRUTHS if abs(base[truth][0] - base[truth][-1]) >= tolerance)
    trials = [
        Trial(condition, own, verdict(own, base, truths, tolerance))
        for condition, own in zip(conditions, curves, strict=True)
    ]
    return Card(measure.title, name, measure.targets.text, truths, trials, seconds=seconds)


def verdict(
    curves: dict[Truth, list[float]], base: dict[Truth, list[float]], truths: Sequence[Truth], tolerance: float
) -> str:
    """The verdict on a score under a condition.

    `undefined`; `blind` to a truth that it sees in the base; `turns`: moves back on its way; `shifted`: starts at
    another level than the base; `follows neither`: in the base it sees no truth.
    """
    if not truths:
        return "follows neither"
    if any(math.isnan(value) for truth in truths for value in curves[truth]):
        return "undefined"
    for truth in truths:
        down = np.sign(base[truth][0] - base[truth][-1])
        steps = -down * np.diff(curves[truth])
        if steps.sum() < tolerance:
            return f"blind to {truth}"
        if steps.min() < -tolerance:
            return f"turns with {truth}"
    return "shifted" if abs(curves[truths[0]][0] - base[truths[0]][0]) > tolerance else "holds"


def _scores(
    measure: Measure, condition: Condition, mixing: float, noise: float, images: int, seeds: int
) -> tuple[dict[str, float], str]:
    """Mean over what the measure is taken on and over draws; empty, and why, where one of them is undefined."""
    figures: list[dict[str, float]] = []
    for seed in range(seeds):
        space = plant(condition, mixing, noise, seed, images)
        if not measure.applies(space.name):
            return {}, f"it is taken in {', '.join(measure.spaces or ())} alone"
        for _, targets in measure.targets.choose(TARGETS):
            try:
                figures.append(has_outcomes(measure.run(space, *targets)).scores)
            except MetricUndefined as undefined:
                return {}, str(undefined)
    if not figures:
        return {}, "none of the planted factors is what it is taken on"
    names = [name for name in measure.scores if all(name in one for one in figures)]
    return {name: float(np.mean([one[name] for one in figures])) for name in names}, ""
