"""A `leaderboard` frame as grids: the main table of each data set, and which space tells what."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from disentangle_bench.evaluation.leaderboard.foot import foot
from disentangle_bench.evaluation.leaderboard.frame import (
    CHANCE,
    INVARIANCE,
    LEAKAGE,
    PERCENT,
    Key,
    exceeded_width,
    score_of,
)
from disentangle_bench.evaluation.leaderboard.grid import (
    BLOCKS,
    COST_COLUMNS,
    SPACE_COLUMN,
    Column,
    Figure,
    Grid,
    TableCell,
    column_keys,
    figure_column,
)
from disentangle_bench.evaluation.measures.base import MOST_FREQUENT
from disentangle_bench.evaluation.measures.domain import LOWER_BOUND
from disentangle_bench.evaluation.published import Published
from disentangle_bench.evaluation.records import SPACE

if TYPE_CHECKING:
    import pandas as pd

RISING = "rising"
"""Score that tells what the last doubling of a probe's images added."""
WORST, LEFT_OUT = "worst_group", "groups_left_out"
"""Scores of the worst group, and the one that tells how many groups they don't count."""


def grids(frame: pd.DataFrame, columns: Collection[str] = (), sort: str = "") -> list[Grid]:
    """The leaderboard of each data set of a `leaderboard` frame, in alphabetical order.

    Args:
        frame: of the leaderboard.
        columns: only these: a measure (`linear@1`), a figure (`linear@1 top1`) or a cost (`train_seconds`).
        sort: column that rows are sorted by inside their blocks.
    """
    return [_Board(str(dataset), part).grid(columns, sort) for dataset, part in frame.groupby("dataset", sort=True)]


def space_grids(frame: pd.DataFrame) -> list[Grid]:
    """Spaces by targets: a grid for each data set where targets were read off spaces or a method has several spaces."""
    boards = [_Board(str(dataset), part).space_grid() for dataset, part in frame.groupby("dataset", sort=True)]
    return [grid for grid in boards if grid is not None]


class _Row(NamedTuple):
    """A row of the main table: a method, and the space whose figures stand for it."""

    method: str
    space: str


class _Board:
    """The figures of one data set, by method, space and column."""

    def __init__(self, dataset: str, part: pd.DataFrame):
        self.dataset, self.part = dataset, part
        self.keys = column_keys(part)
        lines = zip(*(part[name].tolist() for name in Figure._fields), strict=True)
        self.figures = [Figure._make(line) for line in lines]
        self.found = {(f.method, f.space, f.key): f for f in self.figures}
        self.shown = {(_Row(f.method, f.row), f.key): f for f in self.figures if f.row}
        self.runs: dict[str, int] = {}
        self.labels: dict[str, tuple[str, str]] = {}
        for f in self.figures:
            self.runs[f.method] = max(self.runs.get(f.method, 0), f.n + f.missing)
            self.labels[f.method] = (f.labels, f.block)

    def grid(self, columns: Collection[str], sort: str) -> Grid:
        """The main table: a row a method, in blocks."""
        known = [*(figure_column(key, self.keys) for key in self.keys), *COST_COLUMNS]
        chosen = [c for c in known if not columns or c.names & set(columns)]
        chosen = [beside for c in chosen for beside in (c, self._published_beside(c)) if beside is not None]
        names = [Column("method", "text"), SPACE_COLUMN, Column("labels seen", "text")]
        grid = Grid(self.dataset, self.dataset, [*names, Column("n", "count"), *chosen])
        first = next((c.key for c in known if sort in c.names), None)
        for row in self._rows(first or next((c.key for c in chosen if c.key), None)):
            labels, block = self.labels[row.method]
            cells = [
                TableCell(row.method),
                TableCell(self._spaces(row)),
                TableCell(labels),
                TableCell(self.runs[row.method]),
            ]
            grid.rows.append([*cells, *(self._cell(grid, row, c) for c in chosen)])
            grid.blocks.append(block)
        chance = [TableCell(self._chance(c.key) if c.kind == "figure" and c.key else None) for c in chosen]
        if any(cell.value is not None for cell in chance):
            grid.chance = [TableCell(CHANCE), TableCell(""), TableCell(""), TableCell(), *chance]
        keys = [c.key for c in chosen if c.kind == "figure" and c.key]
        marks = {cell.space for row in grid.rows for cell in row} - {""}
        grid.foot = foot(self.part, list(self.shown.values()), self.runs, keys, self._chance, sorted(marks))
        return grid

    def space_grid(self) -> Grid | None:
        """Spaces by targets; best of a column means nothing here: what should be told depends on the space."""
        from disentangle_bench.evaluation.protocol import MEASURES

        content = self.keys[:1]
        beside = [key for key in self.keys if MEASURES[key[0]].name == LEAKAGE]
        measured = {f.key for f in self.figures}
        separate = [
            (t, s, target) for t, m in MEASURES.items() if m.matrix for s in m.scores for target in self._targets(t)
        ]
        spaces = sorted(
            {(f.method, f.space) for f in self.figures if f.space}, key=lambda p: (p[0], p[1] != "features", p)
        )
        if not separate and len(spaces) == len(self.runs):
            return None
        keys = [key for key in (*separate, *content, *beside) if key in measured]
        columns = []
        for key in keys:
            column = figure_column(key, self.keys)
            alone = f"{key[2]}{' %' if column.unit == PERCENT else ''}"
            columns.append(replace(column, title=alone if key in separate else column.title.rstrip(" ↑↓")))
        names = [Column("method", "text"), Column("space", "text")]
        grid = Grid(self.dataset, f"{self.dataset}: which space tells what", [*names, *columns], main=False)
        for method, space in spaces:
            found = [self.found.get((method, space, key)) for key in keys]
            if any(f is not None and f.n for f in found):
                cells = [
                    TableCell() if f is None or not f.n else TableCell(f.mean, (f.high - f.low) / 2) for f in found
                ]
                grid.rows.append([TableCell(method), TableCell(space), *cells])
                grid.blocks.append("")
        names_of = ", ".join(dict.fromkeys(key[0] for key in separate))
        grid.foot = [
            (
                f"{names_of}: how well a linear probe reads each target: 0 as a constant guess, 1 perfectly. "
                if separate
                else ""
            )
            + "Every space of every method, with the half-width of the 95 % interval; nothing is ranked."
        ]
        return grid if keys else None

    def _targets(self, title: str) -> list[str]:
        return sorted({f.target for f in self.figures if f.measure == title and f.n})

    def _rows(self, first: Key | None) -> list[_Row]:
        """Rows by block, then by a column (the best first, rows without a figure last), then by name."""
        order = list(BLOCKS)
        up = first is not None and score_of(first[0], first[1]).direction == "up"

        def rank(row: _Row) -> tuple:
            found = self.shown.get((row, first)) or self.found.get((row.method, "", first)) if first else None
            mean = math.inf if found is None or not found.n else -found.mean if up else found.mean
            return order.index(self.labels[row.method][1]), mean, row

        return sorted({row for row, _ in self.shown}, key=rank)

    def _spaces(self, row: _Row) -> str:
        """`features`, or `features; invariance: content` where another space speaks on what should not be there."""
        from disentangle_bench.evaluation.protocol import MEASURES

        others = {
            f.space for (of, key), f in self.shown.items() if of == row and MEASURES[key[0]].aspect == INVARIANCE
        } - {row.space}
        return row.space + "".join(f"; invariance: {space}" for space in sorted(others))

    def _published_beside(self, column: Column) -> Column | None:
        """The column of what others have published of a figure, if anybody has."""
        if column.kind != "figure" or not any(f.published for f in self.shown.values() if f.key == column.key):
            return None
        return replace(column, title=f"{column.title.rstrip(' ↑↓')} published", kind="published")

    def _cell(self, grid: Grid, row: _Row, column: Column) -> TableCell:
        if column.key is None:
            return TableCell()
        if column.kind == "published":
            own = self.shown.get((row, column.key))
            return self._published(grid, own.published if own else ())
        if column.kind == "cost":
            cost = self.found.get((row.method, "", column.key))
            return TableCell(None if cost is None else cost.mean)
        title, _, target = column.key
        what = f"{title} of {target}" if target else title
        found = self.shown.get((row, column.key))
        if found is None:
            undefined = self.shown.get((row, (title, "", target)))
            return TableCell(notes=(grid.note(f"{what}: {undefined.reason}"),) if undefined else ())
        notes: tuple[int, ...] = ()
        if found.missing:
            notes = (grid.note(f"{what}: {found.missing} of the runs have none: {found.reason}"),)
        rising = self.shown.get((row, (title, RISING, target)))
        bound = rising is not None and rising.mean > LOWER_BOUND
        if bound:
            text = "Still rising with the number of images that the probe learns from: a lower bound."
            notes = (*notes, grid.note(text))
        left_out = self.shown.get((row, (title, LEFT_OUT, target)))
        if left_out is not None and left_out.mean > 0 and column.key[1].endswith(WORST):
            notes = (*notes, grid.note(f"{left_out.mean:g} groups have too few test images to count."))
        ranks = None if math.isnan(found.rank_low) else (int(found.rank_low), int(found.rank_high))
        fewer = None if found.n == self.runs[row.method] else found.n
        half, untrusted = (found.high - found.low) / 2, _untrusted(found)
        if untrusted:
            notes = (*notes, grid.note(untrusted))
        return TableCell(
            found.mean, half, ranks, found.best, bound, fewer, notes, untrusted=untrusted, space=_mark(found)
        )

    def _published(self, grid: Grid, figures: tuple[Published, ...]) -> TableCell:
        """One that was measured as here, if there is one; the notes tell of all."""
        if not figures:
            return TableCell()
        first = next((one for one in figures if one.comparable), figures[0])
        texts = [f"{'' if one == first else f'{one.value:g}, '}{one.source}; {one.protocol_text}." for one in figures]
        notes = tuple(grid.note(f"Published: {text}") for text in texts)
        return TableCell(first.value, other_protocol=not first.comparable, notes=notes)

    def _chance(self, key: Key) -> float | None:
        """Chance level of a figure: as the protocol knows it, or as recorded beside the figure."""
        title, score, target = key
        chance = score_of(title, score).chance
        try:
            return float(chance)
        except ValueError:
            recorded = [f.mean for f in self.figures if f.key == (title, CHANCE, target) and f.n]
            told = CHANCE in chance or chance == MOST_FREQUENT
            return float(np.mean(recorded)) if recorded and told else None


def _mark(figure: Figure) -> str:
    """The space of a figure, where a reader would take it for one of `features`."""
    from disentangle_bench.evaluation.protocol import MEASURES

    made_for_it = MEASURES[figure.measure].spaces is not None
    return "" if made_for_it or figure.space == SPACE else figure.space


def _untrusted(figure: Figure) -> str:
    """A note on a figure whose space is wider than its score is valid for; empty for any other."""
    most = exceeded_width(figure.measure, figure.score, figure.width)
    if most is None:
        return ""
    return (
        f"{figure.measure} {figure.score}: the space is wider than the {most} codes up to which the score follows what "
        "it should (results/measures.md); it is not ranked."
    )
