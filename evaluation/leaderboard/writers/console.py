"""Spell grids for a terminal: a line a method, as many columns as fit, colour for what may be the best."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap
from typing import TYPE_CHECKING

from disentangle_bench.evaluation.leaderboard.frame import COST, LEAKAGE
from disentangle_bench.evaluation.leaderboard.grid import BLOCKS, Column, Grid, TableCell
from disentangle_bench.evaluation.leaderboard.writers.formats import EMPTY, one_line, spell

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

NARROWEST = 40
"""Columns of a terminal below which lines are cut by the terminal itself."""
LONGEST_NAME = 34
"""Characters of a row's name that other columns make way for; a longer one is folded, never cut, as rows of a sweep may
differ in its end alone."""


def console(
    grids: Sequence[Grid], problems: Sequence[str] = (), *, width: int, colour: bool, chosen: bool = False
) -> str:
    """All grids as text of a width, with the escape sequences of colours if asked for.

    Args:
        grids: of the leaderboard.
        problems: lines on what was skipped.
        width: in characters.
        colour: whether the terminal shows any (it is left out too where NO_COLOR is set).
        chosen: whether the reader named the columns: then the names of spaces are not worth one.
    """
    screen, file = screen_of(width, colour)
    for grid in grids:
        _show(screen, grid, chosen)
    if grids:
        screen.print(_legend([cell for grid in grids for row in grid.rows for cell in row]), style="dim")
    for problem in problems:
        screen.print(f"skipped {one_line(problem)}", style="yellow")
    return file.getvalue() or f"{EMPTY}\n"


def _legend(cells: Sequence[TableCell]) -> str:
    """How to read a cell, naming only the parts that some cell has."""
    half = any(not math.isnan(cell.half) for cell in cells)
    ranked = any(cell.ranks is not None for cell in cells)
    text = f"93.6{' ±2.5' if half else ''}{' 1-4' if ranked else ''}: the mean over seeds (n)"
    text += "; the half-width of its 95 % interval" if half else ""
    text += "; the ranks in its block that the runs can't exclude" if ranked else ""
    bold = " Green: may be the best of those that saw the same labels." if any(cell.bold for cell in cells) else ""
    return f"{text}.{bold} ↑: more is better, ↓: less. ≥: a lower bound."


def screen_of(width: int, colour: bool) -> tuple[Console, io.StringIO]:
    """A console of rich, and the file that it writes to.

    Args:
        width: in characters, at least `NARROWEST`.
        colour: whether the terminal shows any (it is left out too where NO_COLOR is set).
    """
    from rich.console import Console

    file = io.StringIO()
    screen = Console(
        file=file,
        width=max(width, NARROWEST),
        force_terminal=colour,
        no_color=not colour or "NO_COLOR" in os.environ,
        highlight=False,
        markup=False,
        emoji=False,
    )
    return screen, file


def _show(screen: Console, grid: Grid, chosen: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [*grid.rows, grid.chance] if grid.chance else grid.rows
    blocks = [*grid.blocks, ""] if grid.chance else grid.blocks
    on_side = not grid.columns[0].title  # a row a figure, and names of methods are headings
    columns = list(zip(grid.columns, *rows, strict=True))
    heads = [_heading(column, cells, on_side) for column, *cells in columns]
    texts = list(
        zip(*(_column(h, c, cells) for h, (c, *cells) in zip(heads, columns, strict=True)), strict=True)
    )  # by row
    widths = [
        max([*(len(line) for line in head.split("\n")), *(row[k].cell_len for row in texts)])
        for k, head in enumerate(heads)
    ]
    titles = [BLOCKS.get(block, "") if len(set(grid.blocks)) > 1 else "" for block in blocks]
    longest = max(widths[0], *map(len, titles))
    widths[0] = min(longest, LONGEST_NAME)
    shown = _fitting(grid, widths, screen.width, chosen)
    widths[0] = min(longest, max(widths[0], screen.width - sum(widths[k] + 2 for k in shown[1:])))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for k in shown:
        table.add_column(
            Text(heads[k], justify="left" if grid.columns[k].kind == "text" else "right"),
            no_wrap=bool(k),
            overflow="ellipsis" if k else "fold",
            max_width=widths[k],
            vertical="bottom",
        )
    for k, row in enumerate(texts):
        if titles[k] and titles[k] not in titles[:k]:
            table.add_row(Text(titles[k], style="dim italic"))
        name = Text("\n".join(wrap(row[0].plain, widths[0], subsequent_indent="  ", break_on_hyphens=False)))
        table.add_row(name, *(row[c] for c in shown[1:]), style="dim" if grid.chance and k == len(texts) - 1 else None)
    screen.print(Text(one_line(grid.title), style="bold"))
    screen.print(table)
    for number, note in enumerate(grid.notes, 1):
        screen.print(f"[{number}] {one_line(note)}", style="dim")
    for line in grid.foot:
        if line.startswith(("n = ", "[")):  # too few seeds to rank, marks in cells
            screen.print(one_line(line), style="dim")
    titles = [*(grid.columns[k].title for k in range(len(grid.columns)) if k not in shown), *grid.below]
    if hidden := list(dict.fromkeys(one_line(title).rstrip(" ↑↓") for title in titles)):
        more = "--format md shows all." if on_side else "Choose with --columns, or --transpose."
        screen.print(f"Not shown here: {', '.join(hidden)}. {more}", style="dim")
    screen.print()


def _heading(column: Column, cells: Sequence[TableCell], on_side: bool) -> str:
    """A heading in lines: measure and score, or a method's name (`on_side`) wrapped to the width of its figures."""
    title = one_line(column.title)
    if not on_side:
        return title.replace(" ", "\n", 1)
    figures = max(sum(part.cell_len for part in _text(cell, column)) for cell in cells)
    longest = max(map(len, title.split()), default=1)
    return "\n".join(wrap(title, max(figures, min(longest, LONGEST_NAME)), break_on_hyphens=False))


def _column(heading: str, column: Column, cells: Sequence[TableCell]) -> list[Text]:
    """Cells with their means below each other, and what follows these too."""
    from rich.text import Text

    parts = [_text(cell, column) for cell in cells]
    head = max(map(len, heading.split("\n"))) - max((tail.cell_len for _, tail in parts), default=0)
    width = max(head, *(text.cell_len for text, _ in parts))
    left = column.kind == "text"
    return [text + tail if left else Text(" " * (width - text.cell_len)) + text + tail for text, tail in parts]


def _text(cell: TableCell, column: Column) -> tuple[Text, Text]:
    """`93.6 ±2.5`, coloured by what the ranks say, and what follows: ` 1-4`, and numbers of notes in brackets."""
    from rich.text import Text

    style = "bold green" if cell.bold else ""
    plain = spell(replace(cell, ranks=None, space=""), column).replace(" ± ", " ±")
    tail = Text(style="dim green" if cell.bold else "dim")
    if cell.ranks is not None:
        low, high = cell.ranks
        tail.append(f" {low}" if low == high else f" {low}-{high}")
    if cell.space:
        tail.append(f" [{one_line(cell.space)}]")
    for note in cell.notes:
        tail.append(f" [{note}]")
    return Text(one_line(plain), style=style), tail


def _fitting(grid: Grid, widths: Sequence[int], width: int, chosen: bool) -> list[int]:
    """Positions of the columns that fit, in order.

    First the row's name, the first figure, leakage beside it and the training seconds, then the others as they stand;
    what only names the row comes last, and columns without a single entry never.
    """
    from disentangle_bench.evaluation.protocol import MEASURES

    def urgency(k: int) -> tuple[int, int]:
        column = grid.columns[k]
        if k == 0:
            return 0, k
        if column.kind in ("text", "count"):
            return 4 + chosen, k
        key = column.key or ("", "", "")
        if key[0] == COST:
            return (2 if key[1] == "train_seconds" else 3), k
        first = min((c for c, one in enumerate(grid.columns) if one.kind == "figure"), default=k)
        leak = key[0] in MEASURES and MEASURES[key[0]].name == LEAKAGE
        return (1 if k == first or leak else 3), k

    room, shown = width + 2, []
    for k in sorted(range(len(widths)), key=urgency):
        if k and all(row[k].value in (None, "") for row in grid.rows):
            continue
        if widths[k] + 2 <= room or not k:
            room -= widths[k] + 2
            shown.append(k)
    return sorted(shown)
