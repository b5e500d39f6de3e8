"""Specification of targets: the contract between data sets and evaluation."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Kind = Literal["class", "ordinal", "continuous", "circular"]
Role = Literal["content", "style", "domain"]


@dataclass(frozen=True)
class TargetSpec:
    """One target of a data set; its values travel in a batch as `target/<name>`, shape [B].

    Attributes:
        name: as in the batch's key.
        kind: `class` (int64, no order), `ordinal` (int64, ordered), `continuous` (float32, any unit),
            `circular` (float32, radians; 0 and 2 pi are the same).
        size: number of values of a class or ordinal target; 1 for the other two.
        role: `content` should be predictable from a representation, `domain` should not be, `style` should be
            where the method says it is.
    """

    name: str
    kind: Kind
    size: int
    role: Role

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.role not in get_args(Role) or self.size < 1:
            raise ValueError(
                f"target {self.name!r}: kind is one of {get_args(Kind)}, role one of {get_args(Role)}, size >= 1; "
                f"got kind={self.kind!r}, role={self.role!r}, size={self.size!r}"
            )

    @property
    def key(self) -> str:
        """The batch's key, `target/<name>`."""
        return f"target/{self.name}"

    @property
    def discrete(self) -> bool:
        """True if values are class numbers 0 .. size-1 (kinds `class` and `ordinal`)."""
        return self.kind in ("class", "ordinal")

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for records and for methods, which don't import this package."""
        return asdict(self)
