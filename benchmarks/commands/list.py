"""`bench list`: what there is, as tables."""

from __future__ import annotations

from tabulate import tabulate

from disentangle_bench.benchmarks.planning import suite as suites


def listing(what: str) -> str:
    """A table of all methods, datasets, suites or metrics."""
    rows, headers = {"methods": _methods, "datasets": _datasets, "suites": _suites, "metrics": _metrics}[what]()
    return tabulate(rows, headers=headers, maxcolwidths=60 if len(headers) <= 3 else 30)


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
    return [[name, suites.read(name).description] for name in suites.names()], ["suite", "what it is for"]


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
