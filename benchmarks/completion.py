"""Completion by the Tab key: names of methods, data sets, suites and measures in the shell's script."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser
from typing import Any

FOLDERS = {"out", "folder", "folders", "board", "features"}
KINDS = {
    **{"suite": "suites", "dataset": "datasets", "measures": "measures", "claims": "claims"},
    **dict.fromkeys(("method", "baseline", "a", "b"), "methods"),
    **{"data name": "datasets", "list names": "listed"},
}
"""Parameter, with its command where others mean another thing by it -> what it names."""
LIST = """
{function}() {{ # names after the last comma
  local before=""
  [[ "$1" == *,* ]] && before="${{1%,*}},"
  compgen -P "$before" -W {names} -- "${{1##*,}}"
}}"""


def names() -> dict[str, list[str]]:
    """All that can be named, by kind; those of installed packages too."""
    from disentangle_bench import datamodules, methods
    from disentangle_bench.benchmarks.planning import claims, suite
    from disentangle_bench.evaluation.protocol import MEASURES

    measures = list(dict.fromkeys(measure.name for measure in MEASURES.values()))
    known = {"methods": methods.available(), "datasets": datamodules.available(), "suites": suite.names()}
    shown = [one.name for found in claims.shipped().values() for one in found]
    listed = sorted({*known["methods"], *known["datasets"], *known["suites"], *measures, *shown})
    return known | {"measures": measures, "claims": claims.names(), "listed": listed}


def offer(parser: ArgumentParser, shell: str) -> None:
    """Tell the options of all commands what they name: in bash comma-separated lists go on after a comma."""
    import shtab

    known = names()
    commands: dict[str, Any] = parser._subcommands_action.choices  # type: ignore[attr-defined]
    for command, subparser in commands.items():
        for action in subparser._actions:
            kind = KINDS.get(f"{command} {action.dest}", KINDS.get(action.dest))
            if action.dest in FOLDERS:
                action.complete = shtab.DIRECTORY
            elif kind and shell == "bash":
                function = f"_bench_names_{kind}"
                listed = shlex.quote(" ".join(known[kind]))
                action.complete = {
                    "bash": function,
                    "preamble": {"bash": LIST.format(function=function, names=listed)},
                }
            elif kind:
                action.choices = known[kind]
