"""An `observations` frame by lines: each the runs that gave one figure, with their terms by image."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from disentangle_bench.evaluation.leaderboard.frame import INVARIANCE
from disentangle_bench.evaluation.published import Published

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from disentangle_bench.evaluation.outcomes import Outcome

K = TypeVar("K")


class Run(NamedTuple):
    """One figure of one run."""

    seed: int
    run: str
    encoder: str
    value: float
    outcome: Outcome | None
    published: tuple[Published, ...]
    width: int


class Line(NamedTuple):
    """Identifies one figure of a table; its runs differ in their seeds only."""

    dataset: str
    method: str
    settings: str
    labels: str
    budget: str
    tuning: str
    space: str
    measure: str
    score: str
    target: str
    primary_space: str
    invariant_space: str
    ceiling: bool

    @property
    def column(self) -> tuple[str, str, str, str]:
        """(data set, measure, score, target)."""
        return self.dataset, self.measure, self.score, self.target

    def row(self, spaces: Collection[str] = ()) -> str:
        """Space of the row of the main table that the figure stands in; empty: in none.

        A method has one row. In it speaks the space that the method declared for the question, or the one that the
        measure is made for.
        """
        from disentangle_bench.evaluation.protocol import MEASURES

        measure = MEASURES.get(self.measure)
        if measure is None or measure.matrix:
            return ""
        if spaces:
            return self.space if self.space in spaces else ""
        own = self.invariant_space if measure.aspect == INVARIANCE else self.primary_space
        speaks = own if measure.spaces is None or own in measure.spaces else measure.spaces[0]
        return self.primary_space if self.space == speaks else ""


def lines_of(seen: pd.DataFrame) -> tuple[dict[Line, list[Run]], dict[Line, list[str]]]:
    """Runs of each line of an `observations` frame, and why some have no figures (these lines have no score)."""
    names = [*Line._fields, *Run._fields, "reason"]
    found: dict[Line, list[Run]] = {}
    absent: dict[Line, list[str]] = {}
    for values in zip(*(seen[name].tolist() for name in names), strict=True):
        line, run = Line(*values[: len(Line._fields)]), Run(*values[len(Line._fields) : -1])
        if math.isnan(run.value):
            absent.setdefault(line, []).append(values[-1])
        else:
            found.setdefault(line, []).append(run)
    return found, absent


def terms_of(runs: Sequence[Run]) -> np.ndarray:
    """A line's outcomes [n, N], or its figures [n] where not all runs have outcomes by the same images."""
    import numpy as np

    images = {len(run.outcome.values) if run.outcome else 0 for run in runs}
    if images == {0} or len(images) > 1:
        return np.array([run.value for run in runs])
    return np.stack([run.outcome.terms for run in runs if run.outcome])


def one_encoder(runs: Sequence[Run]) -> bool:
    """Whether the runs judge one and the same encoder, which no seed changes, such as that of the pixels."""
    encoders = {run.encoder for run in runs}
    return len(encoders) == 1 and encoders != {""}


def same_images(rows: Mapping[K, np.ndarray]) -> dict[K, np.ndarray]:
    """Outcomes of one column on one test split: rows of other images than most are told by their figures alone."""
    counts = Counter(row.shape[1] for row in rows.values() if row.ndim == 2)
    usual = counts.most_common(1)[0][0] if counts else 0
    return {name: row.mean(axis=1) if row.ndim == 2 and row.shape[1] != usual else row for name, row in rows.items()}


def differences(a: Sequence[Run], b: Sequence[Run] | float) -> np.ndarray:
    """Figures of `a` less those of `b`, runs of the same seeds, or a constant.

    Returns:
        [n, N] by seed and image where both sides have outcomes of as many images, else [n].
    """
    import numpy as np

    if isinstance(b, float | int):
        return terms_of(a) - b
    new, old = terms_of(a), terms_of(b)
    if old.shape != new.shape:
        old, new = (side.mean(axis=1) if side.ndim == 2 else side for side in (old, new))
    return np.asarray(new - old)
