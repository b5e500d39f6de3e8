"""Options of a data set or method, checked and completed from its class's signature (by jsonargparse)."""

from __future__ import annotations

import json
import re
from argparse import SUPPRESS
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace

from disentangle_bench.benchmarks.errors import RequestError, unknown

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
    """What is known of an option of a class, for people.

    Attributes:
        name: with dots between it and its part.
        type: as Python writes it, without modules.
        default: likewise; empty: there is none.
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
    return str(value) if isinstance(value, str) and value else repr(_plain(value))


def _type_name(hint: Any) -> str:
    """`int | None`, `sgd | adam`, `list[Seed]`."""
    if get_origin(hint) is Literal:
        return " | ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
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
        raise RequestError(f"{where}: {_one_line(error)}") from error
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


def _one_line(error: BaseException) -> str:
    """Jsonargparse's message without the part on types that aren't meant: `lr: Not of type PositiveFloat: ...`."""
    text = " ".join(str(error).split())
    text = re.sub(r'^Parser key "(.+?)": ', r"\1: ", text)
    if union := re.match(r"(.+?: )Does not validate against any of the Union subtypes .*? Errors: - (.*)", text):
        wrong, _, given = union[2].partition(" Given value type: ")
        told = next(part for part in wrong.split(" - ") if "NoneType" not in part)
        text = f"{union[1]}{told}, got {given.partition(' Given value: ')[2]}"
    return text
