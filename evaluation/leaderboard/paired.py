"""What may be concluded from a few seeds: intervals, and paired tests against a baseline.

The tests are scipy's; here stands which figures go into which test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from disentangle_bench.evaluation.leaderboard.frame import COST

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
PLACE = ["dataset", "measure", "score", "target"]
BETTER, WORSE, SAME = "better", "worse", "not distinguishable"
UNTESTED = "n = 1: not tested"
NO_SPREAD = "no spread over seeds: not tested"


def interval(
    values: Sequence[float], level: float = LEVEL, method: Literal["t", "bootstrap"] = "t", seed: int = 0
) -> tuple[float, float]:
    """Two-sided confidence interval of the mean; (NaN, NaN) for fewer than two values.

    Args:
        values: one figure a seed.
        level: coverage.
        method: `t` (Student; right for few seeds if they are about normal) or `bootstrap` (bias-corrected and
            accelerated, Efron 1987; too narrow below some ten seeds).
        seed: of the bootstrap's draws.
    """
    from scipy import stats

    x = np.array(values, dtype=float)
    if len(x) < 2:
        return math.nan, math.nan
    if x.std() == 0:
        return float(x[0]), float(x[0])
    if method == "t":
        low, high = stats.t.interval(level, len(x) - 1, loc=x.mean(), scale=stats.sem(x))
    else:
        drawn = stats.bootstrap((x,), np.mean, confidence_level=level, rng=np.random.default_rng(seed))
        low, high = drawn.confidence_interval
    return float(low), float(high)


def paired_tests(differences: Sequence[np.ndarray], level: float = LEVEL) -> dict[str, np.ndarray]:
    """Paired t-tests, one for each array of differences (one a seed); arrays of equal length are tested at once.

    Returns:
        Arrays as long as `differences`: `n`, `difference` (mean), `low` and `high` (its interval), `p` (two-sided) and
        `effect` (Hedges' g of paired differences: mean over standard deviation, with the correction for small samples
        1 - 3 / (4 (n - 1) - 1), Hedges 1981; NaN for n = 2, where it would be 0). All but the first two are NaN where
        there are fewer than two seeds or where all differences are equal.
    """
    from scipy import stats

    out = {key: np.full(len(differences), math.nan) for key in ("difference", "low", "high", "p", "effect")}
    sizes = np.array([len(d) for d in differences], dtype=int)
    for size in np.unique(sizes[sizes > 0]):
        rows = np.flatnonzero(sizes == size)
        x = np.stack([differences[int(i)] for i in rows]).astype(float)
        out["difference"][rows] = mean = x.mean(axis=1)
        if size < 2:
            continue
        spread = x.std(axis=1, ddof=1)
        varies = spread > 1e-9 * np.maximum(1.0, np.abs(mean))
        rows, x, mean, spread = rows[varies], x[varies], mean[varies], spread[varies]
        if len(rows):
            test = stats.ttest_1samp(x, 0.0, axis=1)
            out["p"][rows] = test.pvalue
            out["low"][rows], out["high"][rows] = test.confidence_interval(level)
            if size > 2:
                out["effect"][rows] = mean / spread * (1 - 3 / (4 * (size - 1) - 1))
    return out | {"n": sizes}


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment (1979) of a family of p-values; NaN (not tested) is not in the family.

    The k-th smallest of m becomes the largest of (m - i) p_i over i <= k, counted from 0, at most 1. (The function of
    statsmodels collects garbage in every call, which takes a large leaderboard a minute.)
    """
    adjusted = np.full(len(p), math.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = (len(order) - np.arange(len(order))) * p[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def verdicts(p: np.ndarray, gain: np.ndarray, n: np.ndarray, alpha: float = 1 - LEVEL) -> list[str]:
    """In words: `better`, `worse`, `not distinguishable`, or why there was no test.

    Args:
        p: adjusted; NaN where there was no test.
        gain: difference, positive where it is for the better.
        n: seeds in common.
        alpha: level of the test.
    """
    words = []
    for p_i, gain_i, n_i in zip(p, gain, n, strict=True):
        if n_i < 2:
            words.append(UNTESTED if n_i else "no seed in common: not tested")
        elif math.isnan(p_i):
            words.append(SAME if abs(gain_i) < 1e-12 else NO_SPREAD)
        elif p_i >= alpha:
            words.append(SAME)
        else:
            words.append(BETTER if gain_i > 0 else WORSE)
    return words


def against(seen: pd.DataFrame, baseline: str, alpha: float = 1 - LEVEL) -> pd.DataFrame:
    """Every (method, space) against a baseline on the same data set, figure by figure, paired by seed.

    A space is compared with the baseline's space of the same name, or with its `features` where it has none. The family
    that Holm's correction is for is a column of a data set's table: one (data set, measure, score, target).

    Args:
        seen: an `observations` frame.
        baseline: label of the method to compare with.
        alpha: level of the test, after the correction.

    Returns:
        A line a comparison: data set, measure, score, target, method, settings, space, `baseline_space`, `n` (seeds in
        common), `difference` (method minus baseline), `low`, `high` (95 % interval, uncorrected), `effect`, `p`,
        `p_holm`, `verdict`.

    Raises:
        ValueError: there is no such method; the message lists those there are.
    """
    import pandas as pd

    seen = scored(seen)
    if baseline not in set(seen["method"]):
        raise ValueError(f"no baseline {baseline!r} in these records: {', '.join(sorted(set(seen['method']))) or '-'}")
    values = by_seed(seen)
    reference = {key: v for key, v in values.items() if key[4] == baseline}
    spaces = {(*key[:4], key[6]): key for key in reference}
    pairs, lines = [], []
    for key, mine in values.items():
        other = spaces.get((*key[:4], key[6])) or spaces.get((*key[:4], "features"))
        if key[4] == baseline or other is None:
            continue
        theirs = reference[other]
        pairs.append(np.array([mine[s] - theirs[s] for s in sorted(mine.keys() & theirs.keys())]))
        lines.append((*key, other[6]))
    columns = [*PLACE, "method", "settings", "space", "baseline_space"]
    table = pd.DataFrame.from_records(lines, columns=columns).assign(**paired_tests(pairs))
    table["p_holm"] = math.nan
    for rows in table.groupby(PLACE).indices.values():
        table.loc[rows, "p_holm"] = holm(table.loc[rows, "p"].to_numpy())
    gain = table["difference"] * [rise(m, s) for m, s in zip(table["measure"], table["score"], strict=True)]
    table["verdict"] = verdicts(table["p_holm"].to_numpy(), gain.to_numpy(), table["n"].to_numpy(), alpha)
    order = [*columns, "n", "difference", "low", "high", "effect", "p", "p_holm", "verdict"]
    return table[order].sort_values(columns, kind="stable", ignore_index=True)


def rise(measure: str, score: str) -> int:
    """1 where more is better, -1 where less is."""
    from disentangle_bench.evaluation.protocol import MEASURES

    return 1 if MEASURES[measure].scores[score].direction == "up" else -1


def scored(seen: pd.DataFrame) -> pd.DataFrame:
    """Lines of an `observations` frame with a figure whose direction the protocol knows.

    No cost, no chance level, and not which space tells what: there more is better for some, worse for others.
    """
    from disentangle_bench.evaluation.protocol import MEASURES

    known = {
        (title, score)
        for title, measure in MEASURES.items()
        for score in measure.scores
        if score != "chance" and not measure.matrix
    }
    pairs = zip(seen["measure"], seen["score"], strict=True)
    keep = np.array([pair in known for pair in pairs], dtype=bool)
    return seen[keep & seen["value"].notna().to_numpy() & (seen["measure"] != COST).to_numpy()]


def by_seed(seen: pd.DataFrame) -> dict[tuple, dict[int, float]]:
    """(data set, measure, score, target, method, settings, space) -> seed -> figure."""
    found: dict[tuple, dict[int, float]] = {}
    names = [*PLACE, "method", "settings", "space"]
    for *key, seed, value in seen[[*names, "seed", "value"]].itertuples(index=False):
        found.setdefault(tuple(key), {})[seed] = value
    return found
