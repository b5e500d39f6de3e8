"""Outcomes: the contribution of each test image to a figure, kept beside the record so that anyone can recompute it.

Of a measure that is a mean over test images, `outcomes.npz` in a run's folder holds the terms of that mean (right or
wrong, or a number), and the class or cluster that each image was given. Bits are packed; there are no pickles in it.
The file has two members: `index`, JSON that says what lies where, and `data`, all arrays one after the other (a member
each would take as long to open as all of this).
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from disentangle_bench.files import read_bytes, write_file

FILE = "outcomes.npz"
KINDS = frozenset({"|u1", "<u2", "<u4", "<u8", "<i8", "<f4", "<f8"})
"""Types of number that the arrays may have."""
LARGEST = 2**31
"""Bytes that the arrays of one file may unpack to."""


class BadOutcomes(ValueError):
    """A file of outcomes can't be read; the message names it and says what is wrong."""


class Key(NamedTuple):
    """The key of a figure: as in a row of the record, and the name of the score (or of ids, such as `predicted`)."""

    measure: str
    space: str
    target: str
    score: str


@dataclass(frozen=True)
class Outcome:
    """The terms of one figure, a term a test image: the figure is `offset + scale * weighted mean of values`.

    Attributes:
        values: bool [N] (right or wrong) or float [N], in the test split's order.
        weights: float [N], zero or more; None: all equal.
        scale: of the mean.
        offset: of the figure: with `scale`, what makes an accuracy of a share above chance.
    """

    values: np.ndarray
    weights: np.ndarray | None = None
    scale: float = 1.0
    offset: float = 0.0

    @property
    def figure(self) -> float:
        """The figure, from its terms."""
        return float(self.offset + self.scale * np.average(self.values.astype(np.float64), weights=self.weights))

    @property
    def terms(self) -> np.ndarray:
        """float64 [N]: what each image contributes, so that the plain mean is the figure and their spread is its noise.

        With weights w the figure is a ratio, and a term its linearisation: m + w_i / mean(w) (v_i - m), where m is the
        weighted mean (Cochran: Sampling Techniques, 1977, chapter 6). The weights themselves are no noise.
        """
        values = self.values.astype(np.float64)
        if self.weights is not None:
            mean = np.average(values, weights=self.weights)
            values = mean + self.weights * (len(values) / self.weights.sum()) * (values - mean)
        return self.offset + self.scale * values


@dataclass(frozen=True)
class Measured:
    """The result of one measurement.

    Attributes:
        scores: the figures.
        outcomes: score -> its terms, for scores that are a mean over test images.
        ids: name -> int [N] or [draws, N]: `predicted`, `clusters`, `labels`: what scores that are no mean are made of.
    """

    scores: dict[str, float]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    ids: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Outcomes:
    """All that a run's folder keeps by image."""

    outcomes: dict[Key, Outcome] = field(default_factory=dict)
    ids: dict[Key, np.ndarray] = field(default_factory=dict)

    def add(self, measure: str, space: str, target: str, found: Measured) -> None:
        """Enter what one measurement found."""
        self.outcomes |= {Key(measure, space, target, score): outcome for score, outcome in found.outcomes.items()}
        self.ids |= {Key(measure, space, target, name): ids for name, ids in found.ids.items()}

    def update(self, other: Outcomes) -> None:
        """Take over all that another one holds."""
        self.outcomes |= other.outcomes
        self.ids |= other.ids


def write_outcomes(path: Path, found: Outcomes) -> None:
    """Write all outcomes to one file, whole or not at all; equal outcomes give equal bytes, equal arrays stand once."""
    parts: list[bytes] = []
    places: dict[tuple, list] = {}

    def keep(array: np.ndarray) -> list:
        content = (array.dtype.str, array.shape, array.tobytes())
        if content not in places:
            places[content] = [sum(map(len, parts)), array.dtype.str, list(array.shape)]
            parts.append(content[2])
        return places[content]

    entries: list[dict[str, Any]] = []
    for key, outcome in sorted(found.outcomes.items()):
        entry: dict[str, Any] = {"key": list(key), "scale": outcome.scale, "offset": outcome.offset}
        if outcome.values.dtype == np.bool_:
            entry |= {"images": len(outcome.values), "values": keep(np.packbits(outcome.values))}
        else:
            entry["values"] = keep(np.asarray(outcome.values, np.float32))
        if outcome.weights is not None:
            entry["weights"] = keep(np.asarray(outcome.weights, np.float64))
        entries.append(entry)
    entries += [{"key": list(key), "ids": keep(_smallest(ids))} for key, ids in sorted(found.ids.items())]
    index = np.frombuffer(json.dumps(entries, allow_nan=False).encode(), np.uint8)
    content = io.BytesIO()
    np.savez_compressed(content, index=index, data=np.frombuffer(b"".join(parts), np.uint8))
    write_file(path, content.getvalue())


def read_outcomes(path: Path) -> Outcomes:
    """Read what `write_outcomes` wrote; empty where there is no such file.

    Raises:
        BadOutcomes: it is damaged, or none of ours.
    """
    found = Outcomes()
    if not path.exists():
        return found
    try:
        with np.load(io.BytesIO(read_bytes(path, LARGEST)), allow_pickle=False) as stored:
            if sum(entry.file_size for entry in stored.zip.infolist()) > LARGEST:
                raise ValueError("its arrays would unpack to more than 2 GB")
            entries, data = json.loads(stored["index"].tobytes()), stored["data"].tobytes()

        def take(place: list) -> np.ndarray:
            start, kind, shape = place
            if kind not in KINDS:
                raise ValueError(f"arrays of {kind!r}")
            return np.frombuffer(data, kind, math.prod(shape), start).reshape(shape)

        for entry in entries:
            key = Key(*map(str, entry["key"]))
            if "ids" in entry:
                found.ids[key] = _checked_ids(take(entry["ids"]))
                continue
            values = take(entry["values"])
            if "images" in entry:
                values = np.unpackbits(values, count=entry["images"]).astype(bool)
            weights = take(entry["weights"]) if "weights" in entry else None
            found.outcomes[key] = _checked(Outcome(values, weights, float(entry["scale"]), float(entry["offset"])))
    except Exception as error:  # whatever a damaged or hostile file makes the readers raise
        raise BadOutcomes(f"{path}: no readable outcomes ({type(error).__name__}: {error})") from error
    return found


def _checked(outcome: Outcome) -> Outcome:
    """The outcome. Raises ValueError if its figure can't be computed."""
    values, weights = outcome.values, outcome.weights
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values of shape {values.shape}")
    if weights is not None and (weights.shape != values.shape or not (weights >= 0).all() or not weights.sum() > 0):
        raise ValueError(f"weights of shape {weights.shape} for {len(values)} values that are no weights")
    return outcome


def _checked_ids(ids: np.ndarray) -> np.ndarray:
    """The ids. Raises ValueError unless they are integers [N] or [draws, N]."""
    if ids.dtype.kind not in "iu" or ids.ndim not in (1, 2) or not ids.size:
        raise ValueError(f"ids of shape {ids.shape} and type {ids.dtype}")
    return ids


def has_outcomes(found: Measured | Mapping[str, float]) -> Measured:
    """A measure's result as `Measured`: plain scores have no outcomes."""
    return found if isinstance(found, Measured) else Measured(dict(found))


def _smallest(ids: np.ndarray) -> np.ndarray:
    """Integers in the smallest kind that holds them."""
    return ids.astype(np.min_scalar_type(int(ids.max(initial=0)))) if ids.min(initial=0) >= 0 else ids.astype(np.int64)
