"""Pictures of a committed board, drawn from its markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

BLUE, ORANGE, GREEN, GREY = "#4a90c8", "#d9822b", "#3d9970", "#808894"
LEFT, RIGHT, ROW = 190, 560, 34
COLOURS = (
    "<style>svg:root { color: #24292f } @media (prefers-color-scheme: dark) { svg:root { color: #d8dee6 } }</style>"
)
"""Of lines and letters where a picture stands alone; in a page they are the page's."""
CELL = re.compile(r"([\d.]+) ± ([\d.]+) \(([\d-]+)\)")
"""Mean, half-width and rank set."""
FIGURE = re.compile(r"\**([\d.]+)(?: ± ([\d.]+))?")
"""Mean, and half-width where it is known."""


def table(board: str) -> list[list[str]]:
    """Cells of a board's first table and of those with its further figures: the head, then a row a method."""
    first, *below = (_cells(part) for part in board.split(": further figures\n"))
    for further in below:
        by_method = {cells[0]: cells[1:] for cells in further}
        nothing = [""] * (len(further[0]) - 1)
        first = [[*cells, *by_method.get(cells[0], nothing)] for cells in first]
    return first


def _cells(text: str) -> list[list[str]]:
    """The first table in markdown, without the line below its head."""
    lines = text[text.index("|") :].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def _column(head: list[str], start: str) -> int:
    found = next((number for number, cell in enumerate(head) if cell.startswith(start)), None)
    if found is None:
        raise ValueError(f"the board's first table has no column {start!r}")
    return found


def rank_sets(board: str, column: str = "linear@1 top1") -> str:
    """Means, intervals and rank sets of one column of a board's first table, as SVG.

    Args:
        board: markdown of the board.
        column: how its head begins.

    Raises:
        ValueError: the board has no such column, or no ranks in it.
    """
    lines = table(board)
    head, labels = _column(lines[0], column), _column(lines[0], "labels seen")
    block = lines[1][labels]
    rows = []
    for cells in lines[1:]:
        found = CELL.fullmatch(cells[head].strip("*"))
        if found is None or cells[labels] != block:  # the first block: those that saw the same labels
            break
        rows.append((cells[0], float(found[1]), float(found[2]), found[3], "**" in cells[head]))
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
        COLOURS,
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


class Point(NamedTuple):
    """A method in the plane: place in pixels, half-widths of its intervals, colour and marker."""

    name: str
    x: float
    y: float
    wide: float
    high: float
    colour: str
    marker: str


MARKERS = {  # of methods that saw labels of that kind: colour, and outline around the middle
    "none": (BLUE, "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"),
    "domain": (GREEN, "m0 -7l7 7l-7 7l-7 -7z"),
    "content": (ORANGE, "m-5 -5h10v10h-10z"),
}
SIDE, TOP, WIDTH, HEIGHT = 64, 40, 520, 340
"""Where the plane begins, and its size in pixels."""
LETTER, LINE = 7.2, 15
"""About what a letter of a name takes, in pixels."""


def content_and_domain(board: str, measure: str = "kmeans@2") -> str:
    """How far a method's clusters follow the classes (upright) and the domains (level), as SVG of light and dark pages.

    Args:
        board: markdown of the board.
        measure: with scores `nmi` and `nmi_domain`.

    Raises:
        ValueError: the board has no such columns, or no figures in them.
    """
    head, *rows = table(board)
    columns = [_column(head, f"{measure} {score} ") for score in ("nmi_domain", "nmi")]
    labels = _column(head, "labels seen")
    points, chance = [], 0.0
    for cells in rows:
        level, upright = (FIGURE.match(cells[column]) for column in columns)
        if upright and cells[0] == "chance":
            chance = float(upright[1])
        elif level and upright:
            colour, marker = MARKERS[cells[labels]]
            place = (SIDE + float(level[1]) * WIDTH, TOP + (1 - float(upright[1])) * HEIGHT)
            wide, high = float(level[2] or 0) * WIDTH, float(upright[2] or 0) * HEIGHT
            points.append(Point(cells[0], *place, wide, high, colour, marker))
    if not points:
        raise ValueError(f"the board's columns of {measure} hold no figures")
    return "\n".join([*_plane(measure, chance), *_shown(points), "</svg>"]) + "\n"


def _plane(measure: str, chance: float) -> Iterator[str]:
    foot, right = TOP + HEIGHT, SIDE + WIDTH
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {foot + 56}" role="img" '
        'aria-labelledby="board-title" font-family="system-ui, sans-serif" font-size="13" fill="currentColor">'
    )
    yield (
        '<title id="board-title">The committed board: what the clusters in each method\'s representation follow, '
        "the class of an image or its domain</title>"
    )
    yield COLOURS
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = SIDE + tick * WIDTH, foot - tick * HEIGHT
        yield f'<path d="M{x:.0f} {TOP}V{foot}M{SIDE} {y:.0f}H{right}" stroke="currentColor" stroke-opacity="0.15"/>'
        yield f'<text x="{x:.0f}" y="{foot + 18}" text-anchor="middle" font-size="12">{tick:g}</text>'
        yield f'<text x="{SIDE - 8}" y="{y + 4:.0f}" text-anchor="end" font-size="12">{tick:g}</text>'
    middle = (SIDE + right) / 2
    level = f"clusters follow the domain ({measure} nmi)"
    yield f'<text x="{middle:.0f}" y="{foot + 42}" text-anchor="middle">{level}</text>'
    yield (
        f'<text transform="translate(20 {TOP + HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"clusters follow the class ({measure} nmi)</text>"
    )
    yield f'<text x="{SIDE}" y="24" font-weight="600">↖ finds the class, forgets the domain</text>'
    x, y = SIDE + chance * WIDTH, foot - chance * HEIGHT
    yield f'<path d="M{x - 5:.1f} {y - 5:.1f}l10 10m-10 0l10 -10" stroke="{GREY}" stroke-width="2"/>'
    for number, (kind, (colour, marker)) in enumerate(MARKERS.items()):
        y = TOP + 20 + 22 * number
        text = "no labels" if kind == "none" else f"{kind} labels"
        yield f'<path d="M{right + 24} {y}{marker}" fill="{colour}"/><text x="{right + 38}" y="{y + 4}">{text}</text>'
    y += 22
    yield f'<path d="M{right + 19} {y - 5}l10 10m-10 0l10 -10" stroke="{GREY}" stroke-width="2"/>'
    yield f'<text x="{right + 38}" y="{y + 4}">chance</text>'


def _shown(points: list[Point]) -> Iterator[str]:
    """Intervals, then markers, then names: each where it covers neither another name nor a marker."""
    for point in points:
        cross = f"M{point.x - point.wide:.1f} {point.y:.1f}h{2 * point.wide:.1f}"
        cross += f"M{point.x:.1f} {point.y - point.high:.1f}v{2 * point.high:.1f}"
        yield f'<path d="{cross}" stroke="{point.colour}" stroke-width="1.5" stroke-opacity="0.7"/>'
    for point in points:
        yield f'<path d="M{point.x:.1f} {point.y:.1f}{point.marker}" fill="{point.colour}"/>'
    taken = [(point.x - 6, point.y - 6, point.x + 6, point.y + 6) for point in points]
    for point in sorted(points, key=lambda point: point.x):
        width, off = LETTER * len(point.name), max(10, point.wide + 4)
        sides, middle = (point.x + off, point.x - off - width), point.x - width / 2
        near = [*product((-LINE / 2,), sides), (point.high + 5, middle), (-point.high - LINE - 5, middle)]
        places = [*near, *product((-LINE - 4, 4, -LINE - 16, 16), sides)]
        boxes = [(x, point.y + up, x + width, point.y + up + LINE) for up, x in places if x > SIDE]
        box = next((one for one in boxes if not any(_meets(one, other) for other in taken)), boxes[0])
        taken.append(box)
        yield f'<text x="{box[0]:.1f}" y="{box[3] - 4:.1f}">{point.name}</text>'


def _meets(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether boxes (left, top, right, bottom) share a place."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
