"""Figures that others have published: of a suite's experiment, in a record, beside a figure of a table."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Published:
    """A figure that others have published, for the table to show beside this suite's own.

    Attributes:
        measure: `name@version` of the measure that it stands beside. Example: `linear@1`
        score: of the measure. Example: `top1`
        value: in the score's own unit: 0.8444 where the source prints 84.44 %. Example: `0.8444`
        source: where it was read. Example: `table 2 of the paper`
        protocol: `same` as the measure's, or what differs. Example: `same`
        target: of the measure; None: the only one. Example: `class`
    """

    measure: str
    score: str
    value: float
    source: str
    protocol: str
    target: str | None = None

    def __post_init__(self) -> None:
        for name in ("source", "protocol"):
            if not getattr(self, name).strip():
                raise ValueError(f"published: `{name}` is empty")
        if not math.isfinite(self.value):
            raise ValueError(f"published: value is {self.value}")

    def __repr__(self) -> str:
        return f"{self.value!r} ({self.source}; {self.protocol_text})"

    @property
    def comparable(self) -> bool:
        """Whether it was measured as here."""
        return self.protocol == "same"

    @property
    def protocol_text(self) -> str:
        """The protocol in words."""
        return "same protocol" if self.comparable else f"another protocol: {self.protocol}"
