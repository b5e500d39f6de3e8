"""What a reader sees of one data set: header, cells, notes. Formats only spell it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from disentangle_bench.evaluation.leaderboard.budgets import equality
from disentangle_bench.evaluation.leaderboard.frame import COST

if TYPE_CHECKING:
    import pandas as pd

SHOWN_COSTS = {
    "train_seconds": "train s",
    "images_per_second": "images/s",
    "parameters": "params",
    "peak_memory_mb": "peak MB",
}
"""Costs that the tables show, and their headings."""
PERCENT = frozenset(
    {"top1", "top5", "balanced", "acc", "linear", "mlp", "chance", "recall@1", "recall@5"}
    | {"worst", "worst_domain", "worst_group", "gap", "eval_accuracy"}
)
"""Scores that are a share of images, shown in percent."""
ABSENT, TIE = "\N{EN DASH}", "\N{ALMOST EQUAL TO}"

Key = tuple[str, str, str]
"""(measure, score, target)."""


class Line(NamedTuple):
    """What a row of the table is about: one space of one method under one setting."""

    method: str
    settings: str
    labels: str
    space: str

    @property
    def saw_content(self) -> bool:
        """Whether the method was trained with the labels that it is scored on."""
        return "content" in self.labels.split(", ")


class Figure(NamedTuple):
    """A line of a `leaderboard` frame, as far as the grid needs it."""

    settings: str
    space: str
    measure: str
    score: str
    target: str
    n: int
    mean: float
    std: float
    seeds: str
    values: str
    missing: int
    reason: str


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says, not escaped.
        bold: whether it is the best of its column.
        tie: whether it can't be told from the best of its column.
        notes: numbers of the notes that belong to it.
        value: what it sorts by; None sorts last.
    """

    text: str
    bold: bool = False
    tie: bool = False
    notes: tuple[int, ...] = ()
    value: float | str | None = None


@dataclass(frozen=True)
class Column:
    """Heading; `key` says which figure stands below it, None for what names the row."""

    title: str
    numeric: bool = True
    key: Key | None = None


@dataclass
class Grid:
    """The table of one data set; `notes` are numbered from 1, `foot` holds for all of it."""

    dataset: str
    columns: list[Column]
    rows: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    foot: list[str] = field(default_factory=list)

    def note(self, text: str) -> int:
        """Number of the note with this text, added where there is none yet."""
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1


def figure(mean: float, std: float, score: str) -> str:
    """`93.1 ± 0.4`: percent with one decimal for shares, else three decimals; no spread where there is none."""
    scale, digits = (100, 1) if score in PERCENT else (1, 3)
    text = f"{mean * scale:.{digits}f}"
    return text if math.isnan(std) else f"{text} ± {std * scale:.{digits}f}"


def amount(value: float) -> str:
    """A cost: thousands set apart, three digits for small ones."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def column_keys(part: pd.DataFrame, matrix: bool = False) -> list[Key]:
    """(measure, score, target) of the columns of one data set, in the protocol's order.

    Args:
        part: of the frame.
        matrix: the columns of the table that says which space tells what, instead of the leaderboard's.
    """
    from disentangle_bench.evaluation.protocol import MEASURES

    present = part.loc[part["measure"] != COST, ["measure", "target"]].drop_duplicates()
    keys: list[Key] = []
    for title, measure in MEASURES.items():
        if measure.matrix != matrix:
            continue
        for target in sorted(present.loc[present["measure"] == title, "target"]):
            keys += [(title, score, target) for score in measure.scores]
    return keys


def rises(key: Key) -> bool:
    """Whether more is better."""
    from disentangle_bench.evaluation.protocol import MEASURES

    return MEASURES[key[0]].scores[key[1]].direction == "up"


def heading(key: Key, keys: list[Key]) -> str:
    """`linear@1 top1 % ↑`; with the target's name where the measure has several."""
    title, score, target = key
    several = len({t for m, _, t in keys if m == title}) > 1
    return f"{title} {score}{f' ({target})' if several else ''}{' %' if score in PERCENT else ''} {'↓↑'[rises(key)]}"


def grids(frame: pd.DataFrame) -> list[Grid]:
    """One grid a data set of a `leaderboard` frame, in alphabetical order."""
    return [_Board(str(dataset), part).grid() for dataset, part in frame.groupby("dataset", sort=True)]


def matrices(frame: pd.DataFrame) -> list[Grid]:
    """Which space tells which target: a grid for each data set where that was measured."""
    boards = [_Board(str(dataset), part, matrix=True) for dataset, part in frame.groupby("dataset", sort=True)]
    return [board.matrix() for board in boards if board.keys]


class _Board:
    """The figures of one data set, by row and column."""

    def __init__(self, dataset: str, part: pd.DataFrame, matrix: bool = False):
        self.dataset, self.part = dataset, part
        self.keys = column_keys(part, matrix)
        figures = map(Figure._make, zip(*(part[name].tolist() for name in Figure._fields), strict=True))
        self.found = {(f.settings, f.space, (f.measure, f.score, f.target)): f for f in figures}
        runs = (part["n"] + part["missing"]).groupby(part["settings"]).max()
        self.runs = {str(settings): int(n) for settings, n in runs.items()}
        names = part.loc[part["measure"] != COST, list(Line._fields)].drop_duplicates()
        self.lines = sorted((Line(*map(str, values)) for values in names.to_numpy()), key=self._rank)

    def mean(self, line: Line, key: Key) -> float | None:
        """Mean over seeds; None where nobody measured it or it is undefined."""
        found = self.found.get((line.settings, line.space, key))
        return found.mean if found is not None and found.n else None

    def _rank(self, line: Line) -> tuple:
        """By the first column, best first, rows without it last; ties by name."""
        mean = self.mean(line, self.keys[0]) if self.keys else None
        sign = -1 if self.keys and rises(self.keys[0]) else 1
        return (math.inf if mean is None else sign * mean, line)

    def _best(self, key: Key) -> str | None:
        """The best mean as shown, of methods that saw no content label; equal as shown is a tie, both are best."""
        means = [m for line in self.lines if not line.saw_content and (m := self.mean(line, key)) is not None]
        if not means or key[1] == "chance":
            return None
        return figure(max(means) if rises(key) else min(means), math.nan, key[1])

    def _ties(self, key: Key) -> set[Line]:
        """Rows that a paired test over common seeds can't tell from the best one (that saw no content label)."""
        from disentangle_bench.evaluation.leaderboard.paired import SAME, holm, paired_tests, verdicts

        own = {line: m for line in self.lines if not line.saw_content and (m := self.mean(line, key)) is not None}
        if not own or key[1] == "chance":
            return set()
        top = (max if rises(key) else min)(own, key=lambda line: own[line])
        best, others = self._seeds(top, key), [line for line in own if line != top]
        figures = [self._seeds(line, key) for line in others]
        gaps = [np.array([mine[s] - best[s] for s in sorted(mine.keys() & best.keys())]) for mine in figures]
        tests = paired_tests(gaps)
        words = verdicts(holm(tests["p"]), tests["difference"], tests["n"])
        return {line for line, word, n in zip(others, words, tests["n"], strict=True) if word == SAME and n > 1}

    def _seeds(self, line: Line, key: Key) -> dict[str, float]:
        found = self.found[line.settings, line.space, key]
        return dict(zip(found.seeds.split(), map(float, found.values.split()), strict=True))

    def grid(self) -> Grid:
        """Header, rows, notes and foot."""
        columns = [Column("method", False), Column("space", False), Column("labels seen", False), Column("n")]
        columns += [Column(heading(key, self.keys), key=key) for key in self.keys]
        columns += [Column(title, key=(COST, score, "")) for score, title in SHOWN_COSTS.items()]
        grid = Grid(self.dataset, columns)
        best = {key: self._best(key) for key in self.keys}
        ties = {key: self._ties(key) for key in self.keys}
        for line in self.lines:
            runs = self.runs[line.settings]
            cells = [Cell(text, value=text) for text in (line.method, line.space, line.labels)]
            cells.append(Cell(str(runs), value=runs))
            cells += [self._cell(grid, line, key, best[key], line in ties[key]) for key in self.keys]
            for score in SHOWN_COSTS:
                cost = self.mean(line._replace(space=""), (COST, score, ""))
                cells.append(Cell(ABSENT) if cost is None else Cell(amount(cost), value=cost))
            grid.rows.append(cells)
        grid.foot = self._foot()
        return grid

    def matrix(self) -> Grid:
        """Spaces by targets; best of a column means nothing here: what should be told depends on the space."""
        columns = [Column("method", False), Column("space", False), *(Column(key[2], key=key) for key in self.keys)]
        grid = Grid(f"{self.dataset}: which space tells what", columns)
        for line in sorted(self.lines, key=lambda line: (line.method, line.settings, line.space != "features", line)):
            if any(self.found.get((line.settings, line.space, key)) for key in self.keys):
                cells = [Cell(text, value=text) for text in (line.method, line.space)]
                grid.rows.append(cells + [self._cell(grid, line, key, None, False) for key in self.keys])
        measures = ", ".join(dict.fromkeys(key[0] for key in self.keys))
        grid.foot = [
            f"{measures}: how well a linear probe reads each target from each space, on the test split: 0 as a "
            "constant guess, 1 perfectly."
        ]
        return grid

    def _cell(self, grid: Grid, line: Line, key: Key, best: str | None, tie: bool) -> Cell:
        title, score, target = key
        found = self.found.get((line.settings, line.space, key))
        mean = self.mean(line, key)
        if found is None or mean is None:
            undefined = self.found.get((line.settings, line.space, (title, "", target)))
            why = (grid.note(f"{title} of {target}: {undefined.reason}"),) if undefined is not None else ()
            return Cell(ABSENT, notes=why)
        text = figure(mean, found.std, score)
        notes: tuple[int, ...] = ()
        if found.n != self.runs[line.settings]:
            text += f" (n={found.n})"
        if found.missing:
            notes = (grid.note(f"{title} of {target}: {found.missing} of the runs have none: {found.reason}"),)
        bold = not line.saw_content and figure(mean, math.nan, score) == best
        return Cell(text, bold, tie and not bold, notes, mean)

    def _foot(self) -> list[str]:
        from disentangle_bench.evaluation.protocol import MEASURES

        foot = []
        if any(n > 1 for n in self.runs.values()):
            foot.append(
                "± is the standard deviation (ddof = 1) over the n runs of a row, which differ in the training seed "
                "only: data split and protocol are the same."
            )
        if any(n == 1 for n in self.runs.values()):
            foot.append("n = 1: one run, so neither a spread nor an interval.")
        foot.append(f"Budget: {_budgets(self.part)}.")
        if spent := equality(self.part):
            foot.append(f"Spent by the methods that train, {spent}.")
        foot.append(
            f"Bold: best as shown of the methods that saw no content labels. {TIE}: not distinguishable from the best "
            "one (paired t-test over common seeds, Holm's correction over the column, 5 %; n = 1 is not tested). "
            f"{ABSENT}: not measured."
        )
        if unknown := sorted(set(self.part["measure"]) - set(MEASURES) - {COST}):
            foot.append(f"In the csv only, unknown to this version of the protocol: {', '.join(unknown)}.")
        return foot


def _budgets(part: pd.DataFrame) -> str:
    """Who was allowed how much, so that unequal budgets are seen."""
    allowed = {str(budget): sorted(set(methods)) for budget, methods in part.groupby("budget")["method"]}
    if len(allowed) == 1:
        return f"{next(iter(allowed))} for every method"
    return "; ".join(f"{budget} for {', '.join(methods)}" for budget, methods in allowed.items())
