"""Text below a table: how to read it, chance levels, budgets; and cautions on what makes runs less comparable."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from disentangle_bench.evaluation.leaderboard.budgets import equality
from disentangle_bench.evaluation.leaderboard.frame import BY_HAND, COST, Key, score_of
from disentangle_bench.evaluation.leaderboard.grid import Figure
from disentangle_bench.evaluation.leaderboard.naming import short
from disentangle_bench.evaluation.records import SPACE, Record, display_name

if TYPE_CHECKING:
    import pandas as pd

SIGNS = "↑: more is better, ↓: less is better, neither: a description. \N{EN DASH}: not measured."
HOW_BOLD = "Bold may be the best of its block, which is the methods that saw labels of the same kind."
HOW_PUBLISHED = (
    "Published: as others report it, read where the note says, not measured here; in brackets what was measured under "
    "another protocol, which the note tells: not to be compared as it stands."
)
HOW_COMPUTED = (
    "± is the half-width of the 95 % interval over seeds and test images; how far seeds lie apart is told by all rows "
    "of a column together, in a description by each row alone."
)
HOW_CERTAIN = "± 0.0: all N test images gave the same; of others, up to 3 in N may not (rule of three)."
HOW_RANKED = "The ranks hold for all rows of a column at once, at 95 % (Tukey-Kramer)."


def foot(
    part: pd.DataFrame,
    figures: list[Figure],
    runs: dict[str, int],
    keys: list[Key],
    chance_of: Callable[[Key], float | None],
    marks: Sequence[str] = (),
) -> list[str]:
    """Lines below the leaderboard of one data set.

    Args:
        part: its lines of the `leaderboard` frame.
        figures: of the main table.
        runs: method -> how many seeds.
        keys: columns that are shown.
        chance_of: what guessing gives, where a row tells it.
        marks: spaces that cells are marked with.
    """
    from disentangle_bench.evaluation.protocol import MEASURES

    shown = [f for f in figures if f.n and f.key in keys]
    foot = [how_to_read(shown)] if shown else []
    if marks:
        named = ", ".join(f"[{space}]" for space in marks)
        foot.append(
            f"{named}: the figure is of that space, which the method declares for the question; without a mark it is "
            f"of {SPACE}, or of the space that the measure is made for."
        )
    foot += _few(shown, runs)
    foot += [line] if (line := _how_computed(shown, keys)) else []
    words: dict[str, list[str]] = {}
    for title, score, target in keys:
        known = score_of(title, score)
        if known.chance != "none" and chance_of((title, score, target)) is None:
            words.setdefault(known.chance, []).append(f"{title} {score}")
    chance = [f"{text} ({', '.join(dict.fromkeys(names))})" for text, names in words.items()]
    foot.append((f"Chance: {'; '.join(chance)}. " if chance else "") + _ceiling(shown, keys))
    if any(f.published for f in shown):
        foot.append(HOW_PUBLISHED)
    options = f"Options: {_shared(part, 'tuning')}.".replace(f"Options: {BY_HAND}", BY_HAND.capitalize())
    foot.append(f"Budget: {_shared(part, 'budget')}. {options}")
    if spent := equality(part):
        foot.append(f"Spent by the methods that train, {spent}.")
    if unknown := sorted(set(part["measure"]) - set(MEASURES) - {COST}):
        foot.append(f"In the csv only, unknown to this version of the protocol: {', '.join(unknown)}.")
    return [line.strip() for line in foot if line]


def mixtures(records: Iterable[Record]) -> list[str]:
    """Lines on differences between runs that their settings don't show: in data, package versions, devices."""
    seen: dict[tuple[str, str], set[str]] = {}
    for record in records:
        dataset, provenance = display_name(record, "dataset"), record["provenance"]
        data, versions = provenance.get("data") or {}, provenance.get("versions") or {}
        options = short(record["config"].get("data") or {})
        seen.setdefault((f"{dataset}: data with the same options", options), set()).add(short(data.get("fingerprint")))
        for package, version in versions.items():
            seen.setdefault((f"{dataset}: {package}", ""), set()).add(str(version))
        if record["cost"].get("train_seconds"):
            seen.setdefault((f"{dataset}: devices", ""), set()).add(str(record["cost"].get("devices", 1)))
    return [
        f"{what} differ between runs: {', '.join(sorted(values))}"
        for (what, _), values in sorted(seen.items())
        if len(values) > 1
    ]


def cautions(records: Collection[Record]) -> list[str]:
    """Lines on what makes runs less comparable than their settings say: `mixtures`, and code that was not committed."""
    dirty: dict[str, set[str]] = {}
    for record in records:
        if (record["provenance"].get("git") or {}).get("dirty"):
            dirty.setdefault(display_name(record, "dataset"), set()).add(display_name(record, "method"))
    told = [f"{data}: code that was not committed, in runs of: {', '.join(sorted(dirty[data]))}" for data in dirty]
    return sorted([*mixtures(records), *told])


def how_to_read(shown: Sequence[Figure]) -> str:
    """A cell in words, as far as there are intervals, ranks and bold print among the figures."""
    ranked = any(not math.isnan(f.rank_low) for f in shown)
    several = any(f.n > 1 for f in shown)
    average = " on average" if several else ""
    if any(_has_interval(f) for f in shown):
        others = "other random seeds and other test images" if several else "other test images"
        text = (
            f"95.4 ± 0.9{' (1-3)' if ranked else ''} means that the method reached 95.4{average}; that with {others} "
            "it would most likely reach between 94.5 and 96.3"
        )
        text += (
            "; and that it may be anything from the best to the third of its block, since the runs can't tell."
            if ranked
            else "."
        )
    else:
        text = f"95.4 means that the method reached 95.4{average}; nothing tells how far other seeds would differ."
    bold = f" {HOW_BOLD}" if any(f.best for f in shown) else ""
    return f"How to read a cell: {text}{bold} {SIGNS}"


def _few(shown: Sequence[Figure], runs: dict[str, int]) -> list[str]:
    """Lines on rows with one or two seeds: no ranks, and intervals of the test images alone or none."""
    few = sorted({f"n = {n}" for n in runs.values() if n < 3})
    if not few:
        return []
    bold = "; bold there rests on the test images alone" if any(f.best and runs[f.method] < 3 for f in shown) else ""
    lines = [f"{' and '.join(few)}: too few seeds to rank{bold}."]
    alone = [f for f in shown if runs[f.method] == 1]
    if any(_has_interval(f) for f in alone):
        lines.append("n = 1: an interval is of the test images alone; other seeds may differ by more.")
    elif alone:
        lines.append("n = 1: no interval, since nothing tells how far other seeds and test images would differ.")
    return lines


def _how_computed(shown: Sequence[Figure], keys: list[Key]) -> str:
    """How intervals and ranks were computed; empty if there are none."""
    if not any(_has_interval(f) for f in shown):
        return ""
    by_image = {f.key for f in shown if not math.isnan(f.image_part)}
    alone = [key for key in keys if key not in by_image and any(f.key == key and f.n > 1 for f in shown)]
    told = ", ".join(dict.fromkeys(f"{title} {score}" for title, score, _ in alone))
    text = "± is the half-width of the 95 % interval over test images."
    if any(f.n > 1 for f in shown):
        text = HOW_COMPUTED
    text += f" {HOW_RANKED}" if any(not math.isnan(f.rank_low) for f in shown) else ""
    text += f" Over seeds alone, which is too narrow: {told}." if alone else ""
    return text + (f" {HOW_CERTAIN}" if any(f.low == f.high for f in shown) else "")


def _ceiling(shown: Sequence[Figure], keys: list[Key]) -> str:
    """A sentence on which rows are the ceiling, and in which figures other rows are above them."""
    from disentangle_bench.evaluation.protocol import MEASURES

    names = sorted({f.method for f in shown if f.ceiling})
    if not names:
        return ""
    passed: dict[tuple[str, ...], list[str]] = {}
    for key in keys:
        if MEASURES[key[0]].aspect != "content" or score_of(key[0], key[1]).direction != "up":
            continue
        rows = [f for f in shown if f.key == key]
        top = max((f.mean for f in rows if f.ceiling), default=math.inf)
        if above := sorted({f.method for f in rows if f.mean > top}):
            passed.setdefault(tuple(above), []).append(f"{key[0]} {key[1]}")
    text = f"Ceiling: {', '.join(names)}, which saw the labels that are asked for."
    return text + "".join(
        f" Not of {', '.join(dict.fromkeys(figures))}, where {', '.join(above)} reached more."
        for above, figures in passed.items()
    )


def _has_interval(figure: Figure) -> bool:
    return not math.isnan(figure.low)


def _shared(part: pd.DataFrame, what: str) -> str:
    """The budgets (or the tuning) of all methods: one for every method, or each with its methods."""
    allowed = {str(amount): sorted(set(methods)) for amount, methods in part.groupby(what)["method"]}
    if len(allowed) == 1:
        return f"{next(iter(allowed))} for every method"
    return "; ".join(f"{amount} for {', '.join(methods)}" for amount, methods in allowed.items())
