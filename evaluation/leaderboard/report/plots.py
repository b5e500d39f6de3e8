"""Figures of the report, as SVG that follows the reader's colour scheme or as small PNG. Equal data, equal bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from disentangle_bench.evaluation.pictures.sheets import png as small_png

if TYPE_CHECKING:
    import pandas as pd

INK = "#010203"
"""Stands for the page's text colour."""
STYLE = "<style>svg{color:#1b1b1b}@media (prefers-color-scheme:dark){svg{color:#e4e4e4}}</style>"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C8C8C")
"""Of Okabe & Ito (2008), those that show on white and on black."""
DASHES = ("-", "--", ":", "-.")
_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "leaderboard",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "font.family": ["sans-serif"],
} | dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)


@contextmanager
def drawing() -> Iterator[None]:
    """Names from records are text, never formulas."""
    with mpl.rc_context(_RC):
        yield


def svg(figure: Figure) -> bytes:
    """A figure as SVG without background, its ink in the colour of the text around it."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    head, body = file.getvalue().split("<defs>", 1)
    text = head + STYLE + "<defs>" + body
    return text.replace(INK, "currentColor").encode()


def png(figure: Figure, dpi: int = 100) -> bytes:
    """A figure as PNG on white."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi, facecolor="white")
    return small_png(Image.open(file))


def style(k: int) -> dict[str, Any]:
    """Colour and dash of the k-th line; the first 28 differ."""
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": DASHES[k // len(COLOURS) % len(DASHES)]}


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
        names = [f"{_short(r['method'])} / {_short(r['space'], 24)} (n={r['n']})" for r in part.to_dict("records")]
        axes.set_yticks(range(len(part)), names)
        axes.set_ylim(len(part) - 0.4, -0.6)
        axes.set_xlabel(title)
        return svg(figure)


def pair(table: pd.DataFrame, x: str, y: str) -> bytes:
    """A point a method with its intervals: `mean`, `low`, `high` upright, `mean_leak`, ... level.

    Args:
        table: `method`, `labels` and these six columns.
        x: title of the level axis.
        y: title of the upright axis.
    """
    with drawing():
        figure = Figure(figsize=(6.4, 4.2))
        axes = figure.add_subplot()
        for r in table.to_dict("records"):
            saw = "content" in r["labels"].split(", ")
            bars: Any = {
                "fmt": "s" if saw else "o",
                "color": COLOURS[3 if saw else 0],
                "elinewidth": 0.8,
                "markersize": 4,
            }
            half = [np.nan_to_num((r["high" + end] - r["low" + end]) / 2) for end in ("_leak", "")]
            axes.errorbar(r["mean_leak"], r["mean"], xerr=half[0], yerr=half[1], **bars)
            axes.annotate(
                _short(r["method"], 24), (r["mean_leak"], r["mean"]), (4, 3), textcoords="offset points", fontsize=7
            )
        axes.margins(x=0.15)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        return svg(figure)


def pareto(tables: Sequence[tuple[str, pd.DataFrame]], title: str) -> bytes:
    """One panel a cost: every (method, space), and the front. What cost nothing is a line on the left edge.

    Args:
        tables: (name of the cost, frame of `compute.tradeoff`).
        title: of the figure on the upright axis.
    """
    with drawing():
        figure = Figure(figsize=(6.4, 3.4 * len(tables)))
        for k, (cost, table) in enumerate(tables):
            axes = figure.add_subplot(len(tables), 1, k + 1)
            paid, free = table[table["cost"] > 0], table[table["cost"] <= 0]
            saw = paid["labels"].str.split(", ").map(lambda roles: "content" in roles).to_numpy(bool)
            for mask, marker, label in ((~saw, "o", "no content labels"), (saw, "s", "saw content labels")):
                axes.plot(
                    paid["cost"][mask], paid["score"][mask], marker, color=COLOURS[3 * (marker == "s")], label=label
                )
            best = paid[paid["front"]].sort_values(["cost", "score"])
            axes.plot(best["cost"], best["score"], color=COLOURS[2], drawstyle="steps-post", linewidth=1, label="front")
            named = paid if len(paid) <= 12 else best
            for r in named.to_dict("records"):
                text = f"{_short(r['method'], 24)}/{_short(r['space'], 12)}"
                axes.annotate(text, (r["cost"], r["score"]), (4, 3), textcoords="offset points", fontsize=7)
            for r in free.to_dict("records"):
                axes.axhline(r["score"], color=COLOURS[6], linestyle=":", linewidth=1)
                axes.annotate(
                    f"{_short(r['method'], 24)} (untrained)",
                    (0.99, r["score"]),
                    xycoords=("axes fraction", "data"),
                    fontsize=7,
                    va="bottom",
                    ha="right",
                )
            if len(paid) and paid["cost"].max() > 20 * paid["cost"].min():
                axes.set_xscale("log")
            axes.margins(x=0.15)
            axes.set_xlabel(cost)
            axes.set_ylabel(title)
            if not k and len(paid):
                axes.legend(fontsize=7, frameon=False)
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
            axes.set_title(_short(title, 32), fontsize=8)
            axes.tick_params(labelsize=7)
            axes.set_xlabel(x if k // columns == rows - 1 else "", fontsize=8)
            axes.set_ylabel(y if k % columns == 0 else "", fontsize=8)
        if len(names) > 1:
            shown = [_short(name, 24) for name in handles]
            figure.legend(list(handles.values()), shown, loc="outside lower center", ncols=3, fontsize=7, frameon=False)
        return svg(figure)


def maps(layouts: dict[str, np.ndarray], colours: Sequence[tuple[str, str, np.ndarray]]) -> bytes:
    """Points in the plane: a row a layout, a column a target.

    Args:
        layouts: name -> [N, 2].
        colours: (name, kind, values [N]) of each target.
    """
    with drawing(), mpl.rc_context({"text.color": "black", "axes.edgecolor": "#999999"}):
        figure = Figure(figsize=(2.5 * len(colours), 2.6 * len(layouts)))
        for r, (layout, points) in enumerate(layouts.items()):
            for c, (name, kind, values) in enumerate(colours):
                axes = figure.add_subplot(len(layouts), len(colours), r * len(colours) + c + 1)
                many = kind != "class" or len(np.unique(values)) > 20
                scheme = {"circular": "twilight"}.get(kind, "viridis" if many else "tab20")
                axes.scatter(points[:, 0], points[:, 1], c=values, cmap=scheme, s=7, linewidths=0)
                axes.set_title(f"{layout}, by {_short(name, 20)}", fontsize=8)
                axes.set_xticks([])
                axes.set_yticks([])
        return png(figure)


def confusion(counts: np.ndarray) -> bytes:
    """Shares of each true class, in rows; counts [K, K]."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with (
        drawing(),
        mpl.rc_context(dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), "black")),
    ):
        figure = Figure(figsize=(3.6, 3.4))
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if len(counts) <= 12:
            for i, j in np.ndindex(*counts.shape):
                dark = shares[i, j] > 0.5
                axes.text(
                    j, i, str(counts[i, j]), ha="center", va="center", fontsize=6, color="white" if dark else "black"
                )
        axes.set_xlabel("guessed class")
        axes.set_ylabel("true class")
        return png(figure)


def _short(text: str, limit: int = 48) -> str:
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= limit else plain[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"
