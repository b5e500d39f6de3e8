"""The leaderboard as one typed frame, and as text in each format. Equal records give equal bytes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle_bench.evaluation.leaderboard import dial
from disentangle_bench.evaluation.leaderboard.frame import (
    COST,
    block_of,
    exceeded_width,
    observations,
    provenance,
    score_of,
)
from disentangle_bench.evaluation.leaderboard.grid import Grid
from disentangle_bench.evaluation.leaderboard.lines import Line, Run, lines_of, one_encoder, same_images, terms_of
from disentangle_bench.evaluation.leaderboard.table import grids, space_grids
from disentangle_bench.evaluation.leaderboard.writers import formats, layout

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from disentangle_bench.evaluation.records import Problem, Record

GROUP = ["dataset", "method", "settings", "labels", "budget", "tuning", "space", "measure", "score", "target"]
"""Columns that identify a line of a `leaderboard` frame, by which it is sorted."""
STATISTICS = ["low", "high", "seed_part", "image_part", "df", "rank_low", "rank_high", "best"]


def leaderboard(
    found: Mapping[Path, Record], measures: Collection[str] = (), spaces: Collection[str] = ()
) -> pd.DataFrame:
    """One line for each (data set, method, settings, space, measure, score, target): see `summarise`.

    Args:
        found: path -> record, as `records.find_records` gives them; outcomes are read from beside them.
        measures: only these, by title (`linear@1`) or name (`linear`); all if empty.
        spaces: the spaces whose figures make the main table, instead of each method's own.

    Returns:
        The frame; `attrs["dials"]`: curves over the correlation of the data, see `dial`.
    """
    seen = observations(found)
    if measures:
        names = seen["measure"].str.partition("@")[0]
        kept = seen["measure"].isin(measures) | names.isin(measures) | (seen["measure"] == COST)
        seen = seen[kept.to_numpy()]
    table = summarise(seen, spaces)
    named = {dial.MEASURE, *(title for title in measures if title.startswith(f"{dial.MEASURE}@"))}
    if not measures or named & set(measures):
        table.attrs["dials"] = dial.curves(found, spaces)
    return table


def summarise(seen: pd.DataFrame, spaces: Collection[str] = ()) -> pd.DataFrame:
    """`leaderboard` of an `observations` frame.

    Columns besides those that name the line: `labels`, `budget` and `tuning` (what the method saw, what it was allowed,
    how it came to its options), `block` (what it competes with), `ceiling` (whether it is the table's ceiling), `row`
    (space of the row of the main table that the figure stands in; empty: in none), `n` (seeds with a figure), `mean`,
    `std` (ddof 1, over seeds; NaN for n < 2), all of `statistics.column` (ranks and `best` in the main table only),
    `seeds`, `runs` (hashes of the cells, the names of their folders), `values` (tuples, a seed each), `published`
    (figures of others to compare with, in the main table only), `width` (codes of the space, of the widest; 0: not
    recorded), `missing` (runs without this figure) and `reason` (why; empty where nothing is missing). Costs stand
    under measure `cost`, with an empty space; they have no interval.
    """
    import numpy as np
    import pandas as pd

    defined, absent = lines_of(seen)
    columns: dict[tuple, dict[Line, list[Run]]] = {}
    for line, runs in defined.items():
        columns.setdefault(line.column, {})[line] = runs
    lines: list[dict[str, Any]] = []
    for found in columns.values():
        rows = {line: line.row(spaces) for line in found}
        told = _statistics(found, rows)
        for line, runs in found.items():
            figures = np.array([run.value for run in runs])
            failed = absent.get(line._replace(score=""), [])
            own = {
                "row": rows[line],
                "n": len(runs),
                "mean": float(figures.mean()),
                "std": float(figures.std(ddof=1)) if len(runs) > 1 else math.nan,
                "seeds": tuple(run.seed for run in runs),
                "runs": tuple(run.run for run in runs),
                "values": tuple(run.value for run in runs),
                "published": next((run.published for run in runs if run.published), ()) if rows[line] else (),
                "width": max(run.width for run in runs),
                "missing": len(failed),
                "reason": failed[0] if failed else "",
            }
            lines.append(line._asdict() | own | told.get(line, {}))
    for line in absent.keys() - {line._replace(score="") for line in defined}:
        own = {"row": line.row(spaces), "n": 0, "width": 0, "missing": len(absent[line]), "reason": absent[line][0]}
        lines.append(line._asdict() | dict.fromkeys(("seeds", "runs", "values", "published"), ()) | own)
    told_of = ["seeds", "runs", "values", "published", "width", "missing", "reason"]
    order = [*GROUP, "block", "ceiling", "row", "n", "mean", "std", *STATISTICS, *told_of]
    table = pd.DataFrame.from_records(lines, columns=order)
    table["block"] = [block_of(labels) for labels in table["labels"]]
    table["best"] = [best is True for best in table["best"]]  # where nothing was told it is not
    kinds = dict.fromkeys(("mean", "std", *STATISTICS[:-1]), float) | dict.fromkeys(("n", "width", "missing"), int)
    table = table.astype(kinds).sort_values(GROUP, kind="stable", ignore_index=True)
    table.attrs["problems"] = seen.attrs.get("problems", [])
    return table


def _statistics(found: Mapping[Line, Sequence[Run]], rows: Mapping[Line, str]) -> dict[Line, dict[str, Any]]:
    """`statistics.column` of one column, by line.

    Of the main table's lines together, and apart from them of the others. A line whose space is wider than its score
    is valid for competes with none.
    """
    from disentangle_bench.evaluation.leaderboard import statistics
    from disentangle_bench.evaluation.measures.base import NO_SCORE

    first = next(iter(found))
    if first.measure == COST:
        return {}
    score = score_of(first.measure, first.score)
    outcomes = same_images({line: terms_of(runs) for line, runs in found.items()})
    described = score is not NO_SCORE and score.direction is None
    told: dict[Line, dict[str, Any]] = {}
    ranked: list[Line] = []
    outside: list[Line] = []
    others: list[Line] = []
    for line, runs in found.items():
        wide = exceeded_width(line.measure, line.score, max(run.width for run in runs)) is not None
        (others if not rows[line] else outside if wide else ranked).append(line)
    # of what is only described the spread goes with the size: rows tell nothing of each other's
    together = [[line] for line in found] if described else [ranked, outside, others]
    for lines in together:
        table = statistics.column(
            {str(k): outcomes[line] for k, line in enumerate(lines)},
            down=score.direction == "down",
            blocks={str(k): block_of(line.labels) for k, line in enumerate(lines)},
            fixed={str(k) for k, line in enumerate(lines) if _is_fixed(found[line], outcomes[line])},
        )
        competes = score.direction is not None and lines is ranked
        kept = STATISTICS if competes else STATISTICS[: STATISTICS.index("rank_low")]
        for line, *values in zip(lines, *(table[name].tolist() for name in kept), strict=True):
            told[line] = dict(zip(kept, values, strict=True))
    return told


def _is_fixed(runs: Sequence[Run], outcomes: np.ndarray) -> bool:
    """Whether no seed changes a line: one encoder, judged alike each time."""
    return one_encoder(runs) and bool((outcomes == outcomes[0]).all())


@dataclass(frozen=True)
class View:
    """The part of the tables that is shown, in every format but csv.

    Attributes:
        columns: only these, see `table.grids`; all if empty.
        sort: column that rows are sorted by inside their blocks; the first if empty.
        transpose: a row a figure and a column a method.
    """

    columns: Collection[str] = ()
    sort: str = ""
    transpose: bool = False

    def grids(self, frame: pd.DataFrame) -> list[Grid]:
        """The leaderboard of each data set, and below it further columns and which space tells what.

        Where columns were chosen, these alone. First come curves over the correlation of the data, if there are any.
        """
        below = {} if self.columns else {grid.dataset: grid for grid in space_grids(frame)}
        asked = not self.columns or bool({dial.MEASURE, dial.AREA} & set(self.columns))
        curves = {grid.dataset: grid for grid in dial.grids(frame.attrs.get("dials", []), frame)} if asked else {}
        found = [
            grid
            for board in grids(frame, self.columns, self.sort)
            for grid in (curves.get(board.dataset), *self._parts(board), below.get(board.dataset))
            if grid is not None
        ]
        return [formats.transposed(grid) for grid in found] if self.transpose else found

    def _parts(self, board: Grid) -> list[Grid]:
        """All columns, in tables that a page has room for; those that were chosen, or all of them as rows, in one."""
        if self.transpose:
            return [board]
        return [layout.without_space(board)] if self.columns else layout.tables(board)


ALL = View()
"""Every column, sorted by the first."""


def to_markdown(frame: pd.DataFrame, problems: Sequence[Problem] = (), view: View = ALL) -> str:
    """One table a data set, with the notes that its figures need.

    Args:
        frame: of `leaderboard`.
        problems: records that were skipped.
        view: what of it is shown.
    """
    return formats.markdown(view.grids(frame), _skipped(frame, problems))


def to_console(
    frame: pd.DataFrame, problems: Sequence[Problem] = (), view: View = ALL, *, width: int = 80, colour: bool = False
) -> str:
    """The main table of each data set for a terminal, with as many columns as fit; arguments as of `to_markdown`."""
    from disentangle_bench.evaluation.leaderboard.writers.console import console

    shown = [grid for grid in view.grids(frame) if grid.main]
    skipped = _skipped(frame, problems)
    return console(shown, skipped, width=width, colour=colour, chosen=bool(view.columns))


def document(found: Mapping[Path, Record]) -> str:
    """The leaderboard as a board's markdown file, under the commands, commits and hardware that gave it."""
    head = provenance(found.values()) + "- Records: a folder a run, in [records](records)\n"
    return f"# Leaderboard\n\n{head}\n{to_markdown(leaderboard(found))}"


def to_latex(frame: pd.DataFrame, view: View = ALL) -> str:
    """All tables as LaTeX with booktabs; arguments as of `to_markdown`."""
    return formats.latex(view.grids(frame))


def to_html(frame: pd.DataFrame, view: View = ALL) -> str:
    """All tables as a fragment of HTML; arguments as of `to_markdown`."""
    return formats.html(view.grids(frame))


def _skipped(frame: pd.DataFrame, problems: Sequence[Problem]) -> list[str]:
    return [*(problem.reason for problem in problems), *frame.attrs.get("problems", [])]
