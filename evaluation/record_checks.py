"""Checks of a record: its parts, their types, and the range of each figure, as the protocol knows it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from disentangle_bench.evaluation.published import Published
from disentangle_bench.json_files import BadJson, from_dict

if TYPE_CHECKING:
    from disentangle_bench.evaluation.measures.base import Measure

_TEXT, _MAYBE = (str,), (str, type(None))
_PARTS: dict[str, tuple[type, ...]] = {
    "cell": (dict,),
    "config": (dict,),
    "labels": (list,),
    "primary_space": _TEXT,
    "invariant_space": _TEXT,
    "provenance": (dict,),
    "cost": (dict,),
    "metrics": (list,),
    "outcomes": _MAYBE,
    "digest": _TEXT,
}
_CELL: dict[str, tuple[type, ...]] = {
    "dataset": _TEXT,
    "method": _TEXT,
    "seed": (int,),
    "hash": _TEXT,
    "settings": _TEXT,
}
_ROW: dict[str, tuple[type, ...]] = {"space": _TEXT, "measure": _TEXT, "target": _TEXT, "scores": (dict, type(None))}
_OPTIONAL: dict[str, dict[str, tuple[type, ...]]] = {
    "config": {
        "budget": (dict,),
        "data": (dict,),
        "options": (dict,),
        "measures": (list,),
        "tuned": (int, type(None)),
        "tuned_at": (dict,),
        "by_hand": (dict,),
        "names": (dict,),
        "own_measures": (dict,),
    },
    "provenance": {
        "command": _TEXT,
        "finished": _TEXT,
        "labels_from": _TEXT,
        "git": (dict,),
        "versions": (dict,),
        "hardware": (dict,),
        "device": _TEXT,
        "own_code": _TEXT,
        "data": (dict,),
        "card": (dict,),
        "epoch": (int, float, type(None)),
    },
}
"""Parts that need not be there, but are of these kinds where they are."""


def wrong(record: dict[str, Any]) -> Iterator[str]:
    """Problems in a record of this schema. Callers stop at the first: what follows rests on it."""
    yield from _misses(record, _PARTS)
    yield from _misses(record["cell"], _CELL, "cell.")
    for part, kinds in _OPTIONAL.items():
        yield from _misses(record[part], {key: kinds[key] for key in kinds.keys() & record[part].keys()}, f"{part}.")
    if not _are_experiments(record["config"].get("experiments", [])):
        yield "`config.experiments` is not a list of labels with published figures"
    if not all(isinstance(name, str) and name.strip() for name in record["config"].get("names", {}).values()):
        yield "`config.names` is not a text for each"
    try:
        known = _known(record["config"].get("own_measures", {}))
    except ValueError as error:
        yield f"`config.own_measures`: {error}"
    if not all(isinstance(role, str) for role in record["labels"]):
        yield "`labels` is not a list of roles"
    ranks = record["cost"].get("ranks", [])
    if not isinstance(ranks, list) or not all(isinstance(used, dict) for used in ranks):
        yield "`cost.ranks` is not a list of what each process has used"
    costs = {f"cost.{name}": value for name, value in record["cost"].items() if name != "ranks"}
    costs |= {f"cost.ranks[{rank}].{name}": v for rank, used in enumerate(ranks) for name, v in used.items()}
    for name, value in costs.items():
        if value is not None and not _finite(value):
            yield f"`{name}` is not a finite number"
        if value is not None and value < 0:
            yield f"`{name}` is negative ({value})"
    seen = set()
    for row in record["metrics"]:
        if not isinstance(row, dict) or "scores" not in row or next(_misses(row, _ROW), None):
            yield "a row of `metrics` lacks space, measure, target or scores"
        place = (row["space"], row["measure"], row["target"])
        if place in seen:
            yield f"{row['measure']} of {row['target']} in {row['space']} stands twice"
        seen.add(place)
        width = row.get("width", 1)
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            yield f"{row['measure']} of {row['space']}: `width` is not a number of codes"
        ranges = known[row["measure"]].scores if row["measure"] in known else {}
        for score, value in (row["scores"] or {}).items():
            if not _finite(value):
                yield f"{row['measure']} of {row['space']} has a score that is not a finite number"
            if score in ranges and not ranges[score].has(value):
                low, high = ranges[score].low, ranges[score].high
                yield f"{row['measure']} of {row['space']}: {score} is {value}, outside {low:g} to {high:g}"


def _known(descriptions: Mapping[str, Any]) -> dict[str, Measure]:
    """The protocol's measures and those from outside that a record describes.

    Raises:
        ValueError: what describes no measure, or one otherwise than it is known.
    """
    from disentangle_bench.evaluation.measures.own import describe, described
    from disentangle_bench.evaluation.protocol import MEASURES

    if not descriptions:
        return MEASURES
    own = {title: described(title, about) for title, about in descriptions.items()}
    for title, measure in own.items():
        known, told = (describe(one) for one in (MEASURES.get(title, measure), measure))
        if any(known[part] != told[part] for part in ("aspect", "matrix", "spaces", "scores")):
            raise ValueError(f"{title} is known with other scores or spaces: what changes a measure raises its version")
    return MEASURES | own


def know(descriptions: Mapping[str, Any]) -> None:
    """Have measures from outside, which a record describes, shown as all others are."""
    from disentangle_bench.evaluation.protocol import MEASURES

    known = _known(descriptions)
    for title in descriptions:
        MEASURES.setdefault(title, known[title])


def _are_experiments(given: Any) -> bool:
    """Whether each is a suite, a label and published figures (see `benchmarks.planning.suite_parts`)."""
    parts = {"suite": _TEXT, "label": _TEXT, "published": (list,)}
    if not isinstance(given, list) or any(not isinstance(one, dict) or any(_misses(one, parts)) for one in given):
        return False
    try:
        return all(from_dict(Published, figure, "published") for one in given for figure in one["published"])
    except BadJson:
        return False


def _misses(part: dict[str, Any], kinds: Mapping[str, tuple[type, ...]], prefix: str = "") -> Iterator[str]:
    for key, kind in kinds.items():
        if not isinstance(part.get(key), kind) or isinstance(part.get(key), bool):
            names = " or ".join("null" if k is type(None) else k.__name__ for k in kind)
            yield f"`{prefix}{key}` is missing or not a {names}"


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False
