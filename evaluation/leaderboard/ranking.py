"""Methods over all data sets: mean rank and interquartile mean, with intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from disentangle_bench.evaluation.leaderboard.paired import LEVEL, rise, scored

if TYPE_CHECKING:
    import pandas as pd


RANKED_BY = ("linear@1", "top1", "features")
"""Measure, score and space that methods are ranked by unless the caller says otherwise."""


def overall(
    seen: pd.DataFrame,
    measure: str = RANKED_BY[0],
    score: str = RANKED_BY[1],
    space: str = RANKED_BY[2],
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Methods over all data sets by one figure of one space: mean rank, and interquartile mean of normalised figures.

    Ranks are of the means over seeds, 1 the best, ties share the middle rank. For the interquartile mean (Agarwal et
    al.: Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS 2021) each data set's figures are
    scaled so that the worst method's mean is 0 and the best one's is 1. Both intervals are percentile bootstraps over
    seeds, stratified by data set; data sets are taken as given. A bootstrap of few seeds is too narrow.

    Returns:
        A line a method that has the figure on every data set: `place` (equal mean ranks share one), `method`, `n` (runs
        on each data set, fewest), `mean_rank`, `rank_low`, `rank_high`, `iqm`, `iqm_low`, `iqm_high`, `ties` (methods
        whose interval of ranks overlaps). Intervals are NaN where a method has a single seed somewhere; a mean rank's
        where any method has. `attrs["left_out"]`: methods that lack a data set.
    """
    import pandas as pd
    from scipy import stats

    seen = scored(seen)
    seen = seen[(seen["measure"] == measure) & (seen["score"] == score) & (seen["space"] == space)]
    figures: dict[str, dict[tuple[str, str], np.ndarray]] = {}
    for (method, dataset, target), part in seen.groupby(["method", "dataset", "target"], sort=True):
        figures.setdefault(str(method), {})[str(dataset), str(target)] = part["value"].to_numpy()
    places = sorted({place for found in figures.values() for place in found})
    methods = [method for method, found in figures.items() if len(found) == len(places)]
    columns = ["place", "method", "n", "mean_rank", "rank_low", "rank_high", "iqm", "iqm_low", "iqm_high", "ties"]
    table = pd.DataFrame(columns=columns)
    if methods:
        data = [[figures[m][place] for place in places] for m in methods]
        table = pd.DataFrame(_overall(data, rise(measure, score), draws, np.random.default_rng(seed), stats))
        table["method"] = methods
        table["place"] = stats.rankdata(table["mean_rank"], "min").astype(int)
        low, high = table["rank_low"].to_numpy(), table["rank_high"].to_numpy()
        table["ties"] = [
            ", ".join(m for j, m in enumerate(methods) if j != i and low[j] <= high[i] and low[i] <= high[j])
            for i in range(len(methods))
        ]
        table = table[columns].sort_values(["mean_rank", "method"], ignore_index=True)
    table.attrs["left_out"] = sorted(set(figures) - set(methods))
    return table


def _overall(data: list[list[np.ndarray]], sign: int, draws: int, rng: np.random.Generator, stats: Any) -> dict:
    """Ranks and interquartile means of `data[method][place]`, with their bootstrap intervals."""
    single = np.array([min(map(len, row)) < 2 for row in data])
    means = np.array([[x.mean() for x in row] for row in data])
    floor, top = (sign * means).min(axis=0), (sign * means).max(axis=0)
    span = np.where(top > floor, top - floor, 1.0)
    drawn_means = np.empty((draws, *means.shape))
    drawn_iqm = np.empty((draws, len(data)))
    iqm = np.empty(len(data))
    for i, row in enumerate(data):
        scaled, picks = [], []
        for j, x in enumerate(row):
            pick = x[rng.integers(len(x), size=(draws, len(x)))]
            drawn_means[:, i, j] = pick.mean(axis=1)
            scaled.append((sign * x - floor[j]) / span[j])
            picks.append((sign * pick - floor[j]) / span[j])
        iqm[i] = stats.trim_mean(np.concatenate(scaled), 0.25)
        drawn_iqm[:, i] = stats.trim_mean(np.concatenate(picks, axis=1), 0.25, axis=1)
    tail = (1 - LEVEL) / 2
    rank = stats.rankdata(-sign * means, axis=0).mean(axis=1)
    drawn_rank = stats.rankdata(-sign * drawn_means, axis=1).mean(axis=2)
    rank_low, rank_high = np.quantile(drawn_rank, [tail, 1 - tail], axis=0)
    iqm_low, iqm_high = np.quantile(drawn_iqm, [tail, 1 - tail], axis=0)
    nothing = np.full(len(data), math.nan)
    return {
        "n": [min(map(len, row)) for row in data],
        "mean_rank": rank,
        "rank_low": nothing if single.any() else rank_low,
        "rank_high": nothing if single.any() else rank_high,
        "iqm": iqm,
        "iqm_low": np.where(single, math.nan, iqm_low),
        "iqm_high": np.where(single, math.nan, iqm_high),
    }
