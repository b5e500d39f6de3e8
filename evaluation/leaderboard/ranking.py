"""Methods over all data sets: mean rank and interquartile mean, with intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from disentangle_bench.evaluation.leaderboard.frame import score_of
from disentangle_bench.evaluation.leaderboard.lines import lines_of
from disentangle_bench.evaluation.leaderboard.statistics import LEVEL

if TYPE_CHECKING:
    import pandas as pd

RANKED_BY = ("linear@1", "top1")
"""Measure and score that methods are ranked by."""
DRAWS = 2000
"""Number of bootstrap draws."""
FEWEST = 4
"""Data sets that an interval needs: those of fewer hold the truth too seldom (of three, in 8 of 10 cases)."""
COLUMNS = ["place", "method", "n", "mean_rank", "rank_low", "rank_high", "iqm", "iqm_low", "iqm_high"]


def overall(seen: pd.DataFrame) -> pd.DataFrame:
    """Methods over all data sets by `RANKED_BY` in the main table: mean rank, and interquartile mean of scaled figures.

    A data set's figure is the mean over its content targets. Ranks are of the means over seeds, 1 the best, ties share
    the middle rank. For the interquartile mean (Agarwal et al.: Deep Reinforcement Learning at the Edge of the
    Statistical Precipice, NeurIPS 2021) each data set's figures are scaled so that the worst method's mean is 0 and the
    best one's is 1; data sets weigh alike, whatever seeds they have. Intervals are bootstraps of data sets, the same
    ones for every method, and of seeds within them, so they speak of data sets like these; percentiles are expanded for
    the few data sets (Hesterberg: What Teachers Should Know About the Bootstrap, The American Statistician 2015,
    section 5.3): those at Phi(t sqrt(D / (D - 1))), t the quantile of Student's with D - 1 degrees of freedom.

    Returns:
        A line a method that has the figure on every data set: `place` (equal mean ranks share one), `method`, `n` (runs
        on each data set, fewest), `mean_rank`, `rank_low`, `rank_high`, `iqm`, `iqm_low`, `iqm_high`. Intervals are NaN
        where there are fewer than `FEWEST` data sets. `attrs["left_out"]`: methods that lack a data set.
    """
    import pandas as pd
    from scipy import stats

    by_target: dict[tuple[str, str], list[pd.Series]] = {}
    for line, runs in lines_of(seen)[0].items():
        if (line.measure, line.score) == RANKED_BY and line.row():
            values = pd.Series({run.run: run.value for run in runs})
            by_target.setdefault((line.method, line.dataset), []).append(values)
    figures: dict[str, dict[str, np.ndarray]] = {}
    for (method, dataset), targets in by_target.items():
        figures.setdefault(method, {})[dataset] = pd.concat(targets, axis=1).mean(axis=1).to_numpy()
    places = sorted({place for found in figures.values() for place in found})
    methods = sorted(method for method, found in figures.items() if len(found) == len(places))
    table = pd.DataFrame(columns=COLUMNS)
    if methods:
        sign = -1 if score_of(*RANKED_BY).direction == "down" else 1
        data = [[sign * figures[method][place] for place in places] for method in methods]
        table = pd.DataFrame(_overall(data, DRAWS, np.random.default_rng(0)))
        table["method"], table["n"] = methods, [min(map(len, row)) for row in data]
        table["place"] = stats.rankdata(table["mean_rank"], "min").astype(int)
        table = table[COLUMNS].sort_values(["mean_rank", "method"], ignore_index=True)
    table.attrs["left_out"] = sorted(set(figures) - set(methods))
    return table


def _overall(data: list[list[np.ndarray]], draws: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Ranks and interquartile means of `data[method][data set]`, more is better, with their intervals."""
    from scipy import stats

    means = np.array([[x.mean() for x in row] for row in data])
    count = means.shape[1]
    floor = means.min(axis=0)
    span = np.where(means.max(axis=0) > floor, means.max(axis=0) - floor, 1.0)
    chosen = rng.integers(count, size=(draws, count))
    drawn = np.empty((draws, *means.shape))
    iqm, drawn_iqm = np.empty(len(data)), np.empty((draws, len(data)))
    for i, row in enumerate(data):
        resampled = [x[rng.integers(len(x), size=(draws, len(x)))] for x in row]
        drawn[:, i] = np.take_along_axis(np.stack([x.mean(axis=1) for x in resampled], axis=1), chosen, axis=1)
        scaled = (_of_equal_weight([x[None] for x in row]) - floor[:, None]) / span[:, None]
        iqm[i] = stats.trim_mean(scaled.ravel(), 0.25)
        own = (_of_equal_weight(resampled) - floor[:, None]) / span[:, None]
        drawn_iqm[:, i] = stats.trim_mean(
            np.take_along_axis(own, chosen[..., None], axis=1).reshape(draws, -1), 0.25, axis=1
        )
    found = {"mean_rank": stats.rankdata(-means, axis=0).mean(axis=1), "iqm": iqm}
    drawn_rank = stats.rankdata(-drawn, axis=1).mean(axis=2)
    nothing = np.full((2, len(data)), math.nan)
    tail = float(stats.norm.cdf(stats.t.ppf((1 - LEVEL) / 2, max(count - 1, 1)) * math.sqrt(count / max(count - 1, 1))))
    for name, sample in (("rank", drawn_rank), ("iqm", drawn_iqm)):
        low, high = np.quantile(sample, [tail, 1 - tail], axis=0) if count >= FEWEST else nothing
        found |= {f"{name}_low": low, f"{name}_high": high}
    return found


def _of_equal_weight(rows: list[np.ndarray]) -> np.ndarray:
    """[k, n] of each of D data sets as [k, D, m]: each figure stands there as often as gives all data sets as many."""
    most = math.lcm(*(x.shape[1] for x in rows))
    return np.stack([np.repeat(x, most // x.shape[1], axis=1) for x in rows], axis=1)
