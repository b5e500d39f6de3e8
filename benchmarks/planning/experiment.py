"""Experiments of a suite: one method on one data set with settings and a label of its own, and what was published."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from jsonargparse.typing import restricted_number_type

from disentangle_bench.evaluation.published import Published

Steps = restricted_number_type("Steps", int, [(">", 0), ("<=", 1_000_000_000)])
Minutes = restricted_number_type("Minutes", float, [(">=", 0.001), ("<=", 1_000_000)])
Count = restricted_number_type("Count", int, [(">", 0), ("<=", 1_000_000)])
"""Whatever is beyond these bounds, and NaN, is a mistake and no wish."""


@dataclass
class Budget:
    """How long a cell trains: exactly one of them.

    Attributes:
        epochs: passes over the training images. Example: `30`
        steps: of the optimiser, so many batches. Example: `400`
        minutes: of training; not the same figures on every machine. Example: `5`
    """

    epochs: Count | None = None  # type: ignore[valid-type]
    steps: Steps | None = None  # type: ignore[valid-type]
    minutes: Minutes | None = None  # type: ignore[valid-type]

    def __post_init__(self) -> None:
        if len(self.given) != 1:
            raise ValueError(f"budget: exactly one of epochs, steps, minutes is expected, got {self.given or 'none'}")

    @property
    def given(self) -> dict[str, float]:
        """The one that is given, by its name."""
        return {unit: amount for unit, amount in asdict(self).items() if amount is not None}


@dataclass
class ExperimentSettings:
    """What an experiment has otherwise than the suite's settings.

    Attributes:
        method: options of the method. Example: `{temperature: 0.5}`
        data: options of the data set. Example: `{train_images: 300}`
        budget: instead of the suite's. Example: `{epochs: 1000}`
    """

    method: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    budget: Budget | None = None


@dataclass
class Experiment:
    """A row of the table.

    Attributes:
        label: name of the row. Example: `simclr at the same temperature`
        method: name or dotted path. Example: `simclr`
        dataset: name or dotted path. Example: `digits`
        settings: over those of the suite.
        published: figures to compare with.
    """

    label: str
    method: str
    dataset: str
    settings: ExperimentSettings = field(default_factory=ExperimentSettings)
    published: list[Published] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.label.strip() or not self.label.isprintable() or "," in self.label:
            raise ValueError(f"experiments: a label is printable text without commas, got {self.label!r}")

    def entry(self, suite: str) -> dict[str, Any]:
        """What a record keeps of it: plain values for JSON."""
        return {"suite": suite, "label": self.label, "published": [asdict(one) for one in self.published]}
