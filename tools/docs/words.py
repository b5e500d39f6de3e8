"""Docstrings, options and tables, as markdown."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args, get_origin

import docstring_parser


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; a line break in a cell becomes a space."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(" ".join(cell.split()) for cell in line) + " |" for line in lines)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of what is known: `- **paper**: ...`."""
    return "\n".join(f"- **{name}**: {' '.join(value.split())}" for name, value in pairs)


def code(text: object) -> str:
    """A code span."""
    return f"`{text}`"


def about(thing: Any) -> str:
    """The docstring without its sections (`Args:` and so on)."""
    text = inspect.cleandoc(thing.__doc__ or "")
    return re.split(r"^(?:Args|Attributes|Returns|Raises|Examples):$", text, maxsplit=1, flags=re.MULTILINE)[0].strip()


def paragraphs(text: str) -> list[str]:
    """Parts between empty lines; fenced code stays whole."""
    return [part.strip() for part in re.findall(r"(?:^```.*?^```$|.+?)(?=\n\n|\Z)", text, re.DOTALL | re.MULTILINE)]


def options(function: Any, documented: Any, skip: Iterable[str] = ()) -> str:
    """Table of the named parameters of a function, with the help that a docstring's `Args` give.

    Args:
        function: whose signature counts.
        documented: what has the docstring: the function itself, or its class.
        skip: parameters that are left out.
    """
    help_of = {one.arg_name: one.description or "" for one in docstring_parser.parse(documented.__doc__ or "").params}
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rows = [
        (code(name), code(_type(one.annotation)), _default(one.default), help_of.get(name, ""))
        for name, one in inspect.signature(function).parameters.items()
        if one.kind in named and name not in {"self", *skip}
    ]
    return table(("option", "type", "default", "what it is"), rows) if rows else ""


def _type(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if get_origin(annotation) is Literal:
        return " | ".join(map(repr, get_args(annotation)))
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", inspect.formatannotation(annotation))


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if dataclasses.is_dataclass(value):
        return "its own defaults"
    return code(repr(value))
