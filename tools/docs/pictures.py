"""Pictures: those drawn by hand stand in a page in its own colours, and one is drawn from the committed board."""

from __future__ import annotations

import re
from pathlib import Path

BLUE, GREY = "#4a90c8", "#808894"
LEFT, RIGHT, ROW = 190, 560, 34
CELL = re.compile(r"([\d.]+) ± ([\d.]+) \(([\d-]+)\)")
"""Mean, half-width and rank set."""


def inlined(html: str, pictures: dict[str, str]) -> str:
    """A page with the SVG itself where an image of ours is named: it then follows light and dark.

    Args:
        html: of the page.
        pictures: file name -> SVG.
    """

    def svg(match: re.Match[str]) -> str:
        return f'<span class="picture">{pictures[match[1]]}</span>'

    return re.sub(r'<img [^>]*src="[^"]*pictures/([\w-]+\.svg)"[^>]*>', svg, html)


def drawn(folder: Path) -> dict[str, str]:
    """File name -> SVG of the pictures in a folder."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.svg"))}


def rank_sets(board: str, column: str = "linear@1 top1") -> str:
    """Means, intervals and rank sets of one column of a board's first table, as SVG.

    Args:
        board: markdown of the board.
        column: how its head begins.

    Raises:
        ValueError: the board has no such column, or no ranks in it.
    """
    lines = [line.strip("|").split("|") for line in board.splitlines() if line.startswith("|")]
    head = next((number for number, cell in enumerate(lines[0]) if cell.strip().startswith(column)), None)
    if head is None:
        raise ValueError(f"the board's first table has no column {column!r}")
    rows = []
    for cells in lines[2:]:
        found = CELL.fullmatch(cells[head].strip(" *")) if len(cells) > head else None
        if found is None or cells[2].strip() != lines[2][2].strip():  # the first block: those that saw the same labels
            break
        rows.append((cells[0].strip(), float(found[1]), float(found[2]), found[3], "**" in cells[head]))
    if not rows:
        raise ValueError(f"the board's column {column!r} has no ranks")
    return _plot(rows, column)


def _plot(rows: list[tuple[str, float, float, str, bool]], column: str) -> str:
    low = min(mean - half for _, mean, half, _, _ in rows)
    high = max(mean + half for _, mean, half, _, _ in rows)

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (RIGHT - LEFT)

    height = ROW * (len(rows) + 1) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" role="img" '
        'aria-labelledby="rank-set-title" font-family="system-ui, sans-serif" font-size="14" fill="currentColor">',
        f'<title id="rank-set-title">{column} of the committed board: means, 95 % intervals and rank sets</title>',
        f'<text x="{RIGHT + 30}" y="20" font-weight="600">rank set</text>',
        f'<text x="{LEFT}" y="20" font-weight="600">{column}, %</text>',
    ]
    for number, (name, mean, half, ranks, best) in enumerate(rows):
        y = 20 + ROW * (number + 1)
        colour = BLUE if best else GREY
        weight = ' font-weight="600"' if best else ""
        parts += [
            f'<text x="{LEFT - 20}" y="{y + 5}" text-anchor="end"{weight}>{name}</text>',
            f'<path d="M{LEFT} {y}H{RIGHT}" stroke="currentColor" stroke-opacity="0.2"/>',
            f'<path d="M{x(mean - half):.1f} {y}H{x(mean + half):.1f}" stroke="{colour}" stroke-width="3"/>',
            f'<circle cx="{x(mean):.1f}" cy="{y}" r="5" fill="{colour}"/>',
            f'<text x="{RIGHT + 30}" y="{y + 5}"{weight}>{ranks}</text>',
        ]
    foot = f"from {low:.0f} to {high:.0f}; blue: may be the best"
    parts.append(f'<text x="{LEFT}" y="{height - 8}" font-size="12" opacity="0.75">{foot}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
