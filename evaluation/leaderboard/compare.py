"""Two sets of runs side by side: what got better or worse beyond noise. A regression gate rests on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from disentangle_bench.evaluation.leaderboard.frame import GIVEN, observations, score_of
from disentangle_bench.evaluation.leaderboard.lines import Line, Run, differences, lines_of, one_encoder, same_images
from disentangle_bench.evaluation.leaderboard.naming import Group, method_labels
from disentangle_bench.evaluation.leaderboard.statistics import LEVEL, Layout, holm, p_at_most
from disentangle_bench.evaluation.records import Problem, Record
from disentangle_bench.registry import dotted

if TYPE_CHECKING:
    import pandas as pd

THRESHOLD = 0.01
"""Default of the loss that isn't held against the second side, in the score's own unit."""
EXIT_WORSE, EXIT_UNDERPOWERED = 3, 4
"""Exit codes of `bench compare`."""
BETTER, WORSE, SAME, UNDERPOWERED = "better", "worse", "same", "underpowered"
"""Verdicts on a figure, see `compare_records`."""


class NothingToCompare(ValueError):
    """The two sides share no figure, or there is no such method."""


class _Place(NamedTuple):
    """A figure of the main table."""

    dataset: str
    measure: str
    score: str
    target: str
    method: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.method} {self.measure} {self.score} ({self.target})"


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        table: a line a figure: data set, measure, score, target, method, space, `n` (seeds in common), `before` and
            `after` (means over these seeds), `gain` (difference, positive for the better), `low` and `high` (95 %
            interval of the gain), `p_worse`, `p_better` (one-sided, after Holm's correction), `p_same` (that the
            difference lies within the threshold), `one_seed` (whether a single seed is all that is known of something
            that was trained here: then nothing is tested), `verdict`.
        missing: figures that only the first side has.
        new: figures that only the second side has.
        threshold: a loss up to this is not held against the second side.
        problems: records that were skipped.
    """

    table: pd.DataFrame
    missing: list[str]
    new: list[str]
    threshold: float
    problems: list[Problem]

    @property
    def exit_code(self) -> int:
        """3 if a figure is worse, else 4 if there are some that the runs can't judge, else 0."""
        verdicts = set(self.table["verdict"])
        return EXIT_WORSE if WORSE in verdicts else EXIT_UNDERPOWERED if UNDERPOWERED in verdicts else 0


def compare_methods(
    found: Mapping[Path, Record],
    a: str,
    b: str,
    threshold: float = THRESHOLD,
    only: Collection[str] = (),
    problems: Collection[Problem] = (),
) -> Comparison:
    """Two methods, by their labels in the leaderboard or the paths of their classes, on the data sets of both.

    Raises:
        NothingToCompare: there is no such method, or they share no figure.
    """
    labels = method_labels(found.values())
    seen = observations(found, labels)
    a, b = (_label_of(name, labels) for name in (a, b))
    first, second = (seen[seen["method"] == name].assign(method=f"{a} -> {b}") for name in (a, b))
    return _compare(first, second, threshold, only, list(problems))


def _label_of(name: str, labels: Mapping[Group, str]) -> str:
    """A method's label: itself, or that of the class at a path, where all of its runs have one."""
    names = sorted(set(labels.values()))
    of_path = {label for (_, method, _), label in labels.items() if method == dotted(name)}
    if name in names or len(of_path) == 1:
        return name if name in names else of_path.pop()
    raise NothingToCompare(f"no method {name!r} among the records: {', '.join(names) or 'there are none'}")


def compare_records(
    before: Mapping[Path, Record],
    after: Mapping[Path, Record],
    threshold: float = THRESHOLD,
    only: Collection[str] = (),
    problems: Collection[Problem] = (),
) -> Comparison:
    """Every figure of `after`'s main table against the same one (data set, method, measure, target) of `before`.

    The differences of a figure, by seed and test image, are a crossed layout like a figure's own outcomes; the noise of
    their mean is `statistics.Layout`'s, its seed part pooled over the methods of a column whose difference a seed can
    change. Between runs of the same encoders with the same figures it is 0, without noise. A figure is

    - `worse` if it lost more than `threshold` (in the score's own unit: 0.01 is one point of accuracy) and a one-sided
      t-test finds a loss at 5 %, after Holm's correction (1979) over all figures;
    - `better` if such a test finds a gain;
    - `same` if both one-sided tests at 5 % find it within the threshold (TOST; Schuirmann 1987);
    - `underpowered` if none of these, or if nothing is known of the noise: with a single seed, whose outcomes by image
      say nothing about other seeds. Encoders that existed already have none: they are judged by the images.

    A method of both sides is the same one if its settings are, or else its label.

    Args:
        before: path -> record of the first side.
        after: of the second.
        threshold: loss that is put up with, 0 or more.
        only: measures to compare, by title (`linear@1`) or name (`linear`); all if empty. The fewer, the smaller the
            losses that are still found.
        problems: to be told in the result.

    Raises:
        NothingToCompare: no figure of a seed is in both.
    """
    labels = method_labels(before.values())
    old, new = observations(before, labels), observations(after, method_labels(after.values()) | labels)
    return _compare(old, new, threshold, only, list(problems))


def against(seen: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Every method against a baseline, figure by figure: `Comparison.table` of each, with its `method`.

    Args:
        seen: an `observations` frame.
        baseline: label of the method to compare with.

    Raises:
        NothingToCompare: there is no such method; the message lists those there are.
    """
    import pandas as pd

    names = sorted(set(seen["method"]))
    if baseline not in names:
        raise NothingToCompare(f"no baseline {baseline!r} in these records: {', '.join(names) or '-'}")
    parts = {str(name): part for name, part in seen.groupby("method")}
    tables = []
    for name in names:
        try:
            if name != baseline:
                tables.append(_compare(parts[baseline].assign(method=name), parts[name], THRESHOLD, (), []).table)
        except NothingToCompare:
            continue
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _compare(
    before: pd.DataFrame, after: pd.DataFrame, threshold: float, only: Collection[str], problems: list[Problem]
) -> Comparison:
    import pandas as pd
    from scipy.special import stdtrit

    if not threshold >= 0:
        raise ValueError(f"the threshold is a loss, 0 or more, not {threshold}")
    sides = [_shown(seen, only) for seen in (before, after)]
    pairs: dict[_Place, dict[int, tuple[Run, Run]]] = {}
    for place in sorted(sides[0].keys() & sides[1].keys()):
        old, new = ({run.seed: run for run in side[place][1]} for side in sides)
        if common := sorted(old.keys() & new.keys()):
            pairs[place] = {seed: (old[seed], new[seed]) for seed in common}
    if not pairs:
        raise NothingToCompare("no figure of the same method, data set and seed is on both sides")
    lines: list[dict[str, Any]] = []
    columns: dict[tuple, list[_Place]] = {}
    for place in pairs:
        columns.setdefault(place[:4], []).append(place)
    for places in columns.values():
        sign = -1 if score_of(places[0].measure, places[0].score).direction == "down" else 1
        sides_of: dict[_Place, tuple[tuple[Run, ...], tuple[Run, ...]]] = {}
        for place in places:
            old_runs, new_runs = zip(*pairs[place].values(), strict=True)
            sides_of[place] = old_runs, new_runs
        gains = same_images({place: sign * differences(new, old) for place, (old, new) in sides_of.items()})
        same = [_same_encoders(*sides_of[place]) and np.allclose(gains[place], 0, atol=1e-12) for place in places]
        fixed = [same[k] or _is_fixed(*sides_of[place], gains[place]) for k, place in enumerate(places)]
        noise = Layout.of([gains[place] for place in places], fixed).means()
        for k, place in enumerate(places):
            old_runs, new_runs = sides_of[place]
            lines.append(
                place._asdict()
                | {
                    "space": sides[1][place][0].space,
                    "n": len(old_runs),
                    "before": float(np.mean([run.value for run in old_runs])),
                    "after": float(np.mean([run.value for run in new_runs])),
                    "gain": float(gains[place].mean()),
                    "error": 0.0 if same[k] else float(np.sqrt(noise.total[k])),
                    "df": np.inf if same[k] else float(noise.df[k]),
                    "one_seed": len(old_runs) == 1 and {side[place][0].tuning for side in sides} != {GIVEN},
                }
            )
    table = pd.DataFrame.from_records(lines).sort_values(list(_Place._fields), ignore_index=True)
    gain, error, df = (table[name].to_numpy() for name in ("gain", "error", "df"))
    tested = np.where(table["one_seed"], np.nan, 1.0)
    half = stdtrit(df, (1 + LEVEL) / 2) * error
    table["low"], table["high"] = gain - half, gain + half
    table["p_better"], table["p_worse"] = (holm(tested * p_at_most(0, sign * gain, error, df)) for sign in (1, -1))
    table["p_same"] = tested * np.maximum(
        p_at_most(-threshold, gain, error, df), p_at_most(-threshold, -gain, error, df)
    )
    lost = (table["p_worse"] < 1 - LEVEL) & (gain < -threshold)
    verdicts = np.select(
        [lost, table["p_better"] < 1 - LEVEL, table["p_same"] < 1 - LEVEL], [WORSE, BETTER, SAME], UNDERPOWERED
    )
    missing, extra = (sorted(str(place) for place in side.keys() - pairs.keys()) for side in sides)
    return Comparison(table.drop(columns=["error", "df"]).assign(verdict=verdicts), missing, extra, threshold, problems)


def _same_encoders(old: Sequence[Run], new: Sequence[Run]) -> bool:
    return all(a.encoder == b.encoder != "" for a, b in zip(old, new, strict=True))


def _is_fixed(old: Sequence[Run], new: Sequence[Run], gains: np.ndarray) -> bool:
    """Whether no seed changes a difference: that of two encoders, judged alike each time."""
    return one_encoder(old) and one_encoder(new) and bool((gains == gains[0]).all())


def _shown(seen: pd.DataFrame, only: Collection[str]) -> dict[_Place, tuple[Line, list[Run]]]:
    """Figures of the main table that have a direction."""
    found: dict[_Place, tuple[Line, list[Run]]] = {}
    for line, runs in lines_of(seen)[0].items():
        asked = not only or line.measure in only or line.measure.partition("@")[0] in only
        if asked and line.row() and score_of(line.measure, line.score).direction:
            found[_Place(line.dataset, line.measure, line.score, line.target, line.method)] = line, runs
    return found
