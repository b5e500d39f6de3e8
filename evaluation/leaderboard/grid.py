"""What a reader sees of one data set: headings, typed cells, notes. Formats only spell it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from disentangle_bench.evaluation.leaderboard.frame import Key
from disentangle_bench.evaluation.published import Published
from disentangle_bench.evaluation.records import UNKNOWN

BLOCKS = {
    "none": "no labels seen",
    "domain": "saw domain labels",
    "content": "saw content labels",
    UNKNOWN: "unknown which labels they saw",
}
"""What competes with what, in the order of the table."""


@dataclass(frozen=True)
class TableCell:
    """One cell; formats spell it by its column's kind.

    Attributes:
        value: text, count, cost or mean; None: not measured.
        half: half-width of the 95 % interval of a figure; NaN where there is none.
        ranks: first and last rank that the data don't exclude; None: too few seeds, or nothing to compete for.
        bold: whether it may be the best of its block.
        bound: whether it is a lower bound only.
        n: seeds of this figure where they are not the row's.
        notes: numbers of the notes that belong to it.
        untrusted: why its figure can't be trusted, where its space is wider than the score is valid for.
        other_protocol: whether it was measured under another protocol.
        space: that the figure is of, where it isn't `features`.
        share: of the way from the worst to the best that its figure can be; NaN: nobody asked.
    """

    value: float | str | None = None
    half: float = math.nan
    ranks: tuple[int, int] | None = None
    bold: bool = False
    bound: bool = False
    n: int | None = None
    notes: tuple[int, ...] = ()
    other_protocol: bool = False
    untrusted: str = ""
    space: str = ""
    share: float = math.nan


@dataclass(frozen=True)
class Column:
    """Heading; `key` says which figure or cost stands below it, None for what names the row."""

    title: str
    kind: Literal["text", "count", "cost", "figure", "published"] = "figure"
    key: Key | None = None
    unit: str = ""


SPACE_COLUMN = Column("space", "text")
"""Which space speaks in a row."""


@dataclass
class Grid:
    """A table of one data set.

    Attributes:
        dataset: its name.
        title: of the table.
        columns: headings.
        rows: cells, in the order of `columns`.
        blocks: of each row, which block it belongs to; rows of a block stand together.
        chance: the last row: what guessing gives.
        notes: numbered from 1.
        foot: what holds for all of it.
        main: whether it is what is read first, and not a table below it.
        below: headings of columns that stand in tables below it.
    """

    dataset: str
    title: str
    columns: list[Column]
    rows: list[list[TableCell]] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    chance: list[TableCell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    foot: list[str] = field(default_factory=list)
    main: bool = True
    below: list[str] = field(default_factory=list)

    def note(self, text: str) -> int:
        """Number of the note with this text, added where there is none yet."""
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1


class Figure(NamedTuple):
    """A line of a `leaderboard` frame, as far as a grid needs it."""

    method: str
    labels: str
    block: str
    row: str
    space: str
    measure: str
    score: str
    target: str
    n: int
    mean: float
    low: float
    high: float
    image_part: float
    rank_low: float
    rank_high: float
    best: bool
    ceiling: bool
    published: tuple[Published, ...]
    width: int
    missing: int
    reason: str

    @property
    def key(self) -> Key:
        """Which column it belongs to."""
        return self.measure, self.score, self.target
