"""JSON files as dataclasses: what doesn't fit is named, never guessed at."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from disentangle_bench.files import read_text

T = TypeVar("T")


class BadJson(ValueError):
    """A file isn't what it should be; the message names it and says what is wrong."""


def read(cls: type[T], path: Path) -> T | None:
    """The dataclass that a file holds (written by `records.write_json` of its `asdict`), None if there is no file.

    Raises:
        BadJson: cut short, not a regular file, with parts missing, of another kind, or NaN.
    """
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise BadJson(f"{path.name}: not readable ({error})") from error
    return from_dict(cls, content, path.name)


def from_dict(cls: type[T], content: Any, where: str) -> T:
    """A dataclass from plain values; keys that it doesn't have are left out. Raises BadJson, naming `where`."""
    if not isinstance(content, dict):
        raise BadJson(f"{where}: a mapping was expected, got {type(content).__name__}")
    kinds, values = get_type_hints(cls), {}
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name in content:
            values[field.name] = _value_of(kinds[field.name], content[field.name], f"{where}: {field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise BadJson(f"{where}: {field.name} is missing")
    try:
        return cls(**values)
    except ValueError as error:
        raise BadJson(f"{where}: {error}") from error


def _value_of(kind: Any, value: Any, where: str) -> Any:
    """The value as a field of this kind holds it."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if value is None else _value_of(parts[0], value, where)
    if is_dataclass(kind):
        return from_dict(kind, value, where)  # type: ignore[arg-type]
    if origin in (list, tuple) and isinstance(value, list):
        return origin(_value_of(parts[0], one, where) for one in value)
    if origin is dict and isinstance(value, dict):
        return {key: _value_of(parts[1], one, where) for key, one in value.items()}
    plain: Any = {float: (int, float), Any: object}.get(kind, kind if origin is None else ())
    if not isinstance(value, plain) or (isinstance(value, bool) and kind not in (bool, Any)):
        raise BadJson(f"{where}: {getattr(kind, '__name__', kind)} expected, got {value!r:.60}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadJson(f"{where}: {value} is no number")
    return value
