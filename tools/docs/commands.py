"""Every command's options, and every suite, as the program itself knows them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache

from disentangle_bench.benchmarks.__main__ import COMMANDS
from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.benchmarks.planning.keys import every_key
from tools.docs.words import about, code, options, table


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
        (f"`{name}`", one.description, ", ".join(data_sets(one)), str(len(one.seeds)), _plain(one.budget.given))
        for name, one in suites().items()
    ]
    yield (
        "reference/suites.md",
        "# Suites\n\n"
        "A suite says what is compared: data sets, methods, seeds, budget, measures, settings. `--suite NAME` takes "
        "one of these, `--suite FILE.yaml` one of your own; `bench run --dry-run` says what it comes to.\n\n"
        f"{table(('suite', 'what it is for', 'data sets', 'seeds', 'budget'), rows)}\n\n"
        "## What a suite's file may say\n\n"
        "A YAML file, from which everything but `measures`, `budget` and one of `datasets` and `experiments` may be "
        "left out. A name with dots is a mapping inside of another; `[]` stands behind a list of mappings. "
        "`bench list keys` says the same on the terminal, and `bench list suites NAME` what a suite says.\n\n"
        f"{key_table()}\n",
    )


def key_table() -> str:
    """Every key with its type, default, meaning and an example."""
    rows = [(code(k.name), code(k.type), code(k.default), k.help, code(k.example)) for k in every_key()]
    return table(("key", "type", "default", "what it says", "example"), rows)


@cache
def suites() -> dict[str, suite.Suite]:
    """Those that ship with the package, by name."""
    return {name: suite.read(name) for name in suite.names()}


def data_sets(one: suite.Suite) -> list[str]:
    """Names, those of its experiments included."""
    return list(dict.fromkeys([*one.datasets, *(row.dataset for row in one.experiments)]))


def _plain(budget: dict[str, float]) -> str:
    """`400 steps`."""
    return ", ".join(f"{value:g} {unit}" for unit, value in budget.items())
