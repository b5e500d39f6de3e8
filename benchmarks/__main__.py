"""The `bench` command. Starts fast: what a command needs is imported when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from jsonargparse import ArgumentParser

from disentangle_bench.benchmarks.commands import looking_around, reading, running
from disentangle_bench.benchmarks.commands.replay import replay
from disentangle_bench.benchmarks.errors import RequestError, nearest

COMMANDS: dict[str, Callable[..., int]] = {
    "run": running.run,
    "eval": running.evaluate,
    "leaderboard": reading.leaderboard,
    "report": reading.report,
    "status": running.status,
    "cancel": running.cancel,
    "compare": reading.compare,
    "data": looking_around.data,
    "list": looking_around.show_list,
    "doctor": looking_around.doctor,
    "perf": looking_around.perf,
    "replay": replay,
}
POSITIONAL = {"compare", "data", "list", "replay"}
"""Commands whose arguments without a default stand without a name."""
MANY = {"cancel": "cells"}
"""Commands that take any number of one argument, without a name."""
FLAGS = {"detach", "dry_run", "untrained"}
"""Options that may stand without a value."""


class Parser(ArgumentParser):
    """One line on standard error and exit code 2 for a wrong request."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if message.startswith("unrecognized arguments:"):
            wrong = message.partition(":")[2].split()[0]
            options = [option for action in self._all_options() for option in action]
            message = f"unknown option {wrong}{nearest(wrong.partition('=')[0], options)}"
        sys.stderr.write(f"bench: {' '.join(message.split())}\n")
        sys.exit(2)

    def _all_options(self) -> list[list[str]]:
        subcommands = self._subcommands_action.choices.values() if self._subcommands_action else ()
        return [action.option_strings for parser in (self, *subcommands) for action in parser._actions]


def make_parser() -> ArgumentParser:
    """The parser of all commands; options and help come from signatures and docstrings."""
    parser = Parser(
        prog="bench",
        description="Train, judge and rank methods that claim disentangled or invariant image representations.",
    )
    subcommands = parser.add_subcommands(metavar="COMMAND", title="commands")
    for name, function in COMMANDS.items():
        summary = (function.__doc__ or "").splitlines()[0]
        subparser = Parser(description=summary)
        subparser.add_argument("--config", action="config", help="YAML file with options of this command.")
        many: set[str | int] = {MANY[name]} if name in MANY else set()
        subparser.add_function_arguments(function, as_group=False, as_positional=name in POSITIONAL, skip=many)
        for argument in many:
            subparser.add_argument(str(argument), nargs="*", help="Hashes, or parts of names; default: all.")
        subcommands.add_subcommand(name, subparser, help=summary)
    return parser


def normalize(arguments: list[str]) -> list[str]:
    """Allow `--dry-run` for `--dry_run=true`, and `--set A=1 --set B=2` for a list that grows."""
    result = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if option.startswith("--"):
            option = "--" + option[2:].replace("-", "_")
            if option[2:] in FLAGS and not equals:
                equals, value = "=", "true"
            if option == "--set":
                option = "--set+"
        result.append(option + equals + value)
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 all well; 1 some cell failed; 2 the request is wrong; 130 interrupted (the same command resumes).
    """
    given = sys.argv[1:] if arguments is None else arguments
    parsed = make_parser().parse_args(normalize(given))
    chosen = parsed[parsed.subcommand].clone()
    chosen.pop("config", None)
    try:
        return COMMANDS[parsed.subcommand](**vars(chosen))
    except RequestError as error:
        sys.stderr.write(f"bench: {' '.join(str(error).split())}\n")
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"bench: interrupted; {str(stop) or 'the same command goes on from here'}\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
