"""Parsing of values on the command line: names, seeds, and settings such as `method.lr=0.1`."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from disentangle_bench.benchmarks import plain_yaml
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.registry import dotted

MOST_KEYS = 8
"""Most names in the path of a setting, such as `method.augmentation.grey_p`."""
MOST_ENTRIES = 1000
"""Most entries in a list of seeds, data sets, methods or measures."""


def swept(assignments: list[str]) -> dict[str, list[tuple[str, Any]]]:
    """`a.b=1,2` as `{"a.b": [("1", 1), ("2", 2)]}`; values are YAML, a list among them stays one: `a.b=[0, 1],[0, 2]`.

    Raises:
        RequestError: no `KEY=VALUE,VALUE`, a key that stands twice, or values that YAML can't read.
    """
    found: dict[str, list[tuple[str, Any]]] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = keys_of(path.strip())
        if not equals or len(keys) < 2 or not all(keys) or len(keys) > MOST_KEYS:
            raise RequestError(
                f"--sweep {assignment:.80}: expected NAME.OPTION=VALUE,VALUE, such as simclr.lr=0.1,0.01"
            )
        values = plain_yaml.parse(f"[{text}]", f"--sweep {assignment:.80}")
        if not values or not isinstance(values, list):
            raise RequestError(f"--sweep {assignment:.80}: no values")
        if path.strip() in found:
            raise RequestError(f"--sweep {path.strip()} stands twice: name all its values once")
        found[path.strip()] = texts_of(values)
    return found


def texts_of(values: list[Any]) -> list[tuple[str, Any]]:
    """Each value once, with a text that YAML reads it from."""
    return list({json.dumps(value): value for value in values}.items())


def holds(tree: Any, keys: list[str]) -> bool:
    """Whether the tree says something about what the keys lead to, or about a part of it."""
    for key in keys:
        if not isinstance(tree, dict):
            return True
        if key not in tree:
            return False
        tree = tree[key]
    return True


def assigned(assignments: list[str], option: str = "--set") -> dict[str, Any]:
    """`a.b=1` and `a.c=[2, 3]` as `{"a": {"b": 1, "c": [2, 3]}}`; values are YAML.

    Raises:
        RequestError: no `KEY=VALUE`, or a value that YAML can't read.
    """
    tree: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = keys_of(path.strip())
        if not equals or not all(keys) or len(keys) > MOST_KEYS:
            raise RequestError(f"{option} {assignment:.80}: expected KEY=VALUE, such as method.temperature=0.2")
        value = plain_yaml.parse(text, f"{option} {assignment:.80}")
        for key in reversed(keys):
            value = {key: value}
        _merge(tree, value)
    return tree


def names_in(text: str) -> list[str]:
    """Comma-separated names, each once. Raises RequestError for a text that holds none."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if text and not names:
        raise RequestError(f"{text!r}: expected names, comma-separated")
    return names


def seeds_in(text: str) -> list[int]:
    """`0,1,2`, or with ranges, both ends included: `0-2,7`. Raises RequestError for anything else."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if not first.isdecimal() or not (last.isdecimal() if dash else True):
            raise RequestError(f"--seeds must be whole numbers or ranges, such as 0,1,2 or 0-2; got {text!r:.80}")
        low, high = int(first[:20]), int((last or first)[:20])
        if high < low:
            raise RequestError(f"--seeds {part.strip()}: a range goes from the smaller number to the larger one")
        if high - low >= MOST_ENTRIES:
            raise RequestError(f"--seeds {part.strip()}: {high - low + 1:,} seeds, at most {MOST_ENTRIES:,} may be")
        found += range(low, high + 1)
    return found


def own_names_in(text: str) -> list[str]:
    """Names on the command line; those of somebody's own as a suite's file is read, `my_file.MyMethod`."""
    return [dotted(name) for name in names_in(text)]


def keys_of(path: str) -> list[str]:
    """At the dots; a path that names a class (`my_file.MyMethod`, or `my_file:MyMethod`) stays in one piece."""
    module, colon, rest = path.partition(":")
    if colon:
        name, *keys = rest.split(".")
        return [dotted(f"{module}:{name}"), *keys]
    words = path.split(".")
    ends = [number for number, word in enumerate(words) if number and word[:1].isupper()]
    return [".".join(words[: ends[0] + 1]), *words[ends[0] + 1 :]] if ends else words


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Two mappings merged at every depth; values of `new` win."""
    into = deepcopy(old)
    _merge(into, new)
    return into


def _merge(into: dict[str, Any], tree: dict[str, Any]) -> None:
    for key, value in tree.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
