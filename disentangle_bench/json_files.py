"""JSON files, for all packages: read within bounds, written whole, and as dataclasses: what doesn't fit is named."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from disentangle_bench.files import read_text, write_file

T = TypeVar("T")


class BadJson(ValueError):
    """A file isn't what it should be; the message names it and says what is wrong."""


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises OSError, or ValueError if it isn't JSON, or holds NaN or an infinity."""
    try:
        return json.loads(read_text(path), parse_constant=_reject)
    except RecursionError as error:  # brackets in brackets
        raise ValueError(str(error)) from error


def read_mapping(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds, empty where there is none that can be read."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that at every moment the file is either absent, the old one or the new one, never a part.

    Raises:
        ValueError: a number is NaN or infinite (JSON has neither).
    """
    write_file(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read(cls: type[T], path: Path) -> T | None:
    """The dataclass that a file holds (written by `write_json` of its `asdict`), None if there is no file.

    Raises:
        BadJson: cut short, not a regular file, with parts missing, of another kind, or NaN.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
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
    except (ValueError, OverflowError) as error:
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


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
