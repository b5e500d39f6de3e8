"""The class of measures: a metric with its splits, targets and settings, a name and a version."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from disentangle_bench.datamodules.targets import Role, TargetSpec
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.outcomes import Measured, Outcome

if TYPE_CHECKING:  # tables read measures too, and should not wait for torch
    from torch import Tensor

    from disentangle_bench.evaluation.network import Network

T = TypeVar("T")
ALL = "all factors"
"""Stands for the target where a measure looks at every factor at once."""
ROUNDING = 1e-6
"""How far outside of its range a figure may lie by rounding."""


@dataclass(frozen=True)
class Space:
    """One space of a feature bank, and what stands behind it.

    Attributes:
        name: of the space.
        x: split -> float32 [N, d].
        y: split -> target -> [N].
        encoder: the network itself, for what cached features can't tell; None where only features are at hand.
        weights: split -> [N], under which content and domain are independent; None or absent: they are as it is.
    """

    name: str
    x: dict[str, np.ndarray]
    y: dict[str, dict[str, np.ndarray]]
    encoder: Network | None = None
    weights: dict[str, np.ndarray | None] = field(default_factory=dict)
    _known: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def labels(self, target: TargetSpec) -> dict[str, np.ndarray]:
        """Split -> values [N] of one target."""
        return {split: values[target.name] for split, values in self.y.items()}

    def weigh(self, split: str) -> np.ndarray | None:
        """Weights float64 [N] of a split's images, or None: all equal."""
        weights = self.weights.get(split)
        if weights is not None and not np.any(weights):
            raise MetricUndefined(f"no class of split {split!r} has images in every domain")
        return None if weights is None else np.asarray(weights, np.float64)

    def need_probe(self) -> None:
        """MetricUndefined unless the splits are there in which content and domain are independent."""
        missing = [split for split in ("probe", "probe_val") if split not in self.x]
        if missing:
            raise MetricUndefined(
                f"this measure is fitted on images whose class and domain are independent: no split {missing[0]!r} here"
            )

    def cached(self, key: Hashable, compute: Callable[[], T]) -> T:
        """A value that several measures need, computed by the first of them."""
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]


@dataclass(frozen=True)
class Score:
    """How to read one figure.

    Attributes:
        direction: which is better; None where neither is: what only describes is not ranked.
        low: the least it can be.
        high: the most.
        chance: what a guess gets, in words.
        unit: `percent`: a share, shown in percent with one decimal; `plain`: as it is, with three.
        most_codes: the widest space on which it follows what it should, of those that `bench stress` tried
            (results/measures.md); tables grey figures of wider ones. None: no limit is known.
    """

    direction: Literal["up", "down"] | None
    low: float
    high: float
    chance: str
    unit: Literal["percent", "plain"] = "plain"
    most_codes: int | None = None

    def has(self, figure: float) -> bool:
        """Whether a figure is in its range, but for rounding."""
        return self.low - ROUNDING <= figure <= self.high + ROUNDING


NO_SCORE = Score(None, -math.inf, math.inf, "none")
"""The score of a figure that this version of the protocol doesn't know."""


@dataclass(frozen=True)
class TargetSelection:
    """The targets of a data set that a measure is taken on.

    Attributes:
        text: for people, `each content target`.
        choose: the data set's targets -> (name in the record, targets handed to the measure), one an application.
    """

    text: str
    choose: Callable[[tuple[TargetSpec, ...]], list[tuple[str, tuple[TargetSpec, ...]]]]


def each(role: Role | None = None) -> TargetSelection:
    """Each target with classes of a role, one at a time; without a role, each target of whatever kind."""
    return TargetSelection(
        f"each {role} target" if role else "each target",
        lambda targets: [(t.name, (t,)) for t in targets if role is None or (t.role == role and t.discrete)],
    )


CONTENT_BY_DOMAIN = TargetSelection(
    "each content target with each domain",
    lambda targets: [
        (f"{content.name} by {domain.name}", (content, domain))
        for content in targets
        for domain in targets
        if content.role == "content" and domain.role == "domain" and content.discrete and domain.discrete
    ],
)
CONTENT_AND_DOMAINS = TargetSelection(
    "each content target, beside all domains",
    lambda targets: [
        (content.name, (content, *(t for t in targets if t.role == "domain" and t.discrete)))
        for content in targets
        if content.role == "content" and content.discrete
    ],
)
FACTORS = TargetSelection("all targets together", lambda targets: [(ALL, targets)])
NO_TARGET = TargetSelection("none", lambda targets: [("", ())])


@dataclass(frozen=True)
class Measure:
    """A named, versioned measurement.

    Attributes:
        name: with `version`, the column's name: `linear@1`.
        version: raised whenever the figures could change.
        targets: which of a data set's targets it is taken on.
        splits: what it fits on, selects on and is scored on.
        source: paper.
        scores: figures that the table shows, of those in the record.
        aspect: what it asks: is the content there; is the domain gone, and what else should not matter; does a code
            stand for a factor; or nothing that could be good or bad.
        run: (space, *targets) -> figures, or `Measured` with the terms of those that are means over test images. Its
            keyword defaults are its parameters, and stand in every record.
        spaces: spaces it applies to; None means all but `assignment`.
        matrix: whether the figures make a table of their own, spaces by targets, instead of columns of the leaderboard.
        chooses: whether options may be chosen by it: it never sees test images.
    """

    name: str
    version: int
    targets: TargetSelection
    splits: str
    source: str
    scores: dict[str, Score]
    aspect: Literal["content", "domain", "factors", "descriptive"]
    run: Callable[..., dict[str, float] | Measured]
    spaces: tuple[str, ...] | None = None
    matrix: bool = False
    chooses: bool = False

    @property
    def title(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def summary(self) -> str:
        """The first paragraph of its function's docstring."""
        function = self.run.func if isinstance(self.run, partial) else self.run
        return (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")

    @property
    def parameters(self) -> dict[str, Any]:
        """Every setting of the measurement."""
        signature = inspect.signature(self.run)
        return {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}

    def applies(self, space: str) -> bool:
        """Whether this is measured in a space."""
        return space in self.spaces if self.spaces else space != "assignment"


MOST_FREQUENT = "share of the most frequent class"
"""Chance of an accuracy; tables put the share in its place where the outcomes tell the classes."""
ACCURACY = Score("up", 0, 1, MOST_FREQUENT, "percent")


def measured(outcomes: dict[str, Outcome], others: dict[str, float] | None = None, **ids: np.ndarray) -> Measured:
    """Figures that are means over test images, from their terms; `others` that are not; and ids by name."""
    figures = {name: outcome.figure for name, outcome in outcomes.items()}
    return Measured(figures | {k: v for k, v in (others or {}).items() if k not in figures}, outcomes, ids)


def classified(scores: Tensor, y: np.ndarray, others: dict[str, float]) -> Measured:
    """The figures of a classifier with scores [N, C] for test images of classes y [N]: top1 by image, and others."""
    predicted = scores.numpy().argmax(axis=1)  # the lowest of equal ones, as ranks count
    return measured({"top1": Outcome(predicted == y)}, others, predicted=predicted, labels=y)


def above_chance(guess: np.ndarray, truth: np.ndarray, weights: np.ndarray | None, chance: float) -> Outcome:
    """Terms of (accuracy - chance) / (1 - chance) of guesses [N]; all of them 0 where a constant guess does as well."""
    right = Outcome(guess == truth, weights)
    if right.figure <= chance:
        return Outcome(np.zeros(len(truth), dtype=bool), weights)
    return Outcome(right.values, weights, scale=1 / (1 - chance), offset=-chance / (1 - chance))
