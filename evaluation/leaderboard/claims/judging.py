"""Do papers' claims hold? Each is a comparison that was fixed before the runs, with a verdict from their figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from disentangle_bench.evaluation.leaderboard.frame import COST, observations
from disentangle_bench.evaluation.leaderboard.lines import Line, Run, differences, lines_of
from disentangle_bench.evaluation.leaderboard.statistics import FEWEST, LEVEL, Layout
from disentangle_bench.evaluation.records import Record, seconds_taken

HOLDS, WEAKER, CONTRADICTED, NOT_SHOWN, NOT_RUN = (
    "holds",
    "holds weaker",
    "contradicted",
    "not shown (underpowered)",
    "not run",
)


@dataclass(frozen=True)
class Side:
    """One side of a comparison; measure, score and target are those of the claim unless the side has its own.

    Attributes:
        row: label of a row of the table: a method (one of your own by its `name`, or its path), or an experiment of the
            suite.
        space: space whose figure is taken; empty: the method's own for this measure.
        measure: title of the measure.
        score: name of the measure's score.
        target: target of the measure.
        value: a constant instead of a row, such as a chance level.
    """

    row: str = ""
    space: str = ""
    measure: str = ""
    score: str = ""
    target: str | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        if bool(self.row) == (self.value is not None):
            raise ValueError("one side of a claim is either a row or a value")

    def __str__(self) -> str:
        what = " ".join(part for part in (self.row, self.space, self.measure, self.score) if part)
        return what if self.value is None else f"{self.value:g}"


@dataclass(frozen=True)
class Claim:
    """A paper's claim that a figure of A is better than the same figure of B.

    Attributes:
        name: short name of the claim.
        statement: the claim in a sentence.
        source: place in the paper.
        dataset: data set that the claim is tried on.
        a: side that should be better.
        b: side that should be worse.
        measure: title of the measure, or `cost` with a score such as train_seconds.
        score: name of the measure's score.
        target: target of the measure; empty for costs.
        direction: `up` or `down`: whether A should be higher or lower.
        at_least: smallest difference that matters, in the score's own unit; for costs a factor. Below 0: A may be worse
            by so much ("at no loss of ...").
        published: the paper's own figure, as it was read.
        note: explanation of the verdict, if any is known.
        paper: the paper.
        suite: suite whose runs decide.
        seeds: seeds of these runs.
        file: the user's own file that holds the claim; empty: it ships with the package.
    """

    name: str
    statement: str
    source: str
    dataset: str
    a: Side
    b: Side
    measure: str
    score: str
    at_least: float
    target: str = ""
    direction: str = "up"
    published: str = "not obtained"
    note: str = ""
    paper: str = ""
    suite: str = ""
    seeds: list[int] = field(default_factory=list)
    file: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.at_least) or (self.is_cost and self.at_least <= 0):
            raise ValueError(f"claim {self.name}: at_least is a number, for costs a factor above 0")
        if self.direction not in ("up", "down"):
            raise ValueError(f"claim {self.name}: direction is up or down, got {self.direction!r}")
        if self.a.value is not None:
            raise ValueError(f"claim {self.name}: a is a row, only b may be a value")

    @property
    def is_cost(self) -> bool:
        """Whether costs are compared, by their ratio."""
        return self.measure == COST

    @property
    def may_lose(self) -> bool:
        """Whether A may be worse by so much: the claim is that something costs nothing that matters."""
        return self.least < 0

    @property
    def least(self) -> float:
        """`at_least` on the scale that differences are taken on."""
        return math.log(self.at_least) if self.is_cost else self.at_least

    def figure(self, side: Side) -> tuple[str, str, str]:
        """(measure, score, target) of a side."""
        target = self.target if side.target is None else side.target
        return side.measure or self.measure, side.score or self.score, target


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    Attributes:
        claim: the claim.
        verdict: one of this module's five.
        n: number of seeds that both sides have.
        a, b: means of both sides over these seeds; NaN without runs.
        gain: lead of A over B, positive in the claimed direction; for costs the log of the ratio.
        low, high: 95 % interval of the lead.
        seconds: time that the runs of both sides took to train and judge.
        reason: why there is no verdict, or empty.
        spaces: spaces of A and B that were measured; empty for a constant and for costs.
        images: number of test images whose outcomes the interval covers; 0: it is over seeds alone.
    """

    claim: Claim
    verdict: str
    n: int = 0
    a: float = math.nan
    b: float = math.nan
    gain: float = math.nan
    low: float = math.nan
    high: float = math.nan
    seconds: float = 0.0
    reason: str = ""
    spaces: tuple[str, str] = ("", "")
    images: int = 0


def judge(claims: Sequence[Claim], found: Mapping[Path, Record]) -> list[Judged]:
    """A verdict on each claim, from the records.

    The differences by seed and test image are a crossed layout, as in `compare`; their mean has the interval of
    `statistics.Layout`. A claim with a smallest difference that matters, d,

    - holds if the interval lies above 0 and the difference is at least d;
    - holds weaker if the interval lies above 0, and the difference is smaller than that;
    - is contradicted if the interval lies below d, and not above 0;
    - is not shown if none of these, or with fewer than three seeds.

    Where d is below 0 (A may be worse by so much) it holds if the interval lies above d and is contradicted if below.
    """
    seen = observations(found)
    lines = lines_of(seen)[0]
    seconds = {record["cell"]["hash"]: seconds_taken(record) for record in found.values()}
    return [_judge(claim, lines, seconds) for claim in claims]


def verdict(gain: float, low: float, high: float, least: float) -> str:
    """The verdict on a difference (positive in the claimed direction) with its interval, by the rules of `judge`."""
    if np.isnan(low) or np.isnan(high):
        return NOT_SHOWN
    if least < 0:
        return HOLDS if low > least else CONTRADICTED if high < least else NOT_SHOWN
    if low > 0:
        return HOLDS if gain >= least else WEAKER
    return CONTRADICTED if high < least else NOT_SHOWN


def _judge(claim: Claim, lines: Mapping[Line, list[Run]], seconds: Mapping[str, float]) -> Judged:
    from scipy.special import stdtrit

    sides, spaces = zip(*(_runs(claim, side, lines) for side in (claim.a, claim.b)), strict=True)
    if missing := [str(side) for side, runs in zip((claim.a, claim.b), sides, strict=True) if side.row and not runs]:
        return Judged(claim, NOT_RUN, reason=f"no figure of {' and '.join(dict.fromkeys(missing))}")
    first, second = sides if claim.b.row else (sides[0], {})
    seeds = sorted(first.keys() & second.keys() if claim.b.row else first.keys())
    if not seeds:
        return Judged(claim, NOT_RUN, reason="no seed is on both sides")
    a, b = [first[seed] for seed in seeds], [second[seed] for seed in seeds if claim.b.row]
    sign = 1 if claim.direction == "up" else -1
    if claim.is_cost:
        if not all(run.value > 0 for run in [*a, *b]):
            return Judged(claim, NOT_RUN, reason="a cost of 0 has no ratio to another")
        pairs = [(np.log(x.value), np.log(y.value)) for x, y in zip(a, b, strict=True)]
        gains = np.array([sign * (x - y) for x, y in pairs])
    else:
        gains = sign * differences(a, b if claim.b.value is None else claim.b.value)
    layout = Layout.of([gains])
    spread = layout.means()
    gain = float(layout.mean[0])
    half = float(stdtrit(spread.df, (1 + LEVEL) / 2)[0] * np.sqrt(spread.total)[0])
    few = len(seeds) < FEWEST
    cells = {run.run for run in [*a, *b]}
    return Judged(
        claim,
        NOT_SHOWN if few else verdict(gain, gain - half, gain + half, claim.least),
        len(seeds),
        float(np.mean([run.value for run in a])),
        float(np.mean([run.value for run in b])) if claim.b.value is None else claim.b.value,
        gain,
        gain - half,
        gain + half,
        sum(seconds.get(cell, 0.0) for cell in cells),
        f"fewer than {FEWEST} seeds" if few else "",
        spaces,
        layout.images,
    )


def _runs(claim: Claim, side: Side, lines: Mapping[Line, list[Run]]) -> tuple[dict[int, Run], str]:
    """Seed -> the run of a side, and its space."""
    found: dict[int, Run] = {}
    space = side.space
    for line, runs in lines.items():
        place = (line.dataset, line.method, line.measure, line.score, line.target)
        if place != (claim.dataset, side.row, *claim.figure(side)):
            continue
        if line.measure == COST or (line.space == side.space if side.space else _speaks(line)):
            found |= {run.seed: run for run in runs if not claim.seeds or run.seed in claim.seeds}
            space = line.space
    return found, space


def _speaks(line: Line) -> bool:
    """Whether the space is the one that speaks for the method: its primary one where no column of a table says."""
    from disentangle_bench.evaluation.protocol import MEASURES

    matrix = line.measure in MEASURES and MEASURES[line.measure].matrix
    return line.space == line.primary_space if matrix else bool(line.row())
