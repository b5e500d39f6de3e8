"""Spell what became of papers' claims: as a tab of the report, for a terminal; `page` makes the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from disentangle_bench.evaluation.leaderboard.claims.judging import (
    CONTRADICTED,
    HOLDS,
    NOT_RUN,
    NOT_SHOWN,
    WEAKER,
    Claim,
    Judged,
)
from disentangle_bench.evaluation.leaderboard.frame import PERCENT, score_of
from disentangle_bench.evaluation.leaderboard.statistics import LEVEL
from disentangle_bench.evaluation.leaderboard.writers.console import screen_of
from disentangle_bench.evaluation.leaderboard.writers.formats import one_line

if TYPE_CHECKING:
    import pandas as pd

LEGEND = (
    f"Measured: A against B, and how far A is ahead in the direction that is claimed (for costs the factor), with its "
    f"{LEVEL:.0%} interval; each claim by itself. Needed (d): the smallest lead that matters; below 0: may be lost. "
    "d at least 0: holds if the interval lies above 0 and the lead is at least d, holds weaker if the lead is smaller, "
    "contradicted if the interval stays below d. d below 0: holds if the interval lies above d, contradicted if below. "
    "Not shown: these runs can tell neither. Comparisons were fixed before the runs."
)
STYLES = {HOLDS: "bold green", WEAKER: "green", CONTRADICTED: "red", NOT_SHOWN: "yellow", NOT_RUN: "dim"}
"""Verdict -> how a terminal shows it."""


def table(judged: Sequence[Judged]) -> pd.DataFrame:
    """A line a claim, as text, for a tab of the report.

    Columns: paper, claim, data, published, measured, needed, verdict, n.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "paper": one.claim.paper.partition(":")[0],
            "claim": one.claim.statement,
            "data": one.claim.dataset,
            "published": one.claim.published,
            "measured": measured(one),
            "needed": needed(one.claim),
            "verdict": one.verdict,
            "n": one.n,
        }
        for one in judged
    )


def unfinished(judged: Sequence[Judged]) -> list[str]:
    """Suites of which runs are missing that the claims were planned with."""
    return list(dict.fromkeys(one.claim.suite for one in judged if one.n < len(one.claim.seeds)))


def in_percent(claim: Claim) -> bool:
    """Whether its figures are shares."""
    return score_of(*claim.figure(claim.a)[:2]).unit == PERCENT


def measured(one: Judged) -> str:
    """A against B, and in brackets A's lead with its interval; `-` without runs."""
    if not one.n:
        return "-"
    if one.claim.is_cost:
        gain, low, high = (math.exp(value) for value in (one.gain, one.low, one.high))
        spread = f" [{low:.2f}, {high:.2f}]" if math.isfinite(high) else ""
        return f"{one.a:.0f} against {one.b:.0f} (x{gain:.2f}{spread})"
    scale, form = (100, ".1f") if in_percent(one.claim) else (1, ".3f")
    a, b, gain, low, high = (scale * value for value in (one.a, one.b, one.gain, one.low, one.high))
    spread = f" [{low:+{form}}, {high:+{form}}]" if math.isfinite(high) else ""  # of one seed there is none
    return f"{a:{form}} against {b:{form}} ({gain:+{form}}{spread})"


def needed(claim: Claim) -> str:
    """The smallest lead that matters."""
    if claim.is_cost:
        return f"x{claim.at_least:g}"
    return f"{100 * claim.at_least:+g} points" if in_percent(claim) else f"{claim.at_least:+g}"


def counts(judged: Sequence[Judged]) -> str:
    """Counts of the verdicts, such as `7 holds, 2 holds weaker of 9 claims.`."""
    found = Counter(one.verdict for one in judged)
    return ", ".join(f"{found[name]} {name}" for name in STYLES if found[name]) + f" of {len(judged)} claims."


def console(judged: Sequence[Judged], *, width: int, colour: bool) -> str:
    """The claims as text of a width, paper by paper: verdict, claim, what was measured.

    Args:
        judged: the claims, those of a paper together.
        width: in characters.
        colour: whether the terminal shows any (it is left out too where NO_COLOR is set).
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    screen, file = screen_of(width, colour)
    for paper, ones in groupby(judged, key=lambda one: one.claim.paper):
        screen.print(Text(one_line(paper), style="bold"))
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column("verdict", width=14)
        table.add_column("claim", ratio=1)
        table.add_column("measured [95 %]", max_width=24)
        table.add_column("needed", justify="right", no_wrap=True)
        table.add_column("n", justify="right")
        for one in ones:
            table.add_row(
                Text(one.verdict, style=STYLES[one.verdict]),
                one_line(one.claim.statement),
                measured(one).replace(" (", "\n", 1).rstrip(")"),
                needed(one.claim),
                str(one.n),
            )
        screen.print(table)
        screen.print()
    screen.print(Text(counts(judged), style="bold"))
    screen.print(Text(LEGEND, style="dim"))
    return file.getvalue()
