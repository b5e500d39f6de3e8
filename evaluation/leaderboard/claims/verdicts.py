"""Spell what became of papers' claims: as a page, as a tab of the report, for a terminal."""

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
from disentangle_bench.evaluation.leaderboard.console import screen_of
from disentangle_bench.evaluation.leaderboard.formats import one_line
from disentangle_bench.evaluation.leaderboard.frame import score_of
from disentangle_bench.evaluation.leaderboard.statistics import LEVEL

if TYPE_CHECKING:
    import pandas as pd

LEGEND = (
    f"Measured: A against B, and in brackets the difference with its {LEVEL:.0%} interval over seeds and test "
    "images (for costs the factor), positive where it is as claimed; each claim by itself. Holds: above zero and "
    "as large as needed. Holds weaker: above zero, but smaller. Contradicted: what is needed is excluded. Not "
    "shown: these runs can tell neither. Comparisons were fixed before the runs."
)
STYLES = {HOLDS: "bold green", WEAKER: "green", CONTRADICTED: "red", NOT_SHOWN: "yellow", NOT_RUN: "dim"}
"""Verdict -> how a terminal shows it."""


def table(judged: Sequence[Judged]) -> pd.DataFrame:
    """A line a claim, as text, for a page or a tab.

    Columns: paper, claim, data, published, measured, needed, verdict, n, cost (of the runs of both sides), command.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "paper": one.claim.paper.partition(":")[0],
            "claim": one.claim.statement,
            "data": one.claim.dataset,
            "published": one.claim.published,
            "measured": _measured(one),
            "needed": _needed(one.claim),
            "verdict": one.verdict,
            "n": one.n,
            "cost": f"{one.seconds / 60:.0f} min" if one.n else "-",
            "command": f"bench claims {one.claim.name}",
        }
        for one in judged
    )


def markdown(judged: Sequence[Judged]) -> str:
    """The table, how to read it, and what was found out about each claim that doesn't simply hold."""
    from tabulate import tabulate

    frame = table(judged)
    parts = [tabulate(frame.values.tolist(), list(frame.columns), "pipe", disable_numparse=True)]
    parts += [counts(judged), LEGEND]
    parts += [
        f"Runs of {suite} are missing (n is smaller than planned): `bench run --suite {suite}` makes them."
        for suite in unfinished(judged)
    ]
    for one in judged:
        if one.claim.note or one.reason:
            parts.append(
                f"**{one.claim.name}** ({one.verdict}): {' '.join(filter(None, (one.reason, one.claim.note)))}"
            )
    return "\n\n".join(parts) + "\n"


def unfinished(judged: Sequence[Judged]) -> list[str]:
    """Suites of which runs are missing that the claims were planned with."""
    return list(dict.fromkeys(one.claim.suite for one in judged if one.n < len(one.claim.seeds)))


def _measured(one: Judged) -> str:
    if not one.n:
        return "-"
    claim = one.claim
    if claim.is_cost:
        gain, low, high = (math.exp(value) for value in (one.gain, one.low, one.high))
        spread = f" [{low:.2f}, {high:.2f}]" if math.isfinite(high) else ""
        return f"{one.a:.0f} against {one.b:.0f} (x{gain:.2f}{spread})"
    score = score_of(*claim.figure(claim.a)[:2])
    percent = score is not None and score.unit == "percent"
    scale, form = (100, ".1f") if percent else (1, ".3f")
    a, b, gain, low, high = (scale * value for value in (one.a, one.b, one.gain, one.low, one.high))
    spread = f" [{low:+{form}}, {high:+{form}}]" if math.isfinite(high) else ""  # of one seed there is none
    return f"{a:{form}} against {b:{form}} ({gain:+{form}}{spread})"


def _needed(claim: Claim) -> str:
    score = score_of(*claim.figure(claim.a)[:2])
    if claim.is_cost:
        return f"x{claim.at_least:g}"
    if score is not None and score.unit == "percent":
        return f"{100 * claim.at_least:+g} points"
    return f"{claim.at_least:+g}"


def counts(judged: Sequence[Judged]) -> str:
    """How many claims have each verdict, as a sentence's end."""
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
                _measured(one).replace(" (", "\n", 1).rstrip(")"),
                _needed(one.claim),
                str(one.n),
            )
        screen.print(table)
        screen.print()
    screen.print(Text(counts(judged), style="bold"))
    screen.print(Text(LEGEND, style="dim"))
    return file.getvalue()
