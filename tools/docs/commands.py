"""Every command's options, and every suite, as the program itself knows them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache

from disentangle_bench.benchmarks.__main__ import COMMANDS
from disentangle_bench.benchmarks.planning import suite
from tools.docs.words import about, options, table


def command_page() -> Iterator[tuple[str, str]]:
    """The page of commands."""
    parts = [
        "# Commands",
        "`bench COMMAND --help` says the same on the terminal. An option is written `--dry-run` or `--dry_run`; one "
        "that is on or off needs no value. Exit codes: 0 all well; 1 some run failed; 2 the request is wrong, and "
        "nothing was written; 130 interrupted. `--config FILE.yaml` reads a command's options from a file.",
    ]
    for name, function in COMMANDS.items():
        many = [one.name for one in inspect.signature(function).parameters.values() if one.kind is one.VAR_POSITIONAL]
        words = "".join(f" [{word} ...]" for word in many)
        parts += [f"## bench {name}", f"`bench {name}{words} [options]`", about(function)]
        parts.append(options(function, function))
    yield "reference/commands.md", "\n\n".join(filter(None, parts)) + "\n"


def suite_page() -> Iterator[tuple[str, str]]:
    """The page of suites."""
    rows = [
        (f"`{name}`", one.description, ", ".join(data_sets(one)), str(len(one.seeds)), budget(one))
        for name, one in suites().items()
    ]
    yield (
        "reference/suites.md",
        "# Suites\n\n"
        "A suite says what is compared: data sets, methods, seeds, budget, measures, settings. `--suite NAME` takes "
        "one of these, `--suite FILE.yaml` one of your own; `bench run --dry-run` says what it comes to.\n\n"
        f"{table(('suite', 'what it is for', 'data sets', 'seeds', 'budget'), rows)}\n",
    )


@cache
def suites() -> dict[str, suite.Suite]:
    """Those that ship with the package, by name."""
    return {name: suite.read(name) for name in suite.names()}


def data_sets(one: suite.Suite) -> list[str]:
    """Names, those of its experiments included."""
    return list(dict.fromkeys([*one.datasets, *(row.dataset for row in one.experiments)]))


def budget(one: suite.Suite) -> str:
    """`400 steps`."""
    return ", ".join(f"{value:g} {unit}" for unit, value in asdict(one.budget).items() if value is not None)
