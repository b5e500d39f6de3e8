"""Statistics of few seeds and few test images: intervals, rank sets, and differences.

A figure that is a mean over N test images of n seeds varies in two ways: with the seed and with the images. With
MS_seed, MS_image and MS_rest the mean squares of the crossed layout (seeds x images, one term each), the variance of
the figure is

    (MS_seed + MS_image - MS_rest) / (n N)  =  s^2 / n  +  Var_i(mean over seeds of image i) / N  -  MS_rest / (n N)

(Searle, Casella & McCulloch: Variance Components, 1992, chapter 4), where s is the standard deviation of the seeds'
figures. The last term is what the first two both count: right or wrong answers are noise of their own, by seed and
image, and without it the intervals of accuracies near 0.9 at N = 360 are a quarter too wide. s^2 and MS_rest are pooled
over the rows of a column that a seed changes at all; degrees of freedom are Satterthwaite's (1946).

Rank sets are simultaneous over all rows: every pair of rows is compared by the studentised range (Tukey-Kramer, whose
harmonic form takes unequal n), and a row's ranks reach from one more than the rows that are significantly better to all
less those that are significantly worse (Klein, Wright & Wieczorek 2020; Mogstad, Romano, Shaikh & Wilhelm 2024).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
FEWEST = 3
"""Seeds that a row needs to be ranked."""
ROUNDING = 1e-12
"""Variance up to which, relative to the figures' own size, equal terms are told apart by rounding alone."""


class Spread(NamedTuple):
    """Variance of means or of differences, and what it consists of; arrays of one shape.

    Attributes:
        seed: part of the seeds; NaN where a single seed can't tell.
        image: part of the test images; NaN where there are no outcomes by image.
        total: variance: the parts less what both count; NaN where neither is known.
        df: Satterthwaite's degrees of freedom.
    """

    seed: np.ndarray
    image: np.ndarray
    total: np.ndarray
    df: np.ndarray


@dataclass(frozen=True)
class Layout:
    """The rows of a column, and what all of them say about the noise.

    Attributes:
        n: int [R], seeds of each row.
        share: [R], of the pooled variance in a row's mean: 1 / n; NaN where n = 1; 0 if no seed changes it, so that
            nothing is known of its noise without outcomes by image.
        mean: [R].
        images: number of images, 0 where no row has outcomes by image.
        by_image: [R, images]: mean over the seeds of a row, NaN in rows without outcomes by image.
        seed: variance of one seed's figure, pooled; NaN where no row has two seeds.
        rest: of it, what comes from the images of one seed (MS_rest / images), pooled; 0 where unknown.
        seed_df, rest_df: their degrees of freedom.
    """

    n: np.ndarray
    share: np.ndarray
    mean: np.ndarray
    images: int
    by_image: np.ndarray
    seed: float
    rest: float
    seed_df: int
    rest_df: int

    @classmethod
    def of(cls, outcomes: Sequence[np.ndarray], fixed: Sequence[bool] | None = None) -> Layout:
        """Rows [n, N] or [n].

        Args:
            outcomes: of each row.
            fixed: whether no seed changes a row; then it tells nothing of the noise of others. None does if not given.

        Raises:
            ValueError: a row has no seed, is no matrix, is not finite, or has another number of images.
        """
        rows = [np.asarray(row, dtype=np.float64) for row in outcomes]
        for row in rows:
            if row.ndim not in (1, 2) or 0 in row.shape or not np.isfinite(row).all():
                raise ValueError(f"outcomes of a row are finite, [seeds] or [seeds, images], not {row.shape}")
        counts = {row.shape[1] for row in rows if row.ndim == 2}
        if len(counts) > 1:
            raise ValueError(f"rows of one column are scored on the same images, not on {sorted(counts)} of them")
        images = counts.pop() if counts else 0
        n = np.array([len(row) for row in rows], dtype=int)
        varies = ~np.asarray(fixed, dtype=bool) if fixed is not None else np.ones(len(rows), dtype=bool)
        share = np.where(n > 1, varies / n, np.nan)
        by_image = np.full((len(rows), images), np.nan)
        mean = np.empty(len(rows))
        seed_squares = rest_squares = 0.0
        rest_df = 0
        for r, row in enumerate(rows):
            figures = row.mean(axis=1) if row.ndim == 2 else row
            mean[r] = figures.mean()
            seed_squares += _squares(figures) if varies[r] else 0.0
            if row.ndim == 2:
                by_image[r] = row.mean(axis=0)
                if len(row) > 1 and varies[r]:
                    # of deviations from both means; taking sums of squares apart is exact and needs no second matrix
                    rest_squares += max(
                        _squares(row) - images * _squares(figures) - len(row) * _squares(by_image[r]), 0
                    )
                    rest_df += (len(row) - 1) * (images - 1)
        seed_df = int((n - 1)[varies].sum())
        seed = seed_squares / seed_df if seed_df else np.nan
        rest = rest_squares / rest_df / images if rest_df else 0.0
        return cls(n, share, mean, images, by_image, seed, rest, seed_df, rest_df)

    def means(self) -> Spread:
        """Variance of the rows' means, arrays [R]."""
        image = self.by_image.var(axis=1, ddof=1) / self.images if self.images > 1 else np.full(len(self.n), np.nan)
        return self._spread(self.share, image, self.mean**2)

    def differences(self) -> Spread:
        """Variance of the difference of each pair of rows on the same images, arrays [R, R]."""
        image = np.full((len(self.n), len(self.n)), np.nan)
        if self.images > 1:
            centred = self.by_image - self.by_image.mean(axis=1, keepdims=True)
            own = (centred**2).sum(axis=1)
            image = np.maximum(own[:, None] + own - 2 * centred @ centred.T, 0) / (self.images - 1) / self.images
        return self._spread(self.share[:, None] + self.share, image, np.maximum(self.mean[:, None] ** 2, self.mean**2))

    def _spread(self, share: np.ndarray, image: np.ndarray, size: np.ndarray) -> Spread:
        seed = np.where(share == 0, np.where(np.isnan(image), np.nan, 0.0), self.seed * share)
        both = np.where(np.isnan(seed) | np.isnan(image), 0.0, np.nan_to_num(self.rest * share))
        known = ~(np.isnan(seed) & np.isnan(image))
        seed_, image_ = np.nan_to_num(seed), np.nan_to_num(image)
        total = np.maximum(seed_ + image_ - both, np.maximum(seed_, image_))
        total = np.where(total <= ROUNDING * size, 0.0, total)
        freedom = seed_**2 / max(self.seed_df, 1) + image_**2 / max(self.images - 1, 1) + both**2 / max(self.rest_df, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            df = np.where(freedom > 0, total**2 / freedom, np.inf)
        return Spread(seed, image, np.where(known, total, np.nan), np.where(known, np.maximum(df, 1.0), np.nan))


def column(
    outcomes: Mapping[str, np.ndarray],
    *,
    level: float = LEVEL,
    down: bool = False,
    blocks: Mapping[str, Hashable] | None = None,
    fixed: Collection[str] = (),
) -> pd.DataFrame:
    """Means, intervals and rank sets of the rows in one column of a table.

    Args:
        outcomes: row name -> float or bool [n seeds, N images], the same images in every row, or [n] where there are no
            outcomes by image.
        level: of the intervals, each by itself, and of the rank sets, all together.
        down: whether less is better.
        blocks: row name -> block; ranks count inside a block. All rows are one block if not given.
        fixed: names of rows that no seed changes.

    Returns:
        A line a row, by name: `mean`; `low`, `high` (interval of the mean; NaN where nothing is known of the noise);
        `seed_part` (s^2 / n; NaN where n = 1: the interval is of the images alone), `image_part` (variance over images
        of the mean over seeds, / N; NaN without outcomes by image), `df`; `rank_low`, `rank_high` (NaN below
        three seeds: too few to rank); `best` (no row of the block is significantly better). Rows below three seeds are
        compared by their images alone, make no ranked row look worse, and without outcomes by image are never best.

    Raises:
        ValueError: see `Layout.of`.
    """
    import pandas as pd
    from scipy.special import stdtrit

    names = list(outcomes)
    columns = ["mean", "low", "high", "seed_part", "image_part", "df", "rank_low", "rank_high", "best"]
    if not names:
        return pd.DataFrame(columns=columns, index=pd.Index([], dtype=object))
    layout = Layout.of([outcomes[name] for name in names], [name in fixed for name in names])
    of_mean = layout.means()
    half = stdtrit(of_mean.df, (1 + level) / 2) * np.sqrt(of_mean.total)
    number = {block: k for k, block in enumerate(dict.fromkeys(blocks[name] for name in names))} if blocks else {}
    block = np.array([number[blocks[name]] if blocks else 0 for name in names])
    low, high, best = ranks(layout, -layout.mean if down else layout.mean, block, level)
    data = [layout.mean, layout.mean - half, layout.mean + half, of_mean.seed, of_mean.image, of_mean.df]
    return pd.DataFrame(dict(zip(columns, [*data, low, high, best], strict=True)), index=names)


def ranks(
    layout: Layout, gain: np.ndarray, block: np.ndarray, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rank sets inside blocks, simultaneous over all rows: `rank_low` [R], `rank_high` [R] and `best` bool [R].

    Args:
        layout: of the column.
        gain: [R], mean where more is better.
        block: int [R].
        level: that no rank set of the whole table is wrong.
    """
    ranked = layout.n >= FEWEST
    size = np.maximum(gain[:, None] ** 2, gain**2)
    of_gap = layout.differences()
    image = np.where(of_gap.image <= ROUNDING * size, 0.0, of_gap.image)
    both = ranked[:, None] & ranked
    noise = np.sqrt(np.where(both, of_gap.total, image))
    df = np.where(both, of_gap.df, max(layout.images - 1, 1))
    gap = gain[:, None] - gain
    above = gap > np.fmax(critical(len(gain), df, level) / np.sqrt(2) * noise, np.sqrt(ROUNDING * size))
    above &= (block[:, None] == block) & ~np.isnan(noise)
    trusted = above & ranked[:, None]  # a row that can't be ranked makes no other one look worse
    peers = ((block[:, None] == block) & ranked).sum(axis=1)
    low = np.where(ranked, 1 + trusted.sum(axis=0), np.nan)
    high = np.where(ranked, peers - (trusted & ranked).sum(axis=1), np.nan)
    judged = ranked | ~np.isnan(np.diag(image))
    return low, high, judged & ~np.where(ranked, trusted.any(axis=0), above.any(axis=0))


def critical(rows: int, df: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Quantiles of the studentised range of some rows, of the shape of `df` (1 or more), to about 0.1 %."""
    inverse, quantiles = _quantiles(max(rows, 2), level)
    return np.interp(1 / np.asarray(df, dtype=np.float64), inverse, quantiles)


@lru_cache(maxsize=256)
def _quantiles(rows: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """1 / df, rising, and the quantile at each.

    The range of normal variables, P(W <= w) = R int phi(z) (Phi(z) - Phi(z - w))^(R - 1) dz, averaged over the
    distribution of their estimated deviation. (`scipy.stats.studentized_range.ppf` is the same, at 0.3 s a value.)
    """
    from scipy.special import chdtri, ndtr

    z = np.linspace(-8, 8, 401)
    w = np.linspace(0, 18, 361)
    inside = np.maximum(ndtr(z) - ndtr(z - w[:, None]), 0) ** (rows - 1)
    normal = rows * (z[1] - z[0]) * inside @ (np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    inverse = np.concatenate([[0.0], np.geomspace(1e-3, 1, 40)])
    tail = (np.arange(2000) + 0.5) / 2000
    quantiles: list[float] = [float(np.interp(level, normal, w))]
    for one in inverse[1:]:
        deviation = np.sqrt(chdtri(1 / one, tail) * one)
        low, high = 0.0, 1000.0
        for _ in range(30):
            middle = (low + high) / 2
            reached = np.interp(middle * deviation, w, normal).mean()
            low, high = (middle, high) if reached < level else (low, middle)
        quantiles.append(middle)
    return inverse, np.array(quantiles)


def _squares(values: np.ndarray) -> float:
    """Sum of squared deviations from the mean of all."""
    return float(((values - values.mean()) ** 2).sum())


def p_at_most(bound: float, gain: np.ndarray, error: np.ndarray, df: np.ndarray) -> np.ndarray:
    """One-sided p-values of a gain of at most `bound`; without any noise it is certain, NaN where that is unknown."""
    from scipy.special import stdtr

    excess = np.where(np.abs(gain - bound) < 1e-12, 0.0, gain - bound)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(excess == 0, np.where(np.isnan(error), np.nan, 0.0), excess / error)
    return np.asarray(stdtr(df, -ratio))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of a family of p-values; NaN (not tested) is not in the family.

    The k-th smallest of m becomes the largest of (m - i) p_i over i <= k, counted from 0, at most 1.
    """
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = (len(order) - np.arange(len(order))) * p[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
