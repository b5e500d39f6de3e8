"""Two sets of runs side by side: what got better or worse beyond noise. A regression gate rests on it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from disentangle_bench.evaluation.leaderboard.frame import Record, method_labels, observations
from disentangle_bench.evaluation.leaderboard.paired import (
    BETTER,
    LEVEL,
    PLACE,
    WORSE,
    by_seed,
    holm,
    paired_tests,
    rise,
    scored,
    verdicts,
)
from disentangle_bench.evaluation.records import Problem, read_records

if TYPE_CHECKING:
    import pandas as pd

THRESHOLD = 0.01
EXIT_WORSE = 3


class NothingToCompare(ValueError):
    """The two sides share no figure."""


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        table: a line a figure: data set, measure, score, target, method, space, `n` (seeds in common), `before` and
            `after` (means over these seeds), `gain` (difference, positive for the better), `low` and `high` (95 %
            interval of the gain), `effect`, `p`, `p_holm`, `verdict`, `regressed`.
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
    def worse(self) -> bool:
        """Whether some figure is worse by more than the threshold and beyond noise."""
        return bool(self.table["regressed"].any())

    @property
    def exit_code(self) -> int:
        """3 if worse, else 0."""
        return EXIT_WORSE if self.worse else 0

    def text(self) -> str:
        """For the terminal: what regressed first, then what is better or worse, then how many can't be told apart."""
        from tabulate import tabulate

        told = self.table[self.table["regressed"] | self.table["verdict"].isin([BETTER, WORSE])]
        told = told.sort_values(["regressed", "gain"], ascending=[False, True], kind="stable")
        lines = [
            [
                "WORSE" if r["regressed"] else r["verdict"],
                *map(_plain, (r["dataset"], r["method"], r["space"], f"{r['measure']} {r['score']} ({r['target']})")),
                r["n"],
                f"{r['before']:.4f}",
                f"{r['after']:.4f}",
                f"{r['gain']:+.4f}",
                "-" if math.isnan(r["low"]) else f"[{r['low']:+.4f}, {r['high']:+.4f}]",
                "-" if math.isnan(r["p_holm"]) else f"{r['p_holm']:.3g}",
            ]
            for r in told.to_dict("records")
        ]
        header = ["", "data set", "method", "space", "figure", "n", "before", "after", "gain", "95 %", "p (Holm)"]
        parts = [tabulate(lines, header, disable_numparse=True)] if lines else []
        parts += [f"{count} figures: {verdict}" for verdict, count in self.table["verdict"].value_counts().items()]
        parts += [f"missing on the second side: {_plain(name)}" for name in self.missing]
        parts += [f"new on the second side: {_plain(name)}" for name in self.new]
        parts += [f"skipped: {_plain(problem.reason)}" for problem in self.problems]
        regressed = int(self.table["regressed"].sum())
        parts.append(
            f"{'WORSE' if regressed else 'not worse'}: {regressed} of {len(self.table)} figures lost more than "
            f"{self.threshold:g} beyond noise (paired by seed, t-test, Holm, {1 - LEVEL:.0%}; a figure whose noise is "
            "unknown, of one seed or without spread, is held to the threshold alone)"
        )
        return "\n".join(parts) + "\n"


def compare(a: Path, b: Path, threshold: float = THRESHOLD, only: Collection[str] = ()) -> Comparison:
    """Two folders of results: every figure of `b` against the same one of `a`; see `compare_records`.

    Raises:
        NothingToCompare: no method, data set, seed and figure is in both.
    """
    before, problems = read_records(a)
    after, more = read_records(b)
    return compare_records(before, after, threshold, only, [*problems, *more])


def compare_methods(
    records: Iterable[Record],
    a: str,
    b: str,
    threshold: float = THRESHOLD,
    only: Collection[str] = (),
    problems: Iterable[Problem] = (),
) -> Comparison:
    """Two methods, by their labels in the leaderboard, on the data sets that both were run on.

    Raises:
        NothingToCompare: there is no such method, or they share no figure.
    """
    seen = observations(records)
    names = sorted(set(seen["method"]))
    for name in (a, b):
        if name not in names:
            raise NothingToCompare(f"no method {name!r} among the records: {', '.join(names) or 'there are none'}")
    first, second = (seen[seen["method"] == name].assign(method=f"{a} -> {b}") for name in (a, b))
    return _compare(first, second, threshold, only, list(problems))


def compare_records(
    before: Iterable[Record],
    after: Iterable[Record],
    threshold: float = THRESHOLD,
    only: Collection[str] = (),
    problems: Iterable[Problem] = (),
) -> Comparison:
    """Every figure of `after` against the same one (data set, method label, space, measure) of `before`.

    A figure regressed if its mean over common seeds is worse by more than `threshold` (in the score's own unit: 0.01 is
    one point of accuracy) and a paired t-test finds it worse, at 5 % after Holm's correction over all compared figures.
    Where there is no test, with one seed or no spread over seeds, the threshold alone decides. `only` restricts the
    comparison to some measures (`linear@1`): the fewer there are, the smaller the losses that the correction still
    finds.

    A method of both sides is the same one if its settings are, or else its label.

    Raises:
        NothingToCompare: no figure of a seed is in both.
    """
    before, after = list(before), list(after)
    labels = method_labels(before)
    old, new = observations(before, labels), observations(after, method_labels(after) | labels)
    return _compare(old, new, threshold, only, list(problems))


def _compare(
    before: pd.DataFrame, after: pd.DataFrame, threshold: float, only: Collection[str], problems: list[Problem]
) -> Comparison:
    import pandas as pd

    if not threshold >= 0:
        raise ValueError(f"the threshold is a loss, 0 or more, not {threshold}")
    old, new = (
        {(*k[:5], k[6]): v for k, v in by_seed(scored(seen)).items() if k[1] in only or not only}
        for seen in (before, after)
    )
    common = sorted(key for key in old.keys() & new.keys() if old[key].keys() & new[key].keys())
    if not common:
        raise NothingToCompare("no figure of the same method, data set and seed is on both sides")
    seeds = [sorted(old[key].keys() & new[key].keys()) for key in common]
    sign = np.array([rise(key[1], key[2]) for key in common])
    pairs = [np.array([new[k][s] - old[k][s] for s in ss]) * f for k, ss, f in zip(common, seeds, sign, strict=True)]
    tests = paired_tests(pairs)
    table = pd.DataFrame.from_records(common, columns=[*PLACE, "method", "space"])
    table["n"] = tests["n"]
    table["before"] = [float(np.mean([old[k][s] for s in ss])) for k, ss in zip(common, seeds, strict=True)]
    table["after"] = [float(np.mean([new[k][s] for s in ss])) for k, ss in zip(common, seeds, strict=True)]
    table["gain"] = tests["difference"]
    for name in ("low", "high", "effect", "p"):
        table[name] = tests[name]
    table["p_holm"] = holm(tests["p"])
    table["verdict"] = verdicts(table["p_holm"].to_numpy(), tests["difference"], tests["n"])
    decided = table["p_holm"].isna() | (table["verdict"] == WORSE)
    table["regressed"] = decided & (table["gain"] < -threshold)
    missing, extra = (sorted({_title(key) for key in one.keys() - set(common)}) for one in (old, new))
    return Comparison(table, missing, extra, threshold, problems)


def _title(key: tuple) -> str:
    dataset, measure, score, target, method, space = key
    return f"{dataset}/{method}/{space} {measure} {score} ({target})"


def _plain(text: str) -> str:
    """Without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
