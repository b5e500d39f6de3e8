"""Charts of a data set's figures: seeds, content against leakage, rank sets, cost, learning curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from disentangle_bench.evaluation.leaderboard.grid import BLOCKS
from disentangle_bench.evaluation.leaderboard.report.plots import COLOURS, drawing, short, style, svg
from disentangle_bench.evaluation.records import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LOOKS = {
    "none": ("o", COLOURS[0]),
    "domain": ("D", COLOURS[2]),
    "content": ("s", COLOURS[3]),
    UNKNOWN: ("^", COLOURS[1]),
}
"""Marker and colour of each block of methods."""
LINE = 11.0
"""Height of a small line of text, in points."""
NAMED, ROOM = 30, 0.7
"""Most points with names, and the share of a chart's width that is left of them."""


def seed_points(part: pd.DataFrame, title: str) -> bytes:
    """Every seed's figure, and the mean's 95 % interval where it is known.

    Args:
        part: lines of a `leaderboard` frame for one figure of one data set, in the order to draw.
        title: of the axis.
    """
    with drawing():
        figure = Figure(figsize=(7, 0.8 + 0.24 * len(part)))
        axes = figure.add_subplot()
        for k, r in enumerate(part.to_dict("records")):
            axes.plot(r["values"], [k] * len(r["values"]), "o", color=COLOURS[5], markersize=4)
            if not math.isnan(r["low"]):
                axes.plot([r["low"], r["high"]], [k, k], color=COLOURS[3], linewidth=1.5)
                axes.plot([r["mean"]], [k], "|", color=COLOURS[3], markersize=9)
        names = [f"{short(r['method'])} / {short(r['space'], 24)} (n={r['n']})" for r in part.to_dict("records")]
        axes.set_yticks(range(len(part)), names)
        axes.set_ylim(len(part) - 0.4, -0.6)
        axes.set_xlabel(title)
        return svg(figure)


def pair(table: pd.DataFrame, others: pd.DataFrame, x: str, y: str) -> bytes:
    """Content against leakage: a point a method with its intervals, and small ones for its further spaces.

    Args:
        table: `method`, `block`, and of each figure `mean`, `low`, `high` (upright) and `mean_leak`, ... (level).
        others: `method`, `space`, `mean`, `mean_leak` of spaces that don't speak for their method.
        x: title of the level axis.
        y: title of the upright axis.
    """
    with drawing():
        figure = Figure(figsize=(5.4, max(4.2, 1.2 + min(len(table), NAMED) * LINE / 60)))
        axes = figure.add_subplot()
        if len(others):
            axes.plot(
                others["mean_leak"], others["mean"], "x", color=COLOURS[6], markersize=3.5, label="further spaces"
            )
        points: list[Point] = []
        for r in table.to_dict("records"):
            marker, colour = LOOKS[r["block"]]
            half = [np.nan_to_num((r["high" + end] - r["low" + end]) / 2) for end in ("_leak", "")]
            look: Any = {"fmt": marker, "color": colour, "elinewidth": 0.8, "markersize": 5}
            axes.errorbar(r["mean_leak"], r["mean"], xerr=half[0], yerr=half[1], **look)
            points.append((r["mean_leak"], r["mean"], r["method"], colour))
        axes.margins(x=0.08, y=0.08)
        axes.annotate(
            "\N{NORTH WEST ARROW} holds content, hides the domain", (0.01, 1.01), xycoords="axes fraction", fontsize=7
        )
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _legend(axes, table["block"], "lower left")
        _names_beside(figure, axes, points)
        return svg(figure)


def rank_sets(panels: Sequence[tuple[str, dict[str, tuple[float, float]]]], rows: Sequence[tuple[str, str]]) -> bytes:
    """Ranks that the runs don't exclude: a panel a criterion, a bar a method, blocks apart.

    Args:
        panels: title, and method -> first and last rank.
        rows: (method, block), in the order to draw; methods of a block stand together.
    """
    at = {method: k + 0.6 * len({b for _, b in rows[: k + 1]}) for k, (method, block) in enumerate(rows)}
    with drawing():
        figure = Figure(figsize=(1.9 + 1.25 * len(panels), 1.1 + 0.23 * len(rows)))
        for k, (title, found) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), k + 1)
            for method, block in rows:
                if method in found:
                    low, high = found[method]
                    colour = LOOKS[block][1]
                    axes.plot(
                        [low, high], [at[method]] * 2, "o-", color=colour, linewidth=4, markersize=4, markeredgewidth=0
                    )
            axes.set_title(title, fontsize=7)
            most = max([high for _, high in found.values()], default=1)
            axes.set_xlim(0.4, most + 0.6)
            axes.set_xticks([1, int(most)] if most > 1 else [1])
            axes.set_ylim(max(at.values()) + 0.6, min(at.values()) - 0.6)
            names = [short(method, 28) for method, _ in rows] if not k else [""] * len(rows)
            axes.set_yticks(list(at.values()), names, fontsize=7)
            axes.tick_params(axis="x", labelsize=7)
            axes.grid(axis="y", linewidth=0.3, alpha=0.5)
            axes.set_axisbelow(True)
        figure.supxlabel("rank in its block (1 is best)", fontsize=8)
        return svg(figure)


def pareto(tables: Sequence[tuple[str, pd.DataFrame]], title: str) -> bytes:
    """One panel a cost: every method, and the front. What cost nothing is a dotted line.

    Args:
        tables: (name of the cost, frame of `budgets.tradeoff` with `block`).
        title: of the figure on the upright axis.
    """
    with drawing():
        count = min(max(len(table) for _, table in tables), NAMED)
        figure = Figure(figsize=(5.4, max(3.2, 0.8 + count * LINE / 55) * len(tables)))
        for k, (cost, table) in enumerate(tables):
            axes = figure.add_subplot(len(tables), 1, k + 1)
            paid, free = table[table["cost"] > 0], table[table["cost"] <= 0]
            points: list[Point] = []
            for r in paid.to_dict("records"):
                marker, colour = LOOKS[r["block"]]
                axes.plot(r["cost"], r["score"], marker, color=colour, markersize=5)
                points.append((r["cost"], r["score"], r["method"], colour))
            best = paid[paid["front"]].sort_values(["cost", "score"])
            axes.plot(best["cost"], best["score"], color=COLOURS[4], drawstyle="steps-post", linewidth=1.2)
            for r in free.to_dict("records"):
                axes.axhline(r["score"], color=COLOURS[6], linestyle=":", linewidth=1)
                points.append((None, r["score"], f"{r['method']} (untrained)", COLOURS[6]))
            if len(paid) and paid["cost"].max() > 20 * paid["cost"].min():
                axes.set_xscale("log")
            else:
                axes.locator_params(axis="x", nbins=5)
            axes.margins(x=0.08, y=0.1)
            axes.set_xlabel(cost)
            axes.set_ylabel(title)
            if not k:
                _legend(axes, table["block"], "best", front=len(best) > 1)
            _names_beside(figure, axes, points)
        return svg(figure)


def over(lines: Sequence[tuple[str, str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]], x: str, y: str) -> bytes:
    """Lines with intervals in one panel.

    Args:
        lines: (name, block, x [N], mean [N], low [N], high [N]); low and high are NaN where nothing is known.
        x: title of the level axis.
        y: title of the upright axis.
    """
    with drawing():
        figure = Figure(figsize=(5.4, max(3.6, 1.2 + min(len(lines), NAMED) * LINE / 60)))
        axes = figure.add_subplot()
        for k, (name, block, at, mean, low, high) in enumerate(lines):
            look: Any = style(k) | {"marker": LOOKS[block][0], "markersize": 4, "linewidth": 1.2, "elinewidth": 0.8}
            half = np.nan_to_num(np.stack([mean - low, high - mean]))
            axes.errorbar(at, mean, yerr=half, label=short(name, 26), **look)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
        return svg(figure)


def overlaid(curves: Sequence[tuple[str, np.ndarray, np.ndarray]], x: str, y: str) -> bytes:
    """Lines (name, x [N], y [N]) in one panel, each smoothed and scaled from its first value (1) to its least (0)."""
    with drawing():
        figure = Figure(figsize=(5.4, 3.6))
        axes = figure.add_subplot()
        points: list[Point] = []
        for k, (name, at, values) in enumerate(curves):
            width = max(1, len(values) // 20)
            padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
            smooth = np.convolve(padded, np.ones(width) / width, mode="valid")
            span = smooth[0] - smooth.min()
            scaled = (smooth - smooth.min()) / span if span > 0 else np.zeros(len(smooth))
            axes.plot(at, scaled, linewidth=1.2, **style(k))
            points.append((at[-1], scaled[-1], name, style(k)["color"]))
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _names_beside(figure, axes, points)
        return svg(figure)


def small_multiples(
    panels: Sequence[tuple[str, Sequence[tuple[str, np.ndarray, np.ndarray]]]], x: str, y: str
) -> bytes:
    """A panel a title, with its lines (name, x [N], y [N]); one legend for all.

    Args:
        panels: (title, lines).
        x: title of the level axes.
        y: title of the upright axes.
    """
    names = list(dict.fromkeys(name for _, lines in panels for name, *_ in lines))
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    with drawing():
        figure = Figure(figsize=(2.3 * columns, 1.8 * rows + 0.3))
        handles: dict[str, Any] = {}
        for k, (title, lines) in enumerate(panels):
            axes = figure.add_subplot(rows, columns, k + 1)
            for name, at, values in lines:
                (handles[name],) = axes.plot(
                    at,
                    values,
                    linewidth=1.2,
                    marker="o" if len(at) < 6 else "",
                    markersize=3,
                    **style(names.index(name)),
                )
            axes.set_title(short(title, 32), fontsize=8)
            axes.tick_params(labelsize=7)
            axes.set_xlabel(x if k // columns == rows - 1 else "", fontsize=8)
            axes.set_ylabel(y if k % columns == 0 else "", fontsize=8)
        if len(names) > 1:
            shown = [short(name, 24) for name in handles]
            figure.legend(list(handles.values()), shown, loc="outside lower center", ncols=3, fontsize=7, frameon=False)
        return svg(figure)


def _legend(axes: Axes, blocks: pd.Series, place: Any, front: bool = False) -> None:
    """A legend of the blocks that are present, by marker and colour."""
    handles, texts = axes.get_legend_handles_labels()
    present = set(blocks)
    for block in (name for name in BLOCKS if name in present):
        marker, colour = LOOKS[block]
        handles += axes.plot([], [], marker, color=colour, markersize=5)
        texts.append(BLOCKS[block])
    if front:
        handles += axes.plot([], [], color=COLOURS[4], linewidth=1.2)
        texts.append("front: none is better and cheaper")
    axes.legend(handles, texts, fontsize=7, frameon=False, loc=place)


Point = tuple[float | None, float, str, str]
"""(x, y, name, colour); x is None for a line across the chart."""


def _names_beside(figure: Figure, axes: Axes, points: Sequence[Point]) -> None:
    """Names of points (x, y, name, colour) on the right, in the order of their heights, none over another.

    A thin line leads from each to its point; a point without x is a line across. Of many points the highest are named.
    """
    if not points:
        return
    axes.autoscale_view()
    low, high = axes.get_ylim()
    gap = LINE / (axes.get_position().height * figure.bbox.height / figure.dpi * 72)
    order = sorted(points, key=lambda point: (point[1], point[0] or 0, point[2]))[-NAMED:]
    places: list[float] = []
    for point in order:
        wanted = (point[1] - low) / (high - low)
        places.append(max(wanted, places[-1] + gap) if places else max(wanted, 0.0))
    top = 0.97
    for k in reversed(range(len(places))):
        places[k] = min(places[k], top)
        top = places[k] - gap
    for (x, y, name, colour), place in zip(order, places, strict=True):
        look: Any = {"textcoords": "axes fraction", "fontsize": 8, "va": "center"}
        if x is not None:
            look["arrowprops"] = {
                "arrowstyle": "-",
                "lw": 0.4,
                "color": colour,
                "alpha": 0.6,
                "shrinkA": 0,
                "shrinkB": 3,
            }
        name_ = axes.annotate(short(name, 26), (axes.get_xlim()[1] if x is None else x, y), (1.03, place), **look)
        name_.set_in_layout(False)  # which would take long for many; there is room for them
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, 0, ROOM, 1))  # type: ignore[call-arg]
