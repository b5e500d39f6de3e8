"""The keys of a suite's file, read from the docstrings of the classes that it becomes."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from disentangle_bench.benchmarks.errors import unknown
from disentangle_bench.benchmarks.planning import options
from disentangle_bench.benchmarks.planning.suite import Suite
from disentangle_bench.benchmarks.planning.suite_parts import Experiment, Published

PARTS: dict[str, type] = {"": Suite, "experiments[].": Experiment, "experiments[].published[].": Published}
"""Classes that a file is made of, by what stands before their keys."""
LISTS = {"experiments", "experiments[].published"}
"""Keys whose parts are listed themselves."""


@dataclass(frozen=True)
class Key:
    """A key of a suite's file.

    Attributes:
        name: with dots between mappings, `[]` behind a list of mappings: `experiments[].settings.method`.
        type: of its value.
        default: as YAML or Python writes it; `required` where there is none.
        help: what it says.
        example: of a value, as YAML.
    """

    name: str
    type: str
    default: str
    help: str
    example: str


def every_key() -> list[Key]:
    """Every key that a suite's file may have, in the order of the classes."""
    found = []
    for prefix, cls in PARTS.items():
        settable = {field.name for field in fields(cls) if field.init}  # type: ignore[arg-type]
        for one in options.described(cls):
            name = prefix + one.name
            if one.name.partition(".")[0] not in settable or name in ("name", *LISTS):
                continue
            help_text, example = _parted(one.help)
            found.append(Key(name, one.type, one.default or "required", help_text, example))
    return found


def find(name: str) -> list[Key]:
    """A key, or all keys of a part such as `resources`. Raises RequestError if there is none of that name."""
    every = every_key()
    plain = {one: one.name.replace("[]", "") for one in every}
    found = [one for one in every if f"{plain[one]}.".startswith(f"{name.replace('[]', '')}.")]
    if not found:
        raise unknown("key of a suite", name, plain.values())
    return found


def _parted(text: str) -> tuple[str, str]:
    """A docstring's words, and the example that they end with."""
    match = re.fullmatch(r"(.*?)\s*Example: `(.*)`\.?", text)
    return (match[1], match[2]) if match else (text, "")
