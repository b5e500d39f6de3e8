"""Figures of the report, as SVG that follows the reader's colour scheme or as small PNG. Equal data, equal bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image

INK = "#010203"
"""Stands for the page's text colour."""
STYLE = "<style>svg:root{color:#1b1b1b}@media (prefers-color-scheme:dark){svg:root{color:#e4e4e4}}</style>"
SHOWN_ON_BOTH = "#7d7d7d"
"""Ink of pictures that can't follow the page's scheme."""
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C8C8C")
"""The colours of Okabe & Ito (2008) that are visible on white and on black."""
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


GREY: Any = dict.fromkeys((key for key, value in _RC.items() if value == INK), SHOWN_ON_BOTH)
BLUE = (0.0, 0.45, 0.7)


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


def png(figure: Figure) -> bytes:
    """A figure as PNG of at most 256 colours without background, for light and dark pages."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100, transparent=True)
    picture = Image.open(drawn).convert("RGBA").quantize(256, method=Image.Quantize.FASTOCTREE)
    picture.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def style(k: int) -> dict[str, Any]:
    """Colour and dash of the k-th line; the first 28 differ."""
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": DASHES[k // len(COLOURS) % len(DASHES)]}


class Shade(NamedTuple):
    """A target that colours the points of a map.

    Attributes:
        name: of the target.
        kind: of the target, as in `TargetSpec`.
        values: [N].
        names: of the values of a class; empty: their numbers.
        hues: the data's own colours of the values, [K, 3], 0 to 255; empty: none.
    """

    name: str
    kind: str
    values: np.ndarray
    names: Sequence[str] = ()
    hues: Sequence[Sequence[int]] = ()

    @property
    def few(self) -> bool:
        """Whether each value has a colour and a name of its own."""
        return len(self.hues) > 0 or (self.kind == "class" and self.values.max() < 20)

    @property
    def colours(self) -> Any:
        """Colour map of matplotlib."""
        if len(self.hues):
            return ListedColormap(np.asarray(self.hues) / 255)
        if self.few:
            return ListedColormap(mpl.colormaps["tab10" if self.values.max() < 10 else "tab20"].colors)  # type: ignore[attr-defined]
        return mpl.colormaps["twilight" if self.kind == "circular" else "viridis"]


def maps(layouts: dict[str, np.ndarray], shades: Sequence[Shade]) -> bytes:
    """Points in the plane: a row a layout, a column a target, with a legend below each column.

    Args:
        layouts: name -> [N, 2].
        shades: what points are coloured by.
    """
    with drawing(), mpl.rc_context(GREY):
        figure = Figure(figsize=(2.5 * len(shades), 2.5 * len(layouts) + 0.5))
        grid = figure.subplots(len(layouts), len(shades), squeeze=False)
        for r, (layout, points) in enumerate(layouts.items()):
            for c, shade in enumerate(shades):
                axes = grid[r, c]
                look: Any = {"c": shade.values, "cmap": shade.colours, "s": 7, "linewidths": 0}
                limits: Any = {"vmin": 0, "vmax": shade.colours.N - 1} if shade.few else {}
                drawn = axes.scatter(*points.T, **look, **limits)
                axes.set_title(f"{layout}, by {short(shade.name, 20)}", fontsize=8)
                axes.set_xticks([])
                axes.set_yticks([])
                if r < len(layouts) - 1:
                    continue
                if shade.few:
                    present = np.unique(shade.values).astype(int)
                    names = [short(shade.names[k], 12) if k < len(shade.names) else str(k) for k in present]
                    handles = [axes.plot([], [], "o", color=shade.colours(int(k)), markersize=4)[0] for k in present]
                    place: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.01), "frameon": False}
                    columns = 5 if max(map(len, names)) < 4 else 3
                    axes.legend(handles, names, fontsize=6, ncols=columns, handletextpad=0, columnspacing=0.6, **place)
                else:
                    figure.colorbar(drawn, ax=axes, orientation="horizontal", pad=0.02).ax.tick_params(labelsize=6)
        return png(figure)


def confusion(counts: np.ndarray) -> bytes:
    """Shares of each true class, in rows; counts [K, K]."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with drawing(), mpl.rc_context(GREY):
        figure = Figure(figsize=(3.6, 3.4))
        axes = figure.add_subplot()
        axes.imshow(np.dstack([np.broadcast_to(BLUE, (*shares.shape, 3)), shares]))  # none is as the page behind it
        if len(counts) <= 12:
            for i, j in np.ndindex(*counts.shape):
                dark = shares[i, j] > 0.5
                look: Any = {"ha": "center", "va": "center", "fontsize": 6}
                axes.text(j, i, str(counts[i, j]), color="white" if dark else SHOWN_ON_BOTH, **look)
        axes.set_xlabel("guessed class")
        axes.set_ylabel("true class")
        return png(figure)


def short(text: str, limit: int = 48) -> str:
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= limit else plain[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"
