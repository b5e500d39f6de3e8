"""`bench list`: what there is, as tables."""

from __future__ import annotations

from tabulate import tabulate

from benchmarks import suite as suites


def listing(what: str) -> str:
    """A table of all methods, datasets, suites or metrics."""
    rows, headers = {"methods": _methods, "datasets": _datasets, "suites": _suites, "metrics": _metrics}[what]()
    return tabulate(rows, headers=headers, maxcolwidths=60 if len(headers) <= 3 else 30)


def _methods() -> tuple[list[list[str]], list[str]]:
    import methods

    rows = []
    for name in methods.available():
        cls = methods.find(name)
        rows.append([name, ", ".join(sorted(cls.uses_targets)) or "none", cls.source])
    return rows, ["method", "labels seen", "source"]


def _datasets() -> tuple[list[list[str]], list[str]]:
    import datamodules

    rows = []
    for name in datamodules.available():
        cls = datamodules.find(name)
        rows.append([name, cls.licence, cls.source])
    return rows, ["data set", "licence", "source"]


def _suites() -> tuple[list[list[str]], list[str]]:
    return [[name, suites.read(name).description] for name in suites.names()], ["suite", "what it is for"]


def _metrics() -> tuple[list[list[str]], list[str]]:
    from evaluation.protocol import MEASURES

    rows = []
    for title, measure in MEASURES.items():
        for name, score in measure.scores.items():
            spaces = ", ".join(measure.spaces) if measure.spaces else "all"
            better = "higher" if score.direction == "up" else "lower"
            rows.append(
                [
                    title,
                    name,
                    measure.role,
                    spaces,
                    better,
                    f"{score.low:g} .. {score.high:g}",
                    score.chance,
                    measure.splits,
                    measure.source,
                ]
            )
    return rows, ["measure", "score", "targets", "spaces", "better", "range", "chance", "splits", "source"]
