"""The committed boards side by side: a row a method, a column a criterion of a board, as one picture."""

from __future__ import annotations

from collections.abc import Iterator

from tools.docs.board import BLUE, COLOURS, FIGURE, table

CRITERIA = {
    "linear@1 top1": ("linear", True),
    "knn@1 top1": ("kNN", True),
    "kmeans@2 nmi ": ("NMI", True),
    "leakage@4": ("leakage", False),
    "mcc@1 ↑": ("MCC", True),
}
"""How a column's head begins -> its name, and whether more is better."""
NAMES, WIDE, HIGH, HEAD, GAP = 170, 60, 26, 52, 14
"""Pixels: width of the names, of a cell; height of a cell, of the head; between two boards."""


def criteria(*boards: str) -> str:
    """Figures of the first board's methods on all boards, coloured from the worst to the best of a column, as SVG.

    Args:
        boards: markdown of each; its first heading names it.
    """
    tables = [table(board) for board in boards]
    methods = [cells[0] for cells in tables[0][1:] if cells[0] != "chance"]
    parts: list[str] = []
    x = NAMES
    for board, rows in zip(boards, tables, strict=True):
        title = board.split("\n## ")[1].split("\n")[0]
        parts.append(f'<text x="{x}" y="16" font-weight="600">{title}</text>')
        found = {cells[0]: cells for cells in rows[1:]}
        for head, (name, up) in CRITERIA.items():
            if column := next((k for k, cell in enumerate(rows[0]) if cell.startswith(head)), None):
                parts.append(f'<text x="{x + WIDE / 2}" y="38" text-anchor="middle">{name} {"↑" if up else "↓"}</text>')
                parts += _column([found[method][column] if method in found else "" for method in methods], x, up)
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
    foot = "darker: better in its column; in a frame: may be the best of those that saw the same labels"
    return (
        "\n".join(
            [
                head,
                '<title id="heat-title">Methods by criteria of the committed boards</title>',
                COLOURS,
                *names,
                *parts,
                f'<text x="{NAMES}" y="{height - 8}" font-size="12" opacity="0.75">{foot}</text>',
                "</svg>",
            ]
        )
        + "\n"
    )


def _column(cells: list[str], x: float, up: bool) -> Iterator[str]:
    """Coloured figures of one column; a dash where there is none."""
    figures = [FIGURE.match(cell.removeprefix("**").removeprefix("≥ ")) for cell in cells]
    known = [float(figure[1]) for figure in figures if figure]
    low, high = min(known), max(known)
    for k, (cell, figure) in enumerate(zip(cells, figures, strict=True)):
        y = HEAD + HIGH * k
        if figure is not None:
            share = (float(figure[1]) - low) / (high - low) if high > low else 1.0
            yield (
                f'<rect x="{x + 1}" y="{y + 1}" width="{WIDE - 2}" height="{HIGH - 2}" fill="{BLUE}" '
                f'fill-opacity="{0.06 + 0.64 * (share if up else 1 - share):.2f}"'
                + (f' stroke="{BLUE}" stroke-width="2"' if cell.startswith("**") else "")
                + "/>"
            )
        text = ("≥ " if "≥" in cell else "") + figure[1] if figure else "\N{EN DASH}"
        yield f'<text x="{x + WIDE / 2}" y="{y + 17}" text-anchor="middle">{text}</text>'
