"""The committed boards side by side: a row a method, a column a criterion of a board, as one picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
ABREAST = 12
"""Columns that find room beside each other; boards that don't begin a new row."""


def criteria(*boards: Grid) -> str:
    """Figures of the first board's methods on all boards, coloured from the worst to the best of a column, as SVG.

    Args:
        boards: main table of each.
    """
    methods = [row[0].value for row in boards[0].rows]
    parts: list[str] = []
    width = top = 0.0
    for abreast in _rows(boards):
        x = NAMES
        parts += [
            f'<text x="{NAMES - 12}" y="{top + HEAD + HIGH * k + 17}" text-anchor="end">{method}</text>'
            for k, method in enumerate(methods)
        ]
        for board in abreast:
            parts.append(f'<text x="{x}" y="{top + 16}" font-weight="600">{board.title}</text>')
            found = {row[0].value: row for row in board.rows}
            for k, name, up in _shown(board):
                title = (
                    f'<text x="{x + WIDE / 2}" y="{top + 38}" text-anchor="middle">{name} {"↑" if up else "↓"}</text>'
                )
                cells = [found[method][k] if method in found else TableCell() for method in methods]
                parts += [title, *_column(cells, board.columns[k], x, top + HEAD, up)]
                x += WIDE
            x += GAP
        width, top = max(width, x), top + HEAD + HIGH * len(methods) + GAP
    foot = (
        "darker: better in its column; in a frame: may be the best of those that saw the same labels; "
        "*: of another space than features"
    )
    return (
        "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top + 12:g}" role="img" '
                'aria-labelledby="heat-title" font-family="system-ui, sans-serif" font-size="13" fill="currentColor">',
                '<title id="heat-title">Methods by criteria of the committed boards</title>',
                STYLE,
                *parts,
                f'<text x="{NAMES}" y="{top + 4:g}" font-size="12" opacity="0.75">{foot}</text>',
                "</svg>",
            ]
        )
        + "\n"
    )


def _shown(board: Grid) -> list[tuple[int, str, bool]]:
    """Number of a board's column, its name, and whether more is better, for each of `CRITERIA` that it has."""
    places = {column.key[:2]: k for k, column in enumerate(board.columns) if column.key}
    return [(places[key], name, up) for key, (name, up) in CRITERIA.items() if key in places]


def _rows(boards: Sequence[Grid]) -> list[list[Grid]]:
    """Boards that find room beside each other, in their order."""
    rows: list[list[Grid]] = [[]]
    for board in boards:
        if rows[-1] and sum(len(_shown(one)) for one in (*rows[-1], board)) > ABREAST:
            rows.append([])
        rows[-1].append(board)
    return rows


def _column(cells: list[TableCell], column: Column, x: float, top: float, up: bool) -> Iterator[str]:
    """Coloured figures of one column; a dash where there is none."""
    known = [cell.value for cell in cells if isinstance(cell.value, float)]
    low, high = min(known), max(known)
    for k, cell in enumerate(cells):
        y = top + HIGH * k
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
