"""The `bench` command. Starts fast: what a command needs is imported when it runs."""

from __future__ import annotations

import errno
import gc
import os
import re
import sys
from argparse import SUPPRESS, Action
from collections.abc import Callable
from importlib import import_module
from inspect import Parameter, signature
from itertools import pairwise
from pathlib import Path
from textwrap import indent
from typing import Any, NoReturn

from docstring_parser import parse as parse_docstring
from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from disentangle_bench.benchmarks import plain_yaml, signals, terminal
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.extras import EXTRAS, advice
from disentangle_bench.files import TooManyFolders, printable

NAMES = (
    *("run", "eval", "leaderboard", "report", "status", "cancel"),
    *("compare", "studies.tune", "studies.claims", "studies.stress", "verify"),
    *("data", "listing.list", "doctor", "replay"),
    *("storage.du", "storage.clean", "storage.merge"),
)
COMMANDS: dict[str, Callable[..., int]] = {
    name.rpartition(".")[2]: import_module(f"disentangle_bench.benchmarks.commands.{name}").command for name in NAMES
}


PATHS = {"out", "to", "board", "folder", "encoder", "features", "a", "b", "suite", "folders", "tuned"}
"""Parameters of commands that are, or may be, the path of a file or folder."""


WORDS = (
    "Words: a cell is one method on one data set with one seed, the unit that is trained, judged and recorded; a suite "
    "is a file that names cells and measures. A space is one of the representations that a method offers, such as "
    "features or projection; its primary space, which its paper decided on, speaks for it in the table. The role of a "
    "target says whether a representation should tell it (content), should not (domain), or only in a certain space "
    "(style). A rank set is all the ranks that the runs can't exclude at 95 %."
)
set_parsing_settings(add_print_completion_argument=True)  # of shells, by shtab
QUIET, VERBOSE = ("-q", "--quiet"), ("-v", "--verbose")


class HelpFormatter(DefaultHelpFormatter):
    """Help without Python's types; of defaults only those that say something."""

    def _get_help_string(self, action: Action) -> str:
        told = (action.help or "").replace("%", "%%")
        shown = action.option_strings and "default" not in told and action.default not in (None, False, "", SUPPRESS)
        return f"{told} (default: {action.default})" if shown else told

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Paragraphs in lines of the terminal's width; examples as they are written."""
        if not text.startswith("examples:"):
            return super()._fill_text(text, width, indent)
        return text

    def _format_action_invocation(self, action: Action) -> str:
        return re.sub(r" \{true,false\}|, --\w+\+ \w+", "", super()._format_action_invocation(action))


class Parser(ArgumentParser):
    """One line on standard error and exit code 2 for a wrong request."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        from disentangle_bench.benchmarks import parsing_errors

        sys.exit(_refuse(parsing_errors.in_a_line(message, self)))

    def format_help(self, *given: Any) -> str:
        """Options as they are written: `--dry-run`; without the control characters that jsonargparse puts in."""
        text = super().format_help(*given).replace(" \b", "").replace(" {true,false}", "")
        text = text.replace("  Available subcommands:\n", "")
        return re.sub(r"--[a-z]\w+", lambda option: option[0].replace("_", "-"), text).rstrip("\n") + "\n"

    def get_completion_script(self, completion_type: str, **given: Any) -> str:
        """The completion script, with the names of methods, data sets, suites and measures in it."""
        shell = completion_type.removeprefix("shtab-")
        if shell != completion_type:
            from disentangle_bench.benchmarks import completion

            completion.offer(self, shell)
        return super().get_completion_script(completion_type, **given)


class Version(Action):
    """Prints the version, which is looked up when it is asked for."""

    def __call__(self, parser: Any, *_: Any) -> None:
        """Print it and exit."""
        from importlib.metadata import version

        print(f"bench {version('disentangle-bench')}")
        parser.exit()


def make_parser() -> ArgumentParser:
    """The parser of all commands; options and help come from signatures and docstrings."""
    parser = Parser(
        prog="bench",
        allow_abbrev=False,
        description="Train, judge and rank methods that claim disentangled or invariant image representations.",
        epilog=WORDS,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action=Version, nargs=0, default=SUPPRESS, help="Print the version and exit.")
    subcommands = parser.add_subcommands(metavar="COMMAND", title="commands", description=None)
    for name, function in COMMANDS.items():
        summary = (function.__doc__ or "").splitlines()[0]
        examples = "\n".join(one.description or "" for one in parse_docstring(function.__doc__ or "").examples)
        epilog = f"examples:\n{indent(examples, '  ')}" if examples else None
        subparser = Parser(description=summary, epilog=epilog, allow_abbrev=False, formatter_class=HelpFormatter)
        subparser.add_argument("--config", action="config", help="YAML file with options of this command.")
        subparser.add_argument(*QUIET, action="store_true", help="Results and errors only: no progress, no hints.")
        subparser.add_argument(
            *VERBOSE, action="store_true", help="More: where each cell's log is, why it failed in full."
        )
        kinds = {one.kind: one.name for one in _parameters(name)}
        positional = Parameter.POSITIONAL_OR_KEYWORD in kinds
        subparser.add_function_arguments(function, as_group=False, as_positional=positional)
        if Parameter.VAR_POSITIONAL in kinds:
            words = kinds[Parameter.VAR_POSITIONAL]
            told = {one.arg_name: one.description for one in parse_docstring(function.__doc__ or "").params}
            subparser.add_argument(words, nargs="*", default=[], help=told[words])
        for action in subparser._actions:
            if action.dest == "print_config":
                action.help = "Print the options as such a file, and exit."
        subcommands.add_subcommand(name, subparser, help=re.split("[:;]", summary.rstrip("."))[0])
        subparser.prog = f"bench {name}"
    return parser


def _parameters(name: str) -> list[Parameter]:
    """Parameters of a command's function; none if there is no such command."""
    return list(signature(COMMANDS[name]).parameters.values()) if name in COMMANDS else []


def normalize(arguments: list[str]) -> list[str]:
    """Allow `--dry-run` for `--dry_run=true`, and `--set A=1 --set B=2` for a list that grows."""
    function = next((COMMANDS[argument] for argument in arguments if argument in COMMANDS), None)
    flags = (
        {name for name, one in signature(function).parameters.items() if one.annotation == "bool"} if function else ()
    )
    result = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if option.startswith("--"):
            option = "--" + option[2:].replace("-", "_")
            if option[2:] in flags and not equals:
                equals, value = "=", "true"
            if option in ("--set", "--sweep"):
                option += "+"
        result.append(option + equals + value)
    return result


def check_arguments(command: str, given: dict[str, Any]) -> None:
    """Raise RequestError for what can't be meant: nothing where there should be something, no text, no path."""
    defaults = {one.name: one.default for one in _parameters(command)}
    for name, value in given.items():
        for text in value if isinstance(value, list | tuple) else [value]:
            if not isinstance(text, str):
                continue
            where = name if defaults.get(name) is Parameter.empty else f"--{name.replace('_', '-')}"
            if not text.strip() and text != defaults.get(name):
                raise RequestError(f"{where}: nothing is given")
            if not text.isprintable():
                raise RequestError(f"{where} {text!r:.80}: holds characters that aren't text")
            if name in PATHS:
                try:
                    os.stat(text)  # noqa: PTH116  # a name that isn't there may be one all the same
                except OSError as error:
                    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
                        raise RequestError(f"{where} {text:.80}: {error.strerror}") from error


def check_config(arguments: list[str], content: Any, where: str) -> None:
    """Raise RequestError for a file of `--config` that doesn't hold options of the command; begins with `where`."""
    command = next((argument for argument in arguments if argument in COMMANDS), "")
    kinds = {one.name: str(one.annotation) for one in _parameters(command)} | {"quiet": "bool", "verbose": "bool"}
    if not isinstance(content, dict):
        raise RequestError(
            f"{where}: a mapping was expected, OPTION: VALUE, as `bench COMMAND --print-config` prints it"
        )
    for name, value in content.items():
        if name not in kinds:
            raise RequestError(f"{where}: {unknown('option', str(name), kinds)}")
        if kinds[name].startswith("str") and not isinstance(value, str | None):
            text = ",".join(map(str, value)) if isinstance(value, list) else value
            raise RequestError(f'{where}: {name}: expected text, in quotes: {name}: "{text!s:.80}"')


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 all well; 1 some cell failed; 2 the request is wrong; 130 interrupted (`run` and `tune` go on from there).
    """
    given = sys.argv[1:] if arguments is None else arguments
    with terminal.plain(), signals.as_ctrl_c():
        try:
            code = _run(normalize(given))
            sys.stdout.flush()
            return code
        except (RequestError, TooManyFolders) as error:
            return _refuse(str(error))
        except ModuleNotFoundError as error:
            package = str(error.name).partition(".")[0]
            if package not in EXTRAS:
                raise
            return _refuse(f"this {advice(package)}")
        except BrokenPipeError:  # whoever read the output has seen enough
            _discard_output()
            return 0
        except terminal.OutputLost as error:
            _discard_output()
            sys.stderr.write(f"bench: standard output can't be written: {error.strerror}\n")
            return 1
        except OSError as error:
            from disentangle_bench.benchmarks.execution.failures import explain_here

            sys.stderr.write(f"bench: {printable(explain_here(error))}\n")
            return 1
        except KeyboardInterrupt as stop:
            sys.stderr.write("; ".join(filter(None, ["bench: interrupted", str(stop)])) + "\n")
            return 130


def _run(arguments: list[str]) -> int:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise RequestError("the current folder is no longer there: change to one that is") from None
    for before, argument in pairwise([*arguments, ""]):
        option, equals, file = before.partition("=")
        if option == "--config":
            where = f"--config {file or argument:.200}"
            check_config(arguments, plain_yaml.read(Path(file if equals else argument), where), where)
    parser = make_parser()
    if not arguments:
        parser.print_help()
        return 0
    parsed = parser.parse_args(arguments)
    chosen = parsed[parsed.subcommand].clone()
    chosen.pop("config", None)
    terminal.verbosity = terminal.Verbosity.QUIET if chosen.pop("quiet") else terminal.Verbosity.NORMAL
    terminal.verbosity = terminal.Verbosity.VERBOSE if chosen.pop("verbose") else terminal.verbosity
    check_arguments(parsed.subcommand, vars(chosen))
    many = [one.name for one in _parameters(parsed.subcommand) if one.kind == Parameter.VAR_POSITIONAL]
    words = [word for name in many for word in chosen.pop(name) or ()]
    if words:  # what stands before them goes by its place, too
        places = [one.name for one in _parameters(parsed.subcommand) if one.kind == Parameter.POSITIONAL_OR_KEYWORD]
        words = [*(chosen.pop(name) for name in places), *words]
    return COMMANDS[parsed.subcommand](*words, **vars(chosen))


def _refuse(message: str) -> int:
    """One line on standard error, and exit code 2."""
    sys.stderr.write(f"bench: {printable(message):.2000}\n")
    return 2


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def program() -> int:
    """`main` as a process of its own, which starts and ends sooner.

    The objects that torch and Lightning are made of aren't garbage: they are neither searched for it again and
    again while they are imported, nor once more at the end.
    """
    gc.set_threshold(20_000, 50, 50)
    try:
        return main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(program())
