"""Errors of the command line's parser, as one line in the words of whoever typed it."""

from __future__ import annotations

import re
from argparse import Action, ArgumentParser
from collections.abc import Iterator

from disentangle_bench.registry import nearest, similar


def in_a_line(message: str, parser: ArgumentParser) -> str:
    """The message of argparse or jsonargparse, without their own terms.

    Args:
        message: theirs.
        parser: that it comes from: of `bench`, or of one command.
    """
    actions = list(_actions(parser))
    if message.startswith("unrecognized arguments:"):
        return _unknown(next(iter(message.partition(":")[2].split()), "''"), actions)  # an empty one shows nothing
    if missing := re.fullmatch(r"the following arguments are required: (.+)", message):
        return _missing(missing[1].split(", "), parser)
    if lacking := re.fullmatch(r"argument ([^:]+): expected (?:one|at least one) argument", message):
        return f"{lacking[1].rpartition('/')[2].rstrip('+').replace('_', '-')}: a value is missing"
    if choice := re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message):
        return f"unknown command {choice[1]!r}{nearest(choice[1], re.findall(r'[a-z]+', choice[2]))}"
    if found := re.match(r'Parser key "(?:\w+\.)?(\w+)": (.*)', " ".join(message.split())):
        from disentangle_bench.benchmarks.planning.options import explain

        hints = {action.dest: getattr(action, "_typehint", None) for action in actions}
        told = explain(f'Parser key "{found[1]}": {found[2]}', hints)
        return f"{_written(found[1], actions)}{told.removeprefix(found[1])}"
    return message


def _actions(parser: ArgumentParser) -> Iterator[Action]:
    subcommands = getattr(parser, "_subcommands_action", None)
    for one in (parser, *(subcommands.choices.values() if subcommands else ())):
        yield from one._actions


def _written(name: str, actions: list[Action]) -> str:
    """`--dry-run` of an option, its name alone of what goes by its place."""
    named = any(action.option_strings for action in actions if action.dest == name)
    return f"--{name.replace('_', '-')}" if named else name


def _unknown(wrong: str, actions: list[Action]) -> str:
    """A word that no parser takes."""
    if not wrong.startswith("-") and wrong != "''":
        return f"{wrong!r:.200} is not understood: options begin with --, `bench COMMAND --help` lists them"
    name, equals, value = wrong.partition("=")
    name = name.replace("_", "-")
    known = [option.replace("_", "-") for action in actions for option in action.option_strings if option[-1] != "+"]
    other = ": `bench COMMAND --help` lists those that there are"
    return f"unknown option {name + equals + value:.200}{similar(name, known) or other}"


def _missing(paths: list[str], parser: ArgumentParser) -> str:
    """Words that have to be there: `tune.suite` is `--suite` of `bench tune`."""
    from disentangle_bench.benchmarks.planning.options import choices

    command = paths[0].partition(".")[0]
    subcommands = getattr(parser, "_subcommands_action", None)
    actions = list((subcommands.choices[command] if subcommands else parser)._actions)
    told = []
    for path in paths:
        name = path.rpartition(".")[2]
        written = _written(name, actions)
        known = next((choices(getattr(one, "_typehint", None)) for one in actions if one.dest == name), [])
        told.append(f"{written} ({', '.join(known)})" if known else written)
    return f"{command}: {' and '.join(told)} must be given"
