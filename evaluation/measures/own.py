"""Measures from outside of this package: whether one is whole, what it gave, and how records carry it.

What a record says of one is enough to read and show its figures, not to take them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from disentangle_bench.evaluation.measures.base import Measure, Score, Space, TargetSelection
from disentangle_bench.evaluation.outcomes import Measured, has_outcomes

ASPECTS = ("content", "domain", "factors", "descriptive")
UNITS = ("percent", "plain")
DIRECTIONS = (None, "up", "down")
_PARTS = ("aspect", "matrix", "spaces", "source", "splits", "targets", "scores")
_PARTS_OF_SCORE = ("direction", "low", "high", "chance", "unit", "most_codes")


def wrong(measure: Measure) -> Iterator[str]:
    """Problems in a measure's declaration. Callers stop at the first: what follows may rest on it."""
    if not isinstance(measure.name, str) or not re.fullmatch(r"[^\W\d][\w-]*", measure.name):
        yield f"name {measure.name!r}: letters, digits, _ and - are expected"
    if not isinstance(measure.version, int) or isinstance(measure.version, bool) or measure.version < 1:
        yield f"version {measure.version!r}: a whole number from 1 on is expected"
    if not isinstance(measure.targets, TargetSelection) or not isinstance(measure.targets.text, str):
        yield f"targets {measure.targets!r}: each('content'), FACTORS, NO_TARGET or another TargetSelection is expected"
    for part in ("splits", "source"):
        if not isinstance(getattr(measure, part), str):
            yield f"{part} {getattr(measure, part)!r}: a text is expected"
    if measure.aspect not in ASPECTS:
        yield f"aspect {measure.aspect!r}: one of {', '.join(ASPECTS)} is expected"
    spaces = measure.spaces
    if spaces is not None and not (isinstance(spaces, tuple) and all(isinstance(space, str) for space in spaces)):
        yield f"spaces {spaces!r}: a tuple of names, ('features',), or None is expected"
    if not isinstance(measure.matrix, bool):
        yield f"matrix {measure.matrix!r}: True or False is expected"
    if not callable(measure.run):
        yield f"run {measure.run!r}: a function (space, *targets) -> {{score: figure}} is expected"
    if not isinstance(measure.scores, dict) or not measure.scores:
        yield f"scores {measure.scores!r}: a dict of name -> Score is expected"
        return
    for name, score in measure.scores.items():
        yield from (f"score {name!r}: {problem}" for problem in _wrong_score(score))


def _wrong_score(score: Any) -> Iterator[str]:
    if not isinstance(score, Score):
        yield f"{score!r}: a Score(direction, low, high, chance) is expected"
        return
    if score.direction not in DIRECTIONS:
        yield f"direction {score.direction!r}: 'up', 'down' or None is expected"
    for bound in (score.low, score.high):
        if not _is_number(bound):
            yield f"low {score.low!r:.80}, high {score.high!r:.80}: numbers are expected, inf where there is no bound"
            return
    if score.low > score.high:
        yield f"low {score.low!r} is more than high {score.high!r}"
    if not isinstance(score.chance, str):
        yield f"chance {score.chance!r}: words are expected, what a guess gets"
    if score.unit not in UNITS:
        yield f"unit {score.unit!r}: one of {', '.join(UNITS)} is expected"
    most = score.most_codes
    if most is not None and (not isinstance(most, int) or isinstance(most, bool)):
        yield f"most_codes {most!r}: a whole number, or None, is expected"


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    except OverflowError:  # an integer beyond any float
        return False


def accepted(measure: Measure, found: Any) -> Measured:
    """The value that a measure returned, checked, with plain numbers for scores, so that a record can hold it.

    Raises:
        ValueError: it is no dict of numbers, has none of the scores that the measure declares, or has one that is not
            finite or not in its range.
    """
    if not isinstance(found, Measured | Mapping):
        raise ValueError(f"{measure.title} returned {found!r:.80}: a dict of its scores is expected")
    found = has_outcomes(found)
    if measure.scores.keys().isdisjoint(found.scores):
        gave = ", ".join(map(str, found.scores)) or "nothing"
        raise ValueError(f"{measure.title} returned {gave}: {', '.join(measure.scores)} is expected")
    for name, value in found.scores.items():
        plain = value.item() if getattr(value, "ndim", None) == 0 else value  # of NumPy or torch
        if not isinstance(plain, int | float) or isinstance(plain, bool):  # which no record takes for a number
            raise ValueError(f"{measure.title}: {name} is {plain!r:.80}, a number is expected")
        if not math.isfinite(plain):
            raise ValueError(f"{measure.title}: {name} is {plain}; what has no value raises MetricUndefined(reason)")
        score = measure.scores.get(name)
        if score and not score.has(plain):
            raise ValueError(f"{measure.title}: {name} is {plain}, outside {score.low:g} to {score.high:g}")
        found.scores[name] = plain
    return found


def describe(measure: Measure) -> dict[str, Any]:
    """The parts of a measure that tables need, as JSON; an infinite bound is null."""

    def bound(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "aspect": measure.aspect,
        "matrix": measure.matrix,
        "spaces": None if measure.spaces is None else list(measure.spaces),
        "source": measure.source,
        "splits": measure.splits,
        "targets": measure.targets.text,
        "scores": {
            name: {
                "direction": score.direction,
                "low": bound(score.low),
                "high": bound(score.high),
                "chance": score.chance,
                "unit": score.unit,
                "most_codes": score.most_codes,
            }
            for name, score in measure.scores.items()
        },
    }


def described(title: str, about: Any) -> Measure:
    """The measure of a description, which can be shown and not be taken. Raises ValueError for what is none."""
    name, at, version = title.partition("@")
    if not (name and at and version.isdecimal() and isinstance(about, Mapping)):
        raise ValueError(f"{title!r:.80} is no measure's name and version")
    told: dict[str, Any] = dict.fromkeys(_PARTS) | dict(about)
    scores, spaces = told["scores"], told["spaces"]
    measure = Measure(
        name=name,
        version=int(version),
        targets=TargetSelection(told["targets"], lambda targets: []),
        splits=told["splits"],
        source=told["source"],
        scores={str(key): _score(one) for key, one in scores.items()} if isinstance(scores, Mapping) else scores,
        aspect=told["aspect"],
        run=not_here,
        matrix=told["matrix"],
        spaces=tuple(spaces) if isinstance(spaces, list) else spaces,
    )
    for problem in wrong(measure):
        raise ValueError(f"{title}: {problem}")
    return measure


def not_here(space: Space) -> NoReturn:
    """Stands for the code of a measure that only records tell of."""
    raise NotImplementedError("this measure is known from records alone: its code is somebody else's")


def _score(given: Any) -> Any:
    """The score of a description; what is none stays as it is, for `wrong` to tell."""
    if not isinstance(given, Mapping):
        return given
    told: dict[str, Any] = dict.fromkeys(_PARTS_OF_SCORE) | dict(given)
    low, high = told["low"], told["high"]
    return Score(
        told["direction"], -math.inf if low is None else low, math.inf if high is None else high,
        told["chance"], told["unit"], told["most_codes"],
    )  # fmt: skip
