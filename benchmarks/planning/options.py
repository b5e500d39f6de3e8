"""Options of a data set or method, checked and completed from its class's signature (by jsonargparse)."""

from __future__ import annotations

import json
import re
from argparse import SUPPRESS
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace

from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.registry import similar

GIVEN_BY_THE_RUN = {"seed", "image_shape", "data"}


@cache  # reading a class's docstrings takes a while
def _parser(cls: type) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    try:
        parser.add_class_arguments(cls, skip=set(GIVEN_BY_THE_RUN))
    except ValueError as error:  # somebody else's class
        raise RequestError(f"{cls.__name__}: its options can't be read ({' '.join(str(error).split())})") from error
    return parser


def known_options(cls: type) -> set[str]:
    """Names of the options that a class takes, without those that the run itself gives."""
    return {key.partition(".")[0] for key in vars(_parser(cls).get_defaults())}


@dataclass(frozen=True)
class Option:
    """An option of a class, described for people.

    Attributes:
        name: with dots between it and its part.
        type: as Python writes it, without modules.
        default: as `--set` takes it, but for None; empty: there is none.
        help: from the docstring.
    """

    name: str
    type: str
    default: str
    help: str


def described(cls: type) -> list[Option]:
    """Every option of a class, parts of options apart, its own before those that it inherits."""
    found = []
    for action in _parser(cls)._actions:
        hint = getattr(action, "_typehint", None)
        if hint is None or action.default == SUPPRESS:
            continue
        default = "" if action.required else _text(action.default)
        found.append(Option(action.dest, _type_name(hint), default, " ".join((action.help or "").split())))
    return found


def _text(value: Any) -> str:
    plain = _plain(value)
    return value if isinstance(value, str) and value else repr(list(plain) if isinstance(plain, tuple) else plain)


def _type_name(hint: Any) -> str:
    """`int | None`, `sgd | adam`, `list[Seed]`."""
    if get_origin(hint) is Literal:
        return " | ".join(map(str, get_args(hint)))
    if _is_union(hint):
        return " | ".join(_type_name(part) for part in get_args(hint))
    if hasattr(hint, "_restrictions"):  # jsonargparse's restricted numbers know them as `v>0`
        return f"{hint._type.__name__} {hint._expression.replace('v', ' ').strip()}"
    text = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text).replace("NoneType", "None")


def resolve(cls: type, options: dict[str, Any], where: str) -> dict[str, Any]:
    """Every option of the class as plain JSON values: those given, checked, and the defaults of the others.

    Raises:
        RequestError: an option that the class does not have, or a value of the wrong type or out of range.
    """
    parser = _parser(cls)
    known = known_options(cls)
    for key in options:
        if key not in known:
            raise RequestError(f"{where}: {unknown('option', key, known)}")
    refuse_nulls(cls, options, where)
    try:
        parsed = parser.parse_object(options)
        parser.instantiate_classes(parsed)  # dataclasses check what types alone cannot say
        resolved = json.loads(parser.dump(parsed, format="json", skip_none=False))
    except Exception as error:  # jsonargparse raises its own and argparse's kinds
        hints = {action.dest: action._typehint for action in parser._actions if hasattr(action, "_typehint")}
        raise RequestError(f"{where}: {explain(error, hints, options)}") from error
    for key, value in resolved.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:  # what can't stand in a record is no setting
            raise RequestError(f"{where}: {key} is NaN or infinite") from None
    return resolved


def instantiate(cls: type, options: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments for the class from options that `resolve` returned (dataclasses are made of their dicts)."""
    parser = _parser(cls)
    parsed: Namespace = parser.instantiate_classes(parser.parse_object(options))
    return {name: _plain(value) for name, value in vars(parsed).items()}


def refuse_nulls(cls: type, given: dict[str, Any], where: str, path: str = "") -> None:
    """Raise RequestError for null, which jsonargparse takes for everything, where the type doesn't have it."""
    kinds = {action.dest: getattr(action, "_typehint", None) for action in _parser(cls)._actions}
    for name, value in given.items():
        key = f"{path}{name}"
        hint = kinds.get(key)
        parts = (hint is None or is_dataclass(hint)) and any(dest.startswith(f"{key}.") for dest in kinds)
        if parts and not isinstance(value, dict):
            raise RequestError(f"{where}: {key} has parts, {key}.NAME=VALUE; got {value!r:.80}")
        if parts:
            refuse_nulls(cls, value, where, f"{key}.")
        elif value is None and hint is not None and type(None) not in get_args(hint):
            raise RequestError(f"{where}: {key}: a value is missing")


def _plain(value: Any) -> Any:
    """Jsonargparse's restricted numbers as Python's own: checkpoints are read without any class but those."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _plain(getattr(value, f.name)) for f in fields(value)})
    if isinstance(value, list | tuple):
        return type(value)(_plain(v) for v in value)
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(value) if isinstance(value, float) else int(value)
    return value


def explain(error: object, hints: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> str:
    """An error of jsonargparse in a line: `lr: expected a number >0, got 'fast'`.

    Args:
        error: of jsonargparse, or its message.
        hints: types of the options, by their names with dots.
        given: the options, if they are at hand.
    """
    text = " ".join(str(error).split())
    if group := re.fullmatch(r"Group '(.+)' does not accept option '(.+)'", text):
        parts = [name.removeprefix(f"{group[1]}.") for name in hints if name.startswith(f"{group[1]}.")]
        return str(unknown(f"option of {group[1]}", group[2], parts))
    found = re.match(r'Parser key "(.+?)": (.*)', text)
    hint = hints.get(found[1]) if found else None
    if found is None or hint is None:
        return f"{found[1]}: {found[2]}" if found else text
    tail = re.search(r"(?:Got|Given) value: (.*)", found[2]) or re.search(r"base 10: '(.*)'|float: '(.*)'", found[2])
    value: Any = next(filter(None, tail.groups()), "") if tail else ""
    for key in found[1].split("."):
        given = given.get(key) if isinstance(given, Mapping) else None
    value = value if given is None else given
    near = similar(value, choices(hint)) if isinstance(value, str) else ""
    return f"{found[1]}: expected {_expected(hint)}, got {value!r:.80}{near}"


def choices(hint: Any) -> list[str]:
    """Texts that an option may be, if it is one of several."""
    if get_origin(hint) is Literal:
        return [str(one) for one in get_args(hint)]
    return [name for part in get_args(hint) for name in choices(part)] if _is_union(hint) else []


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "a mapping"}


def _expected(hint: Any) -> str:
    """A type in words; that a value may be left out goes without saying."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if _is_union(hint):
        return " or ".join(_expected(part) for part in parts if part is not type(None))
    if hasattr(hint, "_restrictions"):
        return f"{_WORDS[hint._type]} {hint._expression.replace('v', '')}"
    if origin is list:
        return f"a list, each entry {_expected(parts[0])}"
    if origin is tuple:
        return f"a list of {len(parts)} values, each {_expected(parts[0])}"
    return _WORDS.get(origin or hint, _type_name(hint))
