"""Metadata of a file of weights, read without torch so that a wrong file is refused at once."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

LONGEST_TEXT = 500
"""Characters of a name in metadata."""
LARGEST_EDGE = 8192
"""Pixels of an image's edge in metadata."""


class BadFile(ValueError):
    """A file holds no encoder of this suite; the message names it and says why."""


@dataclass(frozen=True)
class Note:
    """Metadata of a file of weights.

    Attributes:
        method: name of the method that was trained.
        dataset: name of the data set.
        backbone: name of the encoder.
        stem: of it.
        step: steps of training.
        image_shape: (channels, height, width) of the views that it was trained on.
        eval_shape: (height, width) that images are judged at.
        eval_crop: share of their edge.
        mean: of each channel, in [0, 1].
        std: of each channel.
        labels: roles of the targets that the method was trained with.
        budget: of the training: unit -> amount.
        options: of the method.
        data: description of the data set that the method got (`datamodule.describe()`).
        whole: true if the file holds the whole method, false if it holds the encoder alone.
    """

    method: str
    dataset: str
    backbone: str
    stem: str
    step: int
    image_shape: tuple[int, int, int]
    eval_shape: tuple[int, int]
    eval_crop: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: frozenset[str]
    budget: dict[str, float]
    options: dict[str, Any]
    data: dict[str, Any]
    whole: bool

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Note:
        """Parse the metadata of a file. Raises ValueError that names the missing or wrong entry."""
        names = {key: _name(metadata, key) for key in ("method", "dataset", "backbone", "stem")}
        shape = _numbers(metadata, "image_shape", 3, 1, LARGEST_EDGE)
        if "mean" not in metadata:
            raise ValueError("its metadata don't say how images are normalised: written by an older version")
        return cls(
            **names,
            step=int(_numbers(metadata, "step", 0, 0)[0]),
            image_shape=(int(shape[0]), int(shape[1]), int(shape[2])),
            eval_shape=tuple(int(n) for n in _numbers(metadata, "eval_shape", 2, 1, LARGEST_EDGE)),  # type: ignore[arg-type]
            eval_crop=_numbers(metadata, "eval_crop", 0, 1e-3, 1)[0],
            mean=tuple(_numbers(metadata, "mean", int(shape[0]))),
            std=tuple(_numbers(metadata, "std", int(shape[0]), 1e-6)),
            labels=frozenset(map(str, _json(metadata, "labels", list))),
            budget={str(k): v for k, v in _json(metadata, "budget", dict).items() if isinstance(v, int | float)},
            options=_json(metadata, "options", dict),
            data=_json(metadata, "data", dict),
            whole=metadata.get("whole") == "true",
        )


def read_note(path: Path) -> Note:
    """The metadata of a file of weights. Raises BadFile if the file isn't one of this suite's."""
    if not path.is_file():
        raise BadFile(f"{path}: {'not a regular' if path.exists() else 'no such'} file")
    try:
        with safe_open(path, "np") as file:
            return Note.of(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise BadFile(f"{path}: not a safetensors file ({error})") from error
    except ValueError as error:
        raise BadFile(f"{path}: not an encoder of this suite ({error})") from error


def _name(metadata: Mapping[str, str], key: str) -> str:
    text = metadata.get(key)
    if text is None:
        raise ValueError(f"its metadata: {key} is missing")
    if not text.strip() or not text.isprintable() or len(text) > LONGEST_TEXT:
        raise ValueError(f"its metadata: {key} is {text!r:.60}, a name is expected")
    return text


def _json(metadata: Mapping[str, str], key: str, kind: type) -> Any:
    """A value that stands as JSON; an empty one where it is missing."""
    try:
        value = json.loads(metadata.get(key, "null"))
    except (ValueError, RecursionError):
        raise ValueError(f"its metadata: {key} is {metadata[key]!r:.60}, JSON is expected") from None
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ValueError(f"its metadata: {key} is {metadata[key]!r:.60}, a {kind.__name__} is expected")
    return value


def _numbers(
    metadata: Mapping[str, str], key: str, count: int, low: float = -math.inf, high: float = math.inf
) -> list[float]:
    """`count` numbers in their range, as a JSON list; 0 stands for one number that is no list."""
    if key not in metadata:
        raise ValueError(f"its metadata: {key} is missing")
    try:
        value = json.loads(metadata[key])
    except (ValueError, RecursionError):
        value = None
    values = value if isinstance(value, list) and count else [value]
    if len(values) != (count or 1) or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and low <= v <= high for v in values
    ):
        raise ValueError(f"its metadata: {key} is {metadata[key]!r:.60}, {count or 'one'} number(s) expected")
    return values
