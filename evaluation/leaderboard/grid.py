"""The table of one data set, independent of its format: headings, typed cells, notes."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from disentangle_bench.evaluation.leaderboard.frame import CHANCE, COST, LEAKAGE, PERCENT, Key, score_of
from disentangle_bench.evaluation.published import Published
from disentangle_bench.evaluation.records import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

BLOCKS = {
    "none": "no labels seen",
    "domain": "saw domain labels",
    "content": "saw content labels",
    UNKNOWN: "unknown which labels they saw",
}
"""Blocks of methods that compete, with their titles, in the order of the table."""


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

    @property
    def names(self) -> set[str]:
        """Names that select the column: its measure (`linear@1`, `linear`), figure (`linear@1 top1`) or cost."""
        if self.key is None:
            return set()
        measure, score, _ = self.key
        return {score, self.title} if measure == COST else {measure, measure.partition("@")[0], f"{measure} {score}"}


SPACE_COLUMN = Column("space", "text")
"""The column that names the space whose figures stand in a row."""
COST_COLUMNS = (
    Column("train s", "cost", (COST, "train_seconds", "")),
    Column("images/s", "cost", (COST, "images_per_second", "")),
    Column("params", "cost", (COST, "parameters", "")),
    Column("peak MB", "cost", (COST, "peak_memory_mb", "")),
)
"""The columns of costs that tables show."""


def column_keys(part: pd.DataFrame) -> list[Key]:
    """(measure, score, target) of the leaderboard's columns of one data set, in the protocol's order.

    Leakage comes right after the first measure. A score that no run has is left out, unless a measure has none at all:
    its columns say why.
    """
    from disentangle_bench.evaluation.protocol import MEASURES

    present = part.loc[part["measure"] != COST, ["measure", "score", "target"]]
    scores: dict[tuple[str, str], set[str]] = {}
    for title, score, target in present.itertuples(index=False, name=None):
        scores.setdefault((title, target), set()).add(score)
    keys = [
        (title, score, target)
        for title, measure in MEASURES.items()
        if not measure.matrix
        for target in sorted(target for measured, target in scores if measured == title)
        for score in measure.scores
        if score != CHANCE and (score in scores[title, target] or scores[title, target] == {""})
    ]
    beside = [key for key in keys if MEASURES[key[0]].name == LEAKAGE]
    rest = [key for key in keys if key not in beside]
    first = [key for key in rest if key[0] == rest[0][0]] if rest else []
    return [*first, *beside, *rest[len(first) :]]


def heading(key: Key, keys: Collection[Key]) -> str:
    """`linear@1 top1 % ↑`; with the target's name where the measure has several; no arrow where nothing is better."""
    title, score, target = key
    name = title if score == title.partition("@")[0] else f"{title} {score}"
    several = len({t for m, _, t in keys if m == title}) > 1
    known = score_of(title, score)
    unit = " %" if known.unit == PERCENT else ""
    arrow = {"up": " ↑", "down": " ↓", None: ""}[known.direction]
    return f"{name}{f' ({target})' if several else ''}{unit}{arrow}"


def figure_column(key: Key, keys: Collection[Key]) -> Column:
    """The column of a figure among those of `keys`."""
    return Column(heading(key, keys), key=key, unit=score_of(key[0], key[1]).unit)


def column_names(frame: pd.DataFrame) -> set[str]:
    """All that columns of a `leaderboard` frame can be asked for by."""
    keys = {key for _, part in frame.groupby("dataset") for key in column_keys(part)}
    return {name for column in (*COST_COLUMNS, *(Column("", key=key) for key in keys)) for name in column.names}


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
        """Key of the column that the figure belongs to."""
        return self.measure, self.score, self.target
