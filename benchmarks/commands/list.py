"""`bench list`."""

from __future__ import annotations

from typing import Literal


def command(what: Literal["methods", "datasets", "suites", "metrics"]) -> int:
    """List what there is.

    Args:
        what: methods, datasets, suites or metrics.
    """
    from tabulate import tabulate

    rows, headers = {"methods": _methods, "datasets": _datasets, "suites": _suites, "metrics": _metrics}[what]()
    print(tabulate(rows, headers=headers, maxcolwidths=60 if len(headers) <= 3 else 30))
    return 0


def _methods() -> tuple[list[list[str]], list[str]]:
    from disentangle_bench import methods

    rows = []
    for name in methods.available():
        cls = methods.find(name)
        rows.append([name, ", ".join(sorted(cls.uses_targets)) or "none", cls.source])
    return rows, ["method", "labels seen", "source"]


def _datasets() -> tuple[list[list[str]], list[str]]:
    from disentangle_bench import datamodules

    rows = []
    for name in datamodules.available():
        cls = datamodules.find(name)
        rows.append([name, cls.licence, cls.source])
    return rows, ["data set", "licence", "source"]


def _suites() -> tuple[list[list[str]], list[str]]:
    from disentangle_bench.benchmarks.planning import suite

    return [[name, suite.read(name).description] for name in suite.names()], ["suite", "what it is for"]


def _metrics() -> tuple[list[list[str]], list[str]]:
    from disentangle_bench.evaluation.protocol import MEASURES

    rows = []
    for title, measure in MEASURES.items():
        spaces = ", ".join(measure.spaces) if measure.spaces else "all"
        about = [title, measure.subjects.text, spaces, measure.splits, measure.source]
        for name, score in measure.scores.items():
            better = "higher" if score.direction == "up" else "lower"
            rows.append([*about, name, better, f"{score.low:g} .. {score.high:g}", score.chance])
            about = [""] * len(about)  # said once for all scores of a measure
    return rows, ["measure", "targets", "spaces", "splits", "source", "score", "better", "range", "chance"]
