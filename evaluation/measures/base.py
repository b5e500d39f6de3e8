"""What a measure is: a metric with its splits, its targets, its settings, a name and a version."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from disentangle_bench.datamodules.targets import Role, TargetSpec

if TYPE_CHECKING:  # tables read measures too, and should not wait for torch
    from disentangle_bench.evaluation.encoder import Encoder

T = TypeVar("T")
ALL = "all factors"
"""Stands for the target where a measure looks at every factor at once."""


@dataclass(frozen=True)
class Space:
    """One space of a feature bank, and what stands behind it.

    Attributes:
        name: of the space.
        x: split -> float32 [N, d].
        y: split -> target -> [N].
        encoder: the network itself, for what cached features can't tell; None where only features are at hand.
    """

    name: str
    x: dict[str, np.ndarray]
    y: dict[str, dict[str, np.ndarray]]
    encoder: Encoder | None = None
    _known: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def labels(self, target: TargetSpec) -> dict[str, np.ndarray]:
        """Split -> values [N] of one target."""
        return {split: values[target.name] for split, values in self.y.items()}

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What several measures need, computed by the first of them."""
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]


@dataclass(frozen=True)
class Score:
    """How to read one figure: which direction is better, its range, what chance gives."""

    direction: Literal["up", "down"] | None
    low: float
    high: float
    chance: str
    unit: Literal["percent", ""] = ""


@dataclass(frozen=True)
class Subjects:
    """Which targets of a data set a measure is taken on.

    Attributes:
        text: for people, `each content target`.
        choose: the data set's targets -> (name in the record, targets handed to the measure), one an application.
    """

    text: str
    choose: Callable[[tuple[TargetSpec, ...]], list[tuple[str, tuple[TargetSpec, ...]]]]


def each(role: Role | None = None) -> Subjects:
    """Each target with classes of a role, one at a time; without a role, each target of whatever kind."""
    return Subjects(
        f"each {role} target" if role else "each target",
        lambda targets: [(t.name, (t,)) for t in targets if role is None or (t.role == role and t.discrete)],
    )


CONTENT_BY_DOMAIN = Subjects(
    "each content target with each domain",
    lambda targets: [
        (f"{content.name} by {domain.name}", (content, domain))
        for content in targets
        for domain in targets
        if content.role == "content" and domain.role == "domain" and content.discrete and domain.discrete
    ],
)
FACTORS = Subjects("all targets together", lambda targets: [(ALL, targets)])
NO_TARGET = Subjects("none", lambda targets: [("", ())])


@dataclass(frozen=True)
class Measure:
    """A named, versioned measurement.

    Attributes:
        name: with `version`, the column's name: `linear@1`.
        version: raised whenever the figures could change.
        subjects: targets that it is taken on.
        splits: what it fits on, selects on and is scored on.
        source: paper.
        scores: figures that the table shows, of those in the record.
        run: (space, *targets) -> figures. Its keyword defaults are its parameters, and stand in every record.
        spaces: spaces it applies to; None means all but `assignment`.
        matrix: whether the figures make a table of their own, spaces by targets, instead of columns of the leaderboard.
    """

    name: str
    version: int
    subjects: Subjects
    splits: str
    source: str
    scores: dict[str, Score]
    run: Callable[..., dict[str, float]]
    spaces: tuple[str, ...] | None = None
    matrix: bool = False
    aspect: str = "content"

    @property
    def title(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def parameters(self) -> dict[str, Any]:
        """Every setting of the measurement."""
        signature = inspect.signature(self.run)
        return {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}

    def applies(self, space: str) -> bool:
        """Whether this is measured in a space."""
        return space in self.spaces if self.spaces else space != "assignment"


ACCURACY = Score("up", 0, 1, "share of the most frequent class", "percent")
