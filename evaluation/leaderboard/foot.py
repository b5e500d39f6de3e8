"""What stands below a table: how to read it, what guessing gives, and who was allowed how much."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from disentangle_bench.evaluation.leaderboard.budgets import equality
from disentangle_bench.evaluation.leaderboard.frame import BY_HAND, COST, Key, score_of
from disentangle_bench.evaluation.leaderboard.grid import Figure

if TYPE_CHECKING:
    import pandas as pd

HOW_TO_READ = (
    "How to read a cell: 95.4 ± 0.9 (1-3) means that the method reached 95.4 on average; that with other random seeds "
    "and other test images it would most likely reach between 94.5 and 96.3; and that it may be anything from the "
    "best to the third of its block, since the runs can't tell. Bold may be the best of its block, which is the "
    "methods that saw labels of the same kind. ↑: more is better, ↓: less is better, neither: a description. "
    "\N{EN DASH}: not measured."
)
HOW_PUBLISHED = (
    "Published: as others report it, read where the note says, not measured here; in brackets what was measured under "
    "another protocol, which the note tells: not to be compared as it stands."
)
HOW_COMPUTED = (
    "± is the half-width of the 95 % interval over seeds and test images; how far seeds lie apart is told by all rows "
    "of a column together, in a description by each row alone. The ranks hold for all rows of a column at once, at "
    "95 % (Tukey-Kramer)."
)


def foot(
    part: pd.DataFrame,
    figures: list[Figure],
    runs: dict[str, int],
    keys: list[Key],
    chance_of: Callable[[Key], float | None],
) -> list[str]:
    """Lines below the leaderboard of one data set.

    Args:
        part: its lines of the `leaderboard` frame.
        figures: of the main table.
        runs: method -> how many seeds.
        keys: columns that are shown.
        chance_of: what guessing gives, where a row tells it.
    """
    from disentangle_bench.evaluation.protocol import MEASURES

    foot = [HOW_TO_READ] if any(f.n for f in figures) else []
    few = sorted({f"n = {n}" for n in runs.values() if n < 3})
    if few:
        foot.append(f"{' and '.join(few)}: too few seeds to rank; bold there rests on the test images alone.")
    if 1 in runs.values():
        foot.append("n = 1: the interval is of the test images alone; other seeds may differ by more.")
    shown = [f for f in figures if f.n and f.key in keys]
    by_image = {f.key for f in shown if not math.isnan(f.image_part)}
    alone = [key for key in keys if key not in by_image and any(f.key == key and f.n > 1 for f in shown)]
    told = ", ".join(dict.fromkeys(f"{title} {score}" for title, score, _ in alone))
    foot.append(HOW_COMPUTED + (f" Over seeds alone, which is too narrow: {told}." if alone else ""))
    words: dict[str, list[str]] = {}
    for title, score, target in keys:
        known = score_of(title, score)
        if known is not None and chance_of((title, score, target)) is None and known.chance != "none":
            words.setdefault(known.chance, []).append(f"{title} {score}")
    chance = [f"{text} ({', '.join(dict.fromkeys(names))})" for text, names in words.items()]
    ceiling = sorted({f.method for f in figures if f.block == "content"})
    foot.append(
        (f"Chance: {'; '.join(chance)}. " if chance else "")
        + (f"Ceiling: {', '.join(ceiling)}, which saw the labels that are asked for." if ceiling else "")
    )
    if any(f.published for f in shown):
        foot.append(HOW_PUBLISHED)
    options = f"Options: {_shared(part, 'tuning')}.".replace(f"Options: {BY_HAND}", BY_HAND.capitalize())
    foot.append(f"Budget: {_shared(part, 'budget')}. {options}")
    if spent := equality(part):
        foot.append(f"Spent by the methods that train, {spent}.")
    if unknown := sorted(set(part["measure"]) - set(MEASURES) - {COST}):
        foot.append(f"In the csv only, unknown to this version of the protocol: {', '.join(unknown)}.")
    return [line.strip() for line in foot if line]


def _shared(part: pd.DataFrame, what: str) -> str:
    """Who was allowed how much, so that unequal budgets are seen."""
    allowed = {str(amount): sorted(set(methods)) for amount, methods in part.groupby(what)["method"]}
    if len(allowed) == 1:
        return f"{next(iter(allowed))} for every method"
    return "; ".join(f"{amount} for {', '.join(methods)}" for amount, methods in allowed.items())
