"""The committed boards side by side: a row a method, a column a criterion of a board, as one picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from disentangle_bench.evaluation.leaderboard.grid import Column, Grid, TableCell
from disentangle_bench.evaluation.leaderboard.report.plots import STYLE
from disentangle_bench.evaluation.leaderboard.writers.formats import spell

BLUE = "#4a90c8"
CRITERIA = {
    ("linear@1", "top1"): ("linear", True),
    ("knn@1", "top1"): ("kNN", True),
    ("kmeans@2", "nmi"): ("NMI", True),
    ("leakage@4", "leakage"): ("leakage", False),
    ("mcc@1", "mcc"): ("MCC", True),
}
"""Measure and score -> its name, and whether more is better."""
NAMES, WIDE, HIGH, HEAD, GAP = 170, 66, 26, 52, 14
"""Pixels: width of the names, of a cell; height of a cell, of the head; between two boards."""


def criteria(*boards: Grid) -> str:
    """Figures of the first board's methods on all boards, coloured from the worst to the best of a column, as SVG.

    Args:
        boards: main table of each.
    """
    methods = [row[0].value for row in boards[0].rows]
    parts: list[str] = []
    x = NAMES
    for board in boards:
        parts.append(f'<text x="{x}" y="16" font-weight="600">{board.title}</text>')
        found = {row[0].value: row for row in board.rows}
        for key, (name, up) in CRITERIA.items():
            if k := next((k for k, column in enumerate(board.columns) if column.key and column.key[:2] == key), None):
                parts.append(f'<text x="{x + WIDE / 2}" y="38" text-anchor="middle">{name} {"↑" if up else "↓"}</text>')
                cells = [found[method][k] if method in found else TableCell() for method in methods]
                parts += _column(cells, board.columns[k], x, up)
                x += WIDE
        x += GAP
    height = HEAD + HIGH * len(methods) + 26
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {x} {height}" role="img" '
        'aria-labelledby="heat-title" font-family="system-ui, sans-serif" font-size="13" fill="currentColor">'
    )
    names = [
        f'<text x="{NAMES - 12}" y="{HEAD + HIGH * k + 17}" text-anchor="end">{method}</text>'
        for k, method in enumerate(methods)
    ]
    foot = (
        "darker: better in its column; in a frame: may be the best of those that saw the same labels; "
        "*: of another space than features"
    )
    return (
        "\n".join(
            [
                head,
                '<title id="heat-title">Methods by criteria of the committed boards</title>',
                STYLE,
                *names,
                *parts,
                f'<text x="{NAMES}" y="{height - 8}" font-size="12" opacity="0.75">{foot}</text>',
                "</svg>",
            ]
        )
        + "\n"
    )


def _column(cells: list[TableCell], column: Column, x: float, up: bool) -> Iterator[str]:
    """Coloured figures of one column; a dash where there is none."""
    known = [cell.value for cell in cells if isinstance(cell.value, float)]
    low, high = min(known), max(known)
    for k, cell in enumerate(cells):
        y = HEAD + HIGH * k
        if isinstance(cell.value, float):
            share = (cell.value - low) / (high - low) if high > low else 1.0
            yield (
                f'<rect x="{x + 1}" y="{y + 1}" width="{WIDE - 2}" height="{HIGH - 2}" fill="{BLUE}" '
                f'fill-opacity="{0.06 + 0.64 * (share if up else 1 - share):.2f}"'
                + (f' stroke="{BLUE}" stroke-width="2"' if cell.bold else "")
                + "/>"
            )
        text = spell(replace(cell, half=math.nan, ranks=None, n=None, space=""), column) + "*" * bool(cell.space)
        yield f'<text x="{x + WIDE / 2}" y="{y + 17}" text-anchor="middle">{text}</text>'
