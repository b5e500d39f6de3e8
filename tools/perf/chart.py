"""Training steps as a chart: their parts in units of the whole step, and how near the step is to the bare network's."""

from __future__ import annotations

from matplotlib.figure import Figure

from disentangle_bench.evaluation.leaderboard.report.plots import COLOURS, drawing, svg
from tools.perf.steps import PARTS


def draw(found: dict[str, dict[str, dict[str, float]]]) -> bytes:
    """SVG: a bar a step of the figures that `measure` returns; the black mark is the bare network, with its spread."""
    rows = [name for name, figures in found.items() if "method ms" in figures]
    with drawing():
        figure = Figure(figsize=(7, 1.2 + 0.24 * len(rows)))
        axes = figure.add_subplot()
        for k, name in enumerate(rows):
            left, whole = 0.0, sum(found[name][f"{part} ms"]["median"] for part in PARTS)
            for part, colour in zip(PARTS, COLOURS, strict=False):
                width = found[name][f"{part} ms"]["median"] / whole
                axes.barh(k, width, left=left, color=colour, height=0.7, label=part if not k else None)
                left += width
            ratio = found[name]["ratio"]
            axes.plot([ratio["low"], ratio["high"]], [k, k], color="black", linewidth=1)
            axes.plot(ratio["median"], k, "|", color="black", markersize=9, label="bare network" if not k else None)
        axes.set_yticks(range(len(rows)), [name.removeprefix("step_") for name in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("share of a training step")
        figure.legend(loc="outside lower center", ncols=4, fontsize=7, frameon=False)
        return svg(figure)
