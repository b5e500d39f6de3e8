"""The leaderboard as a frame, and as text in four formats. Equal records give equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from disentangle_bench.evaluation.leaderboard import formats
from disentangle_bench.evaluation.leaderboard.frame import Record, observations
from disentangle_bench.evaluation.leaderboard.table import Grid, grids, matrices

if TYPE_CHECKING:
    import pandas as pd

    from disentangle_bench.evaluation.records import Problem

GROUP = ["dataset", "method", "settings", "labels", "budget", "space", "measure", "score", "target"]
LEVEL = 0.95


def leaderboard(records: Iterable[Record], interval: Literal["t", "bootstrap"] = "t") -> pd.DataFrame:
    """One line for each (data set, method, settings, space, measure, score, target).

    Columns besides these: `labels` and `budget` (what the method saw, what it was allowed), `n` (seeds with a figure),
    `mean`, `std` (ddof 1; NaN for n < 2), `low`, `high` (95 % interval of the mean, by Student's t or, if `interval`
    says so, by bootstrap over the seeds; NaN for n < 2),
    `seeds`, `runs` (hashes of the cells, the names of their folders), `values` (a figure a seed, in the order of
    `seeds`), `missing` (runs without this figure) and `reason` (why; empty where nothing is missing). Costs stand under
    measure `cost`, with an empty space.
    """
    return summarise(observations(records), interval)


def summarise(seen: pd.DataFrame, interval: Literal["t", "bootstrap"] = "t") -> pd.DataFrame:
    """`leaderboard` of an `observations` frame."""
    import numpy as np
    import pandas as pd
    from scipy.stats import t

    defined = seen[seen["value"].notna()]
    groups = defined.groupby(GROUP, sort=True)
    table = groups["value"].agg(n="size", mean="mean", std="std").reset_index()
    codes = groups.ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    ends = np.append(starts, len(order))[1:]
    texts = {"seeds": defined["seed"].astype(str), "runs": defined["run"], "values": defined["value"].map(repr)}
    for name, column in texts.items():
        parts = column.to_numpy(object)[order].tolist()
        table[name] = [" ".join(parts[a:b]) for a, b in zip(starts, ends, strict=True)]
    half = t.ppf((1 + LEVEL) / 2, np.maximum(table["n"] - 1, 1)) * table["std"] / np.sqrt(table["n"])
    table["low"], table["high"] = table["mean"] - half, table["mean"] + half
    if interval == "bootstrap":
        from disentangle_bench.evaluation.leaderboard import paired as statistics

        bounds = [statistics.interval([float(v) for v in text.split()], method="bootstrap") for text in table["values"]]
        table["low"], table["high"] = (np.array(side) for side in zip(*bounds, strict=True))
    absent = seen[seen["value"].isna()]
    key = [name for name in GROUP if name != "score"]
    absent = absent.groupby(key, sort=True).agg(missing=("run", "size"), reason=("reason", "first")).reset_index()
    table = table.merge(absent, on=key, how="outer")
    table["score"] = table["score"].fillna("")
    table = table.fillna({"n": 0, "missing": 0, "seeds": "", "runs": "", "values": "", "reason": ""})
    table = table.astype({"n": int, "missing": int})
    columns = [*GROUP, "n", "mean", "std", "low", "high", "seeds", "runs", "values", "missing", "reason"]
    return pd.DataFrame(table[columns].sort_values(GROUP, kind="stable", ignore_index=True))


def to_csv(frame: pd.DataFrame) -> str:
    """The whole frame, a line a figure, every score that was measured; full precision."""
    return frame.to_csv(index=False, lineterminator="\n")


def to_markdown(frame: pd.DataFrame, problems: Sequence[Problem] = ()) -> str:
    """One table a data set, with the notes that its figures need."""
    return formats.markdown(_all(frame), [problem.reason for problem in problems])


def to_latex(frame: pd.DataFrame) -> str:
    """As `to_markdown`, for LaTeX with booktabs."""
    return formats.latex(_all(frame))


def to_html(frame: pd.DataFrame) -> str:
    """As `to_markdown`, as a fragment of HTML."""
    return formats.html(_all(frame))


def _all(frame: pd.DataFrame) -> list[Grid]:
    """The leaderboard of each data set, and under it which space tells what."""
    below: dict[str, list[Grid]] = {}
    for grid in matrices(frame):
        below.setdefault(grid.dataset.partition(":")[0], []).append(grid)
    return [grid for board in grids(frame) for grid in (board, *below.get(board.dataset, []))]
