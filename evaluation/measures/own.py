"""Measures from outside of this package, as records carry them: enough to read and show figures, not to take them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from disentangle_bench.evaluation.measures.base import Measure, Score, Space, TargetSelection

ASPECTS = ("content", "domain", "factors", "descriptive")
UNITS = ("percent", "plain")
DIRECTIONS = (None, "up", "down")


def describe(measure: Measure) -> dict[str, Any]:
    """What tables need of a measure, as JSON; a bound that is infinite is null."""

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
    scores = about.get("scores")
    spaces = about.get("spaces")
    texts = {key: about.get(key) for key in ("source", "splits", "targets")}
    if (
        about.get("aspect") not in ASPECTS
        or not isinstance(about.get("matrix"), bool)
        or not (spaces is None or (isinstance(spaces, list) and all(isinstance(space, str) for space in spaces)))
        or not all(isinstance(text, str) for text in texts.values())
        or not isinstance(scores, Mapping)
        or not scores
    ):
        raise ValueError(f"{title}: not described by aspect, matrix, spaces, source, splits, targets and scores")
    return Measure(
        name=name,
        version=int(version),
        targets=TargetSelection(str(texts["targets"]), lambda targets: []),
        splits=str(texts["splits"]),
        source=str(texts["source"]),
        scores={str(key): _score(title, score) for key, score in scores.items()},
        aspect=about["aspect"],
        run=not_here,
        matrix=about["matrix"],
        spaces=None if spaces is None else tuple(spaces),
    )


def not_here(space: Space) -> NoReturn:
    """Stands for the code of a measure that only records tell of."""
    raise NotImplementedError("this measure is known from records alone: its code is somebody else's")


def _score(title: str, given: Any) -> Score:
    if not isinstance(given, Mapping):
        raise ValueError(f"{title}: a score is described by direction, low, high, chance and unit")
    low, high, most = given.get("low"), given.get("high"), given.get("most_codes")
    if (
        given.get("direction") not in DIRECTIONS
        or given.get("unit") not in UNITS
        or not isinstance(given.get("chance"), str)
        or not all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in (low, high))
        or not (most is None or (isinstance(most, int) and not isinstance(most, bool)))
    ):
        raise ValueError(f"{title}: a score is described by direction, low, high, chance, unit and most_codes")
    return Score(
        given["direction"], -math.inf if low is None else low, math.inf if high is None else high,
        given["chance"], given["unit"], most,
    )  # fmt: skip
