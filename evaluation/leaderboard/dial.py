"""The shortcut dial: accuracy of the worst group as class and domain go together more and more in training.

A method that was run on one data set at several values of its `correlation`, and otherwise alike, has a curve; the area
under it says in one figure how far the method holds out. Curves come from records alone, whichever suite made them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from disentangle_bench.evaluation.leaderboard.frame import PERCENT, block_of, labels_of
from disentangle_bench.evaluation.leaderboard.grid import BLOCKS, Column, Grid, TableCell
from disentangle_bench.evaluation.leaderboard.naming import group_of, method_labels
from disentangle_bench.evaluation.leaderboard.statistics import column
from disentangle_bench.evaluation.records import LOCATION_OPTIONS, Record

if TYPE_CHECKING:
    import pandas as pd

MEASURE = SCORE = "worst_group"
"""Name of the measure, and of its score, whose curves are drawn."""
AREA = "area"
"""Name of the score that is the area under a curve."""
FEWEST = 3
"""Correlations that make a curve."""
PLACE = ("dataset", "method", "space", "measure", "score", "target")
"""Columns that identify a line of a `leaderboard` frame."""
STATISTICS = ("mean", "low", "high", "rank_low", "rank_high", "best")
"""Columns of `statistics.column` that a line of `figures` takes over."""


@dataclass
class Curve:
    """Accuracy of the worst group over the correlation of class and domain, of one method on one data set.

    Attributes:
        dataset, method, labels, space, measure, target: as in the leaderboard.
        values: correlation -> seed -> accuracy of the worst group, a share.
        rows: correlation -> what the leaderboard calls the method there.
    """

    dataset: str
    method: str
    labels: str
    space: str
    measure: str
    target: str
    values: dict[float, dict[int, float]] = field(default_factory=dict)
    rows: dict[float, str] = field(default_factory=dict)

    def areas(self, correlations: Sequence[float]) -> dict[int, float]:
        """Mean height of the curve of each seed that has a value everywhere, by trapezoids.

        Args:
            correlations: rising; what the curve reaches over.
        """
        if not set(correlations) <= set(self.values):
            return {}
        seeds = set.intersection(*(set(self.values[c]) for c in correlations))
        span = correlations[-1] - correlations[0]
        return {
            seed: float(np.trapezoid([self.values[c][seed] for c in correlations], correlations)) / span
            for seed in sorted(seeds)
        }


def curves(found: Mapping[Path, Record], spaces: Collection[str] = ()) -> list[Curve]:
    """All curves of at least `FEWEST` correlations, by data set and method.

    Args:
        found: path -> record, as `records.find_records` gives them.
        spaces: whose figures are taken, instead of each method's primary space.
    """
    plain = {path: bare for path, record in found.items() if (bare := _without_correlation(record)) is not None}
    names, rows = method_labels(plain.values()), method_labels(found.values())
    made: dict[tuple[str, ...], Curve] = {}
    for path, bare in plain.items():
        record, group = found[path], group_of(bare)
        dataset, label = group[0], names[group]
        for row in record["metrics"]:
            value = (row["scores"] or {}).get(SCORE)
            speaks = row["space"] in spaces if spaces else row["space"] == record["primary_space"]
            if row["measure"].partition("@")[0] != MEASURE or value is None or not speaks:
                continue
            key = (dataset, label, row["space"], row["measure"], row["target"])
            curve = made.setdefault(key, Curve(dataset, label, labels_of(record), *key[2:]))
            at = float(record["config"]["data"]["correlation"])
            curve.values.setdefault(at, {})[record["cell"]["seed"]] = float(value)
            curve.rows[at] = rows[group_of(record)]
    return [made[key] for key in sorted(made) if len(made[key].values) >= FEWEST]


def _without_correlation(record: Record) -> Record | None:
    """The record as if its data had no correlation: runs of one curve share their group then. None without one."""
    config = record["config"]
    data = config.get("data") or {}
    at = data.get("correlation")
    if isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at):
        return None
    kept: dict[str, Any] = {key: config.get(key) for key in ("options", "budget", "precision", "threads")}
    kept["data"] = {key: value for key, value in data.items() if key not in LOCATION_OPTIONS | {"correlation"}}
    settings = json.dumps([kept, config.get("source")], sort_keys=True, default=str)
    kept["names"] = config.get("names") or {}
    return cast(Record, dict(record) | {"cell": dict(record["cell"]) | {"settings": settings}, "config": kept})


def figures(found: Sequence[Curve], board: pd.DataFrame) -> pd.DataFrame:
    """Curves of one data set as a frame: for each a line for its area, then one for each correlation.

    `score` is `area` or `worst_group`, `correlation` NaN for the area; the rest is as in a `leaderboard` frame. A curve
    that lacks a correlation which others have has no area. Intervals are over seeds alone. Those of points of a curve
    are the leaderboard's, so that a figure has one interval wherever it stands; their ranks are among the methods at
    the same correlation.

    Args:
        found: the curves.
        board: the leaderboard of the same records.
    """
    import pandas as pd

    correlations = sorted({c for curve in found for c in curve.values})
    places = dict(zip(zip(*(board[name] for name in PLACE), strict=True), board.index, strict=True))
    points = {f"{k} at {c}": (curve, c) for k, curve in enumerate(found) for c in curve.values}
    shown = {}
    for name, (curve, c) in points.items():
        shown[name] = board.loc[places[curve.dataset, curve.rows[c], curve.space, curve.measure, SCORE, curve.target]]
    heights = column(
        {name: np.array(list(curve.values[c].values())) for name, (curve, c) in points.items()},
        blocks={name: (block_of(curve.labels), c) for name, (curve, c) in points.items()},
        fixed=[name for name, line in shown.items() if line["n"] > 1 and not line["seed_part"] > 0],
    )
    for name, line in shown.items():
        heights.loc[name, ["low", "high"]] = line["low"], line["high"]
    whole = {f"{k}": by_seed for k, curve in enumerate(found) if (by_seed := curve.areas(correlations))}
    areas = column(
        {name: np.array(list(by_seed.values())) for name, by_seed in whole.items()},
        blocks={name: block_of(found[int(name)].labels) for name in whole},
    )
    lines: list[dict[str, Any]] = []
    for at in (math.nan, *correlations):
        for k, curve in enumerate(found):
            is_area = math.isnan(at)
            by_seed = (whole.get(f"{k}") if is_area else curve.values.get(at)) or {}
            if not by_seed:
                continue
            told = areas.loc[f"{k}"] if is_area else heights.loc[f"{k} at {at}"]
            own = {name: getattr(curve, name) for name in ("dataset", "method", "labels", "space", "measure", "target")}
            own |= {"block": block_of(curve.labels), "score": AREA if is_area else SCORE, "correlation": at}
            statistics = {name: told[name] for name in STATISTICS}
            lines.append(
                own | {"n": len(by_seed)} | statistics | {"seeds": tuple(by_seed), "values": tuple(by_seed.values())}
            )
    return pd.DataFrame(lines)


def grids(found: Sequence[Curve], board: pd.DataFrame) -> list[Grid]:
    """A table a data set: a row a method, the area under its curve, and the curve; see `figures`."""
    return [_grid([c for c in found if c.dataset == dataset], board) for dataset in sorted({c.dataset for c in found})]


def _grid(found: list[Curve], board: pd.DataFrame) -> Grid:
    dataset = found[0].dataset
    table = figures(found, board)
    correlations = sorted({c for curve in found for c in curve.values})
    kind = found[0].measure, found[0].target
    area = Column("area under the worst-group curve % ↑", key=(kind[0], AREA, kind[1]), unit=PERCENT)
    heights = [Column(f"at {c:g} % ↑", key=(kind[0], SCORE, kind[1]), unit=PERCENT) for c in correlations]
    names = [Column(title, "text") for title in ("method", "space", "labels seen")]
    grid = Grid(dataset, f"{dataset}: worst group by correlation", [*names, Column("n", "count"), area, *heights])
    rows = []
    for curve in found:
        here = table[
            (table["method"] == curve.method)
            & (table["space"] == curve.space)
            & (table["target"] == curve.target)
            & (table["measure"] == curve.measure)
        ]
        n = max(len(by_seed) for by_seed in curve.values.values())
        lines = {r["correlation"] if r["score"] == SCORE else AREA: r for r in here.to_dict("records")}
        cells = [_cell(lines.get(at), n) for at in (AREA, *correlations)]
        if AREA not in lines:
            lacking = ", ".join(f"{c:g}" for c in correlations if c not in curve.values)
            why = f"no run at {lacking}" if lacking else "no seed was run at all of them"
            cells[0] = TableCell(notes=(grid.note(f"{curve.method}: {why}, so no area over the same range."),))
        block = block_of(curve.labels)
        height = -lines[AREA]["mean"] if AREA in lines else math.inf
        row = [TableCell(curve.method), TableCell(curve.space), TableCell(curve.labels), TableCell(n), *cells]
        rows.append(((list(BLOCKS).index(block), height, curve.method), block, row))
    rows.sort(key=lambda entry: entry[0])
    grid.blocks, grid.rows = [block for _, block, _ in rows], [row for *_, row in rows]
    grid.foot = [
        "Accuracy of the worst group of test images (one class and one domain), where class and domain are "
        "independent, of a linear head learnt on training images in which they go together as often as the column "
        "says. The area is the mean height of the curve from "
        f"{correlations[0]:g} to {correlations[-1]:g}, by trapezoids, seed by seed.",
        "± is the half-width of the 95 % interval over seeds alone, which is too narrow, and missing where there is "
        "one; below a correlation it is that of the leaderboard, where all rows of all correlations tell together how "
        "far seeds lie apart. Ranks and bold are among the methods at the same correlation, from three seeds on.",
    ]
    if len({(c.measure, c.target) for c in found}) > 1:
        grid.foot.append("Rows are of different measures or targets, see the records.")
    return grid


def _cell(line: Mapping[Any, Any] | None, n: int) -> TableCell:
    if line is None:
        return TableCell()
    ranks = None if math.isnan(line["rank_low"]) else (int(line["rank_low"]), int(line["rank_high"]))
    fewer = None if line["n"] == n else int(line["n"])
    return TableCell(line["mean"], (line["high"] - line["low"]) / 2, ranks, bool(line["best"]), n=fewer)
