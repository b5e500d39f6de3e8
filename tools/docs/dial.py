"""The shortcut dial of a committed board, drawn from its markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.docs.board import BLUE, COLOURS, GREEN, GREY, HEIGHT, ORANGE, SIDE, TOP, table

WIDTH, FOOT = 430, TOP + HEIGHT
"""Of the plane, in pixels: how wide it is, and where it ends below."""
HUES = {"none": BLUE, "domain": GREEN, "content": ORANGE}
"""Of methods that saw labels of that kind; the floors are grey."""
FLOORS = ("random_init", "pixels")
DASHES = ("none", "7 4", "2 3", "9 3 2 3", "14 4")
NARROW = 30
"""Ticks nearer than that, in pixels, have their numbers in two rows."""


def worst_group_curves(board: str) -> str:
    """Accuracy of the worst group over the correlation of class and domain in training, a line a method, as SVG.

    Args:
        board: markdown of a board whose first table has a column `at C %` for each correlation C.

    Raises:
        ValueError: it has no such columns.
    """
    head, *rows = table(board)
    found = {number: re.match(r"at ([\d.]+) %", cell) for number, cell in enumerate(head)}
    columns = {number: float(match[1]) for number, match in found.items() if match}
    if not columns:
        raise ValueError("the board's first table has no columns of correlations")
    means = [[float(m[0]) if (m := re.search(r"[\d.]+", cells[n])) else None for n in columns] for cells in rows]
    top = max(10, *(10 * -(-mean // 10) for line in means for mean in line if mean is not None))
    parts = [*_plane(list(columns.values()), top)]
    used: dict[str, int] = {}
    for number, (cells, line) in enumerate(zip(rows, means, strict=True)):
        hue = GREY if cells[0] in FLOORS else HUES.get(cells[2], GREY)
        dash = DASHES[used.get(hue, 0) % len(DASHES)]
        used[hue] = used.get(hue, 0) + 1
        style = f'fill="none" stroke="{hue}" stroke-width="2.5" stroke-dasharray="{dash}"'
        points = [
            f"{_x(at):.1f} {FOOT - mean / top * HEIGHT:.1f}"
            for at, mean in zip(columns.values(), line, strict=True)
            if mean is not None
        ]
        y = TOP + 16 + 24 * number
        parts.append(f'<path d="M{"L".join(points)}" {style}/>')
        parts.append(f'<path d="M{SIDE + WIDTH + 20} {y}h34" {style}/>')
        parts.append(f'<text x="{SIDE + WIDTH + 62}" y="{y + 4}">{cells[0]}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(correlation: float) -> float:
    return SIDE + correlation * WIDTH


def _plane(correlations: list[float], top: float) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {FOOT + 66}" role="img" '
        'aria-labelledby="dial-title" font-family="system-ui, sans-serif" font-size="13" fill="currentColor">'
    )
    yield (
        '<title id="dial-title">The committed board: accuracy of the worst group of test images, as class and domain '
        "go together more and more in training</title>"
    )
    yield COLOURS
    last = -1.0
    for at in correlations:
        x = _x(at)
        low = last >= 0 and x - last < NARROW
        last = -1.0 if low else x
        yield f'<path d="M{x:.1f} {TOP}V{FOOT}" stroke="currentColor" stroke-opacity="0.15"/>'
        yield f'<text x="{x:.1f}" y="{FOOT + (31 if low else 17)}" text-anchor="middle" font-size="12">{at:g}</text>'
    for tick in range(0, int(top) + 1, 10):
        y = FOOT - tick / top * HEIGHT
        yield f'<path d="M{SIDE} {y:.1f}h{WIDTH}" stroke="currentColor" stroke-opacity="0.15"/>'
        yield f'<text x="{SIDE - 8}" y="{y + 4:.1f}" text-anchor="end" font-size="12">{tick}</text>'
    yield (
        f'<text x="{SIDE + WIDTH / 2:.0f}" y="{FOOT + 54}" text-anchor="middle">correlation of class and domain in '
        "training</text>"
    )
    yield (
        f'<text transform="translate(20 {TOP + HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">'
        "accuracy of the worst group, %</text>"
    )
