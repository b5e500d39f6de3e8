"""Accuracy against what it cost: budgets that match, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from disentangle_bench.evaluation.leaderboard.frame import COST, Key, Record, of_figure, score_of
from disentangle_bench.evaluation.leaderboard.writers.formats import amount

if TYPE_CHECKING:
    import pandas as pd

K = TypeVar("K")
Unit = Literal["epochs", "images", "forward_passes", "minutes"]
_COSTS = {"images_seen": "images seen", "forward_passes": "forward passes", "train_seconds": "training seconds"}
TOLERANCE = 0.1
"""Relative difference up to which two amounts count as equal."""


def spent(record: Record, unit: Unit) -> float:
    """Cost of one run's training in a unit; NaN if it was not recorded."""
    if unit == "epochs":
        value = record["provenance"].get("epoch")
    else:
        name = {"images": "images_seen", "forward_passes": "forward_passes", "minutes": "train_seconds"}[unit]
        value = record["cost"].get(name)
    return math.nan if value is None else float(value) / (60 if unit == "minutes" else 1)


def match(found: Mapping[K, Record], by: Unit) -> dict[K, Record]:
    """The runs that were allowed the same, for a table of equal budgets.

    The amount is, on each data set, the largest that some run took and that every method which trains has a run near
    (none if there is no such amount: then no run that trains is kept there).

    Args:
        found: path -> record, of any budgets.
        by: unit in which they shall be equal.

    Returns:
        Runs within `TOLERANCE` of the amount, and those of methods that don't train, in the order given.
    """
    if by not in ("epochs", "images", "forward_passes", "minutes"):
        raise ValueError(f"budgets match by epochs, images, forward_passes or minutes, not {by!r}")
    taken: dict[str, dict[str, list[float]]] = {}
    for record in found.values():
        if (value := spent(record, by)) > 0:
            cell = record["cell"]
            taken.setdefault(cell["dataset"], {}).setdefault(cell["method"], []).append(value)

    def near(value: float, wanted: float) -> bool:
        return abs(value - wanted) <= TOLERANCE * wanted

    wanted: dict[str, float] = {}
    for dataset, methods in taken.items():
        common = [
            value
            for values in methods.values()
            for value in values
            if all(any(near(other, value) for other in others) for others in methods.values())
        ]
        wanted[dataset] = max(common, default=math.nan)
    return {
        path: record
        for path, record in found.items()
        if (value := spent(record, by)) == 0 or near(value, wanted.get(record["cell"]["dataset"], math.nan))
    }


def equality(part: pd.DataFrame) -> str:
    """A sentence on the costs that all methods share; `part` is one data set's lines of a `leaderboard` frame."""
    costs = part[part["measure"] == COST]
    equal, unequal = [], []
    for name, title in _COSTS.items():
        values = costs.loc[costs["score"] == name, "mean"]
        values = values[values > 0]
        if len(values) < 2:
            continue
        low, high = float(values.min()), float(values.max())
        if high - low <= TOLERANCE * high:
            equal.append(f"{title} ({amount(high)})")
        else:
            unequal.append(f"{title} ({amount(low)} to {amount(high)})")
    parts = [f"equal within {TOLERANCE:.0%}: {', '.join(equal)}"] if equal else []
    parts += [f"unequal: {', '.join(unequal)}"] if unequal else []
    return "; ".join(parts)


def front(cost: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """The Pareto front: whether no other point beats a point, bool [N].

    A point is beaten by one that costs no more and gains no less, and is better in one of the two. Equal points stand
    or fall together.

    Args:
        cost: [N], less is better.
        gain: [N], more is better.
    """
    no_worse = (cost[None] <= cost[:, None]) & (gain[None] >= gain[:, None])
    better = (cost[None] < cost[:, None]) | (gain[None] > gain[:, None])
    return np.asarray(~(no_worse & better).any(axis=1))


def tradeoff(part: pd.DataFrame, key: Key, cost: str) -> pd.DataFrame:
    """Figure against cost on one data set.

    Args:
        part: one data set's lines of a `leaderboard` frame.
        key: (measure, score, target) of the figure.
        cost: key of the record's `cost`.

    Returns:
        A line a (method, space): `method`, `space`, `labels`, `cost`, `score`, `front`. Of a method's spaces all are
        there; those with neither figure nor cost are not.
    """
    figures = of_figure(part, key)[["method", "labels", "space", "mean"]].rename(columns={"mean": "score"})
    costs = of_figure(part, (COST, cost, ""))
    by_method = dict(zip(costs["method"], costs["mean"], strict=True))
    table = figures.assign(cost=figures["method"].map(by_method)).dropna(subset=["score", "cost"])
    gain = table["score"].to_numpy(float) * (-1 if score_of(key[0], key[1]).direction == "down" else 1)
    table["front"] = front(table["cost"].to_numpy(float), gain)
    columns = ["method", "space", "labels", "cost", "score", "front"]
    return table[columns].sort_values(["cost", "method", "space"], kind="stable", ignore_index=True)
