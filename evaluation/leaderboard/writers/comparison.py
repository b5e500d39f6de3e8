"""Spell a comparison of two sets of runs: a table as wide as the terminal, then what was skipped and how to read it."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np

from disentangle_bench.evaluation.leaderboard.compare import BETTER, SAME, UNDERPOWERED, WORSE, Comparison
from disentangle_bench.evaluation.leaderboard.statistics import LEVEL
from disentangle_bench.files import printable

TOLD = (WORSE, UNDERPOWERED, BETTER)
"""Verdicts whose figures stand in the table, in this order; figures that are the same are only counted."""
SHAREABLE = ("data set", "method", "space", "n")
"""Columns that a narrow table leaves to a line above it where they are the same throughout."""
LEAST_NEEDED = ("p same", "p worse", "n", "space")
"""Columns that a narrow table leaves out, the first of them first; the verdict says what they say."""
SMALLEST = 0.001
"""p-values below this are all shown as `< 0.001`."""


def as_text(comparison: Comparison, width: int | None = None) -> str:
    """A comparison as lines: figures that are worse first, then those that can't be judged, then better ones.

    Args:
        comparison: of two sets of runs.
        width: characters of the terminal. Columns that are the same in all rows then stand in a line above the table,
            columns that have no room are left out, and the lines below the table are wrapped. None: no limit.
    """
    table = comparison.table
    told = table[table["verdict"].isin(TOLD)]
    told = told.assign(order=told["verdict"].map(TOLD.index)).sort_values(["order", "gain"], kind="stable")
    rows = [_row(line) for line in told.to_dict("records")]
    shared, text, left_out = _fitted(rows, width)
    parts = [", ".join(f"{key} {value}" for key, value in shared.items())] if shared else []
    parts += [text] if rows else []
    parts += [f"no room here for: {', '.join(left_out)} (written to a file they are there)"] if left_out else []
    parts += [f"missing on the second side: {printable(name)}" for name in comparison.missing]
    parts += [f"new on the second side: {printable(name)}" for name in comparison.new]
    parts += [f"skipped: {printable(problem.reason)}" for problem in comparison.problems]
    counts = table["verdict"].value_counts()
    parts.append(f"{len(table)} figures: {', '.join(f'{counts.get(name, 0)} {name}' for name in (*TOLD, SAME))}")
    parts.append(
        f"worse: lost, beyond the noise of seeds and test images ({LEVEL:.0%}, Holm over all figures), and more "
        f"than {comparison.threshold:g} on average; same: the difference is within {comparison.threshold:g} "
        f"(equivalence, {LEVEL:.0%}); underpowered: these runs can tell neither"
    )
    if table["one_seed"].any():
        parts.append(
            "n = 1: one seed says nothing about other seeds: run at least 3; an interval there is of the test images "
            "alone"
        )
    if width:
        parts = [part if part == text else fill(part, width, break_long_words=False) for part in parts]
    return "\n".join(parts) + "\n"


def _row(line: dict[Any, Any]) -> dict[str, Any]:
    """The cells of one figure, by their columns' headings."""
    return {
        "": line["verdict"].upper() if line["verdict"] == WORSE else line["verdict"],
        "data set": printable(line["dataset"]),
        "method": printable(line["method"]),
        "space": printable(line["space"]),
        "figure": printable(f"{line['measure']} {line['score']} ({line['target']})"),
        "n": line["n"],
        "before": f"{line['before']:.4f}",
        "after": f"{line['after']:.4f}",
        "gain": f"{line['gain']:+.4f}",
        "95 %": "-" if np.isnan(line["low"]) else f"[{line['low']:+.4f}, {line['high']:+.4f}]",
        "p worse": p_text(line["p_worse"]),
        "p same": p_text(line["p_same"]),
    }


def _fitted(rows: list[dict[str, Any]], width: int | None) -> tuple[dict[str, Any], str, list[str]]:
    """Cells that all rows share, the table of the others, and columns that were left out for want of room."""
    from tabulate import tabulate

    shared = {} if width is None else {k: rows[0][k] for k in SHAREABLE if len({row[k] for row in rows}) == 1}

    def table_without(hidden: list[str]) -> str:
        kept = [{k: value for k, value in row.items() if k not in (*shared, *hidden)} for row in rows]
        return tabulate(kept, "keys", disable_numparse=True)

    waiting, left_out = [column for column in LEAST_NEEDED if column not in shared], list[str]()
    while rows and width and waiting and max(map(len, table_without(left_out).splitlines())) > width:
        left_out.append(waiting.pop(0))
    return shared, table_without(left_out), left_out


def p_text(p: float) -> str:
    """`0.031`, `< 0.001`, or `-` where nothing was tested."""
    return "-" if np.isnan(p) else f"< {SMALLEST}" if p < SMALLEST else f"{p:.3f}"
