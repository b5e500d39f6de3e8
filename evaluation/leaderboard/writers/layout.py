"""All columns of a data set as tables that a page has room for: what is compared first, then the rest below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from disentangle_bench.evaluation.leaderboard.frame import score_of
from disentangle_bench.evaluation.leaderboard.grid import SPACE_COLUMN, Column, Grid, TableCell

HEADLINE, MOST = 7, 9
"""Most figures of the table that is read first, and of one below it."""


def tables(grid: Grid) -> list[Grid]:
    """The leaderboard of a data set in several tables with the same rows.

    First what methods are compared by: their labels, seeds, and of each measure its first score in which one direction
    is better; all of these scores if they are few. Below it all other figures, then spaces and costs.

    Args:
        grid: with every column.
    """
    figures = [k for k, column in enumerate(grid.columns) if column.kind in ("figure", "published")]
    first = _headline(grid.columns)
    shown = [k for k in figures if grid.columns[k].key in first]
    rest = [k for k in figures if k not in shown]
    costs = [k for k, column in enumerate(grid.columns) if column.kind == "cost"]
    names = [k for k in range(len(grid.columns)) if k not in (*figures, *costs)]
    found = [without_space(_part(grid, [*names, *shown]))]
    found[0].below = [grid.columns[k].title for k in (*rest, *costs)]
    for k in range(0, len(rest), MOST):
        found.append(_part(grid, [*_row_names(grid), *rest[k : k + MOST]], "further figures"))
    if costs:
        spaces = [k for k, column in enumerate(grid.columns) if column == SPACE_COLUMN]
        found.append(_part(grid, [0, *spaces, *costs], "spaces and costs"))
    return found


def without_space(grid: Grid) -> Grid:
    """The grid without its column of spaces (figures are marked with theirs), unless only that tells rows apart."""
    kept = [k for k, column in enumerate(grid.columns) if column != SPACE_COLUMN or k in _row_names(grid)]
    return _part(grid, kept)


def _row_names(grid: Grid) -> list[int]:
    """Columns that tell one row from another."""
    methods = [row[0].value for row in grid.rows]
    spaces = [k for k, column in enumerate(grid.columns) if column == SPACE_COLUMN]
    return [0] if len(set(methods)) == len(methods) else [0, *spaces]


def _headline(columns: Sequence[Column]) -> list[tuple[str, str, str]]:
    """Keys of the figures that stand in the first table."""
    keys = [column.key for column in columns if column.kind == "figure" and column.key]
    directed = [key for key in keys if score_of(key[0], key[1]).direction]
    if len(directed) <= HEADLINE:
        return directed
    return [next(scores) for _, scores in groupby(directed, key=lambda key: (key[0], key[2]))][:HEADLINE]


def _part(grid: Grid, kept: Sequence[int], title: str = "") -> Grid:
    """Some columns of a table, with the notes that they need."""
    made = replace(
        grid,
        title=f"{grid.title}: {title}" if title else grid.title,
        columns=[grid.columns[k] for k in kept],
        rows=[],
        notes=[],
        chance=[grid.chance[k] for k in kept] if grid.chance else [],
        foot=[] if title else list(grid.foot),
        main=not title,
    )
    if all(cell.value in (None, "") for cell in made.chance[1:]):
        made.chance = []

    def renumbered(cell: TableCell) -> TableCell:
        return replace(cell, notes=tuple(made.note(grid.notes[number - 1]) for number in cell.notes))

    made.rows = [[renumbered(row[k]) for k in kept] for row in grid.rows]
    return made
