"""Benchmarks of speed and memory: `make perf`, or `make perf ARGS="--only step_simclr,views"`.

Each entry compares two things. It runs in a process of its own, in several rounds that alternate between entries, and
within an entry the two things alternate, so that other load on the machine affects all alike. Seconds depend on the
machine and its load; compare ratios (higher is better). A step's ratio of 0.8 means that the bare network would have
taken 80 % of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

from disentangle_bench import methods
from disentangle_bench.benchmarks.execution.record import versions
from disentangle_bench.benchmarks.machine import count_cores, hardware
from disentangle_bench.files import write_file
from tools.perf import chart, parts, steps
from tools.perf.process import Entry, NotHereError, in_process

UNTRAINED = {"random_init", "pixels"}
ENTRIES: dict[str, Entry] = {
    **{name: getattr(parts, name) for name in ("start_up", "views", "loader", "judging", "linear_path")},
    **{name: getattr(parts, name) for name in ("large_probe", "memory", "loss_memory", "partition")},
    "lightly": steps.lightly,
    **{
        f"step_{name}{'_bf16' * bf16}": partial(steps.step, name, bf16)
        for name in sorted(set(methods.BUILT_IN) - UNTRAINED)
        for bf16 in (False, True)
    },
    "step_simclr_resnet18_bf16": partial(steps.step, "simclr", True, steps=4, network="resnet18"),
}
SLACK = 0.05
"""Decrease of a ratio beyond the spread of the rounds, as a share, from which on it counts as a regression."""
REGRESSION = 3
"""Exit code, as of `bench compare`."""

Spread = dict[str, float]
"""`median`, `low` and `high` of a figure over the rounds."""


def measure(names: Iterable[str], rounds: int) -> dict[str, dict[str, Spread]]:
    """Figures of the named entries: entry -> figure -> spread; an entry that fails is left out with a message."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    left_out: set[str] = set()
    for name in tqdm([*found] * rounds, desc="perf", disable=None):
        if name in left_out:
            continue
        try:
            figures, cpu, peak = in_process(ENTRIES[name])
            found[name].append(figures | {"CPU s": cpu, "peak GB": peak})
        except (NotHereError, EOFError) as error:
            left_out.add(name)
            print(f"perf: {name} is left out: {error or 'it failed, see above'}", file=sys.stderr)
    return {name: _spreads(rows) for name, rows in found.items() if rows and name not in left_out}


def _spreads(rows: list[dict[str, float]]) -> dict[str, Spread]:
    columns = {figure: [row[figure] for row in rows] for figure in rows[0]}
    return {
        figure: {"median": median(values), "low": min(values), "high": max(values)}
        for figure, values in columns.items()
    }


def regressions(now: dict[str, dict[str, Spread]], then: dict[str, dict[str, Spread]]) -> list[str]:
    """Ratios that got worse: the best round now is below the worst round then, by more than the slack."""
    return [
        f"{name}: ratio {then[name]['ratio']['median']:.2f} -> {figures['ratio']['median']:.2f}"
        for name, figures in now.items()
        if "ratio" in figures
        and "ratio" in then.get(name, {})
        and figures["ratio"]["high"] < (1 - SLACK) * then[name]["ratio"]["low"]
    ]


def table(found: dict[str, dict[str, Spread]]) -> str:
    """A line an entry; then where the time of a step goes, in milliseconds."""
    about = [[name, _ratio(figures), _figures(figures), _about(name)] for name, figures in found.items()]
    shown = tabulate(about, ["entry", "ratio", "measured", "what"], maxcolwidths=[None, None, 44, 60])
    taken = [
        [name, *(f"{figures[f'{part} ms']['median']:.1f}" for part in ("method", *steps.PARTS, "network"))]
        for name, figures in found.items()
        if "method ms" in figures
    ]
    if taken:
        heads = ["ms of a step", "whole", *steps.PARTS, "bare network"]
        shown += "\n\n" + tabulate(taken, heads, stralign="right", disable_numparse=True)
    return shown


def _ratio(figures: dict[str, Spread]) -> str:
    ratio = figures.get("ratio")
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})" if ratio else ""


def _figures(figures: dict[str, Spread]) -> str:
    told = {name: spread for name, spread in figures.items() if name != "ratio"}
    if "method ms" in told:
        told = {name: told[name] for name in ("method ms", "network ms", "CPU s", "peak GB")}
    return ", ".join(f"{name.rpartition(' ')[0]} {_number(name, spread['median'])}" for name, spread in told.items())


def _number(name: str, value: float) -> str:
    unit = name.rpartition(" ")[2]
    return f"{value:,.0f}{unit.removeprefix('1')}" if unit == "1/s" else f"{value:.4g} {unit}"


def _about(name: str) -> str:
    entry = ENTRIES[name]
    if isinstance(entry, partial):
        method, bf16 = entry.args
        network, precision = entry.keywords.get("network", "convnet"), "bf16" if bf16 else "fp32"
        return (entry.func.__doc__ or "").format(name=method, precision=precision, network=network)
    return " ".join((entry.__doc__ or "").split())


def _chosen(only: str | None, then: dict[str, Any]) -> list[str]:
    """Names of entries that match one of the patterns; by default those that a check compares, or all."""
    if only is None:
        return [name for name in ENTRIES if not then or "ratio" in then.get(name, {})]
    names = [name for name in ENTRIES if any(fnmatch(name, pattern) for pattern in only.split(","))]
    if not names:
        sys.exit(f"perf: no entry matches {only!r}; there are: {', '.join(ENTRIES)}")
    return names


def main() -> int:
    """Measure, tell, and compare; 3 if a ratio got worse."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m tools.perf", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="entries, comma-separated, * for any letters; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="processes an entry")
    parser.add_argument("--threads", type=int, default=count_cores(), help="of each process; default: all cores")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--chart", type=Path, help="draw ratios and parts of steps to this SVG")
    parser.add_argument("--check", type=Path, help="a file of --json: exit code 3 if a ratio is worse than there")
    options = parser.parse_args()
    then = json.loads(options.check.read_text(encoding="utf-8"))["entries"] if options.check else {}
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # of the processes that measure
    found = measure(_chosen(options.only, then), options.rounds)
    load = round(os.getloadavg()[1], 1)
    print(table(found))
    print(f"\n{options.rounds} rounds, {options.threads} threads; load average at the end: {load}")
    if options.json:
        machine = {"hardware": hardware() | {"threads": options.threads}, "versions": versions(), "load": load}
        write_file(options.json, json.dumps(machine | {"rounds": options.rounds, "entries": found}, indent=1) + "\n")
    if options.chart:
        write_file(options.chart, chart.draw(found))
    worse = regressions(found, then)
    for line in worse:
        print(f"perf: worse: {line}", file=sys.stderr)
    return REGRESSION if worse else 0


if __name__ == "__main__":
    sys.exit(main())
