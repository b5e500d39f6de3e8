"""The answer in sentences: which method is best, for what, at what cost. Every word follows from the figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from disentangle_bench.evaluation.leaderboard.frame import COST, LEAKAGE, PERCENT, Key, of_figure, score_of
from disentangle_bench.evaluation.leaderboard.grid import BLOCKS, Column, TableCell, column_keys, heading
from disentangle_bench.evaluation.leaderboard.writers.formats import amount, spell
from disentangle_bench.evaluation.records import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

NAMED = 4
"""Methods that a sentence names; of more it gives the number."""
WHO = {
    "none": "Without labels",
    "domain": "With domain labels",
    "content": "With content labels",
    UNKNOWN: "With labels that nobody knows of",
}
"""Block of methods -> how a sentence about it begins."""


class Sentence(NamedTuple):
    """A sentence or two, and what they are about."""

    topic: str
    text: str


class Winners(NamedTuple):
    """The key and heading of a criterion, and block -> a text on which methods may be best."""

    key: Key
    title: str
    best: dict[str, str]


Row = dict[str, Any]


def criteria(part: pd.DataFrame) -> list[Key]:
    """Columns of a data set in which one direction is better."""
    return [key for key in column_keys(part) if score_of(key[0], key[1]).direction]


def leaks(keys: Iterable[Key]) -> list[Key]:
    """Keys of the columns of leakage."""
    from disentangle_bench.evaluation.protocol import MEASURES

    return [k for k in keys if MEASURES[k[0]].name == LEAKAGE and MEASURES[k[0]].scores[k[1]].direction]


def rows_of(part: pd.DataFrame, key: Key) -> list[Row]:
    """Lines of the main table with one figure, best first."""
    lines = of_figure(part, key)
    lines = lines[(lines["n"] > 0) & ((lines["row"] != "") | (lines["measure"] == COST))]
    found: list[Row] = [{str(name): value for name, value in line.items()} for line in lines.to_dict("records")]
    sign = -1 if score_of(key[0], key[1]).direction == "up" else 1
    return sorted(found, key=lambda row: (sign * row["mean"], row["method"]))


def winners(part: pd.DataFrame) -> list[Winners]:
    """For each criterion who may be best among the methods that saw labels of the same kind."""
    keys = criteria(part)
    found = []
    for key in keys:
        by_block = {block: [r for r in rows_of(part, key) if r["block"] == block] for block in BLOCKS}
        best = {block: _best(rows, key) for block, rows in by_block.items() if rows}
        found.append(Winners(key, heading(key, keys).rstrip(" ↑↓").removesuffix(" %"), best))
    return found


def sentences(part: pd.DataFrame) -> list[Sentence]:
    """Sentences on content, leakage, both and cost; `part` is one data set's lines of a `leaderboard` frame."""
    keys = column_keys(part)
    if not keys or not (rows := rows_of(part, keys[0])):
        return []
    block = next(name for name in BLOCKS if any(row["block"] == name for row in rows))
    found = [Sentence("Content", _content(rows, keys[0], block, part))]
    peers = [row for row in rows if row["block"] == block]
    best = {row["method"] for row in peers if row["best"]}
    for key in leaks(keys):
        leaking = rows_of(part, key)
        found.append(Sentence(f"Leakage of {key[2]}", _leakage(leaking, key, rows, keys[0], block)))
        both = [row["method"] for row in leaking if row["best"] and row["method"] in best]
        if both:
            found.append(Sentence("Both", f"{WHO[block]}, {_names(both)} may be best in content and in leakage."))
        elif best:
            found.append(Sentence("Both", f"{WHO[block]}, none is among the best in content and in leakage."))
    seconds = [row for row in rows_of(part, (COST, "train_seconds", "")) if row["method"] in best and row["mean"] > 0]
    if len(seconds) > 1:
        first, last = seconds[0], seconds[-1]
        text = f"Of those that may be best in content, {first['method']} trained fastest: {amount(first['mean'])} s, "
        text += f"against {amount(last['mean'])} s of {last['method']}."
        found.append(Sentence("Cost", text))
    return found


def figure(row: Row, key: Key) -> str:
    """`93.6 ± 2.5 %`."""
    unit = score_of(key[0], key[1]).unit
    text = spell(TableCell(row["mean"], (row["high"] - row["low"]) / 2), Column("", unit=unit))
    return f"{text} %" if unit == PERCENT else text


def _content(rows: Sequence[Row], key: Key, block: str, part: pd.DataFrame) -> str:
    peers = [row for row in rows if row["block"] == block]
    best = [row for row in peers if row["best"]]
    top = best[0] if best else peers[0]
    ranked = not math.isnan(top["rank_low"])
    text = f"{WHO[block]}, {top['method']} reaches {figure(top, key)} ({key[0]} {key[1]})"
    others = [row["method"] for row in best[1:]]
    if others and ranked:
        text += f"; the runs can't tell {_names(others)} from it"
    text += "." if ranked else "; too few seeds to rank."
    for other in list(BLOCKS)[list(BLOCKS).index(block) + 1 :]:
        if first := next((row for row in rows if row["block"] == other), None):
            text += f" {WHO[other]}, {first['method']} reaches {figure(first, key)}."
    costs = {row["method"]: row["mean"] for row in rows_of(part, (COST, "train_seconds", ""))}
    if floors := [row for row in rows if costs.get(row["method"]) == 0]:
        text += " Untrained: " + ", ".join(f"{row['method']} {figure(row, key)}" for row in floors) + "."
    return text


def _leakage(leaking: Sequence[Row], key: Key, rows: Sequence[Row], content: Key, block: str) -> str:
    if not leaking:
        return "not measured."
    least, most = leaking[0], leaking[-1]
    text = f"Of {key[2]} a probe reads {figure(least, key)} in {least['method']}"
    if beside := next((row for row in rows if row["method"] == least["method"]), None):
        text += f" (whose content is {figure(beside, content)})"
    if most is not least:
        text += f" and up to {figure(most, key)} in {most['method']}"
    text += "; 0 % is a guess, 100 % is everything."
    peers = [row for row in leaking if row["block"] == block]
    if len(peers) > 1 and all(row["best"] and not math.isnan(row["rank_low"]) for row in peers):
        text += f" {WHO[block]}, the runs can't tell any method from another."
    return text


def _best(rows: Sequence[Row], key: Key) -> str:
    best = [row for row in rows if row["best"]]
    if not best:
        return "too few seeds"
    if len(best) == len(rows) and len(rows) > 1:
        return f"all {len(rows)} alike: {figure(best[0], key)} in {best[0]['method']}"
    return f"{_names([row['method'] for row in best])}: {figure(best[0], key)}"


def _names(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    shown = list(names) if more <= 1 else [*names[:NAMED], f"{more} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
