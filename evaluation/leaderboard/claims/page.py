"""The page on papers' claims: a short table, how to read it, and for each claim all that a doubting reader asks."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby

from disentangle_bench.evaluation.leaderboard.claims.judging import Claim, Judged, Side
from disentangle_bench.evaluation.leaderboard.claims.verdicts import counts, in_percent, measured, needed, unfinished
from disentangle_bench.evaluation.leaderboard.statistics import LEVEL
from disentangle_bench.evaluation.leaderboard.writers.formats import about, one_line
from disentangle_bench.evaluation.measures.base import ALL

SHORT = (
    "*Measured* is A against B, and in brackets A's lead: by how much A is ahead of B in the direction that the claim "
    f"says (below 0: behind; for costs the factor), with its {LEVEL:.0%} interval. Shares are in percent, their leads "
    "in points. Each claim leads to what A and B are: rows of one table, each a method or an experiment of the suite."
)
RULES = f"""\
Each claim was written down before the runs, as a comparison of two rows and d, the smallest lead that matters. The
interval of the lead ({LEVEL:.0%}) is where it would most likely lie with other seeds and other test images. Each stands
by itself: of twenty such intervals about one misses.

| what d is | verdict | when |
|:--|:--|:--|
| 0 or more: A should be better | holds | the whole interval lies above 0, and the lead is at least d |
| | holds weaker | the whole interval lies above 0, but the lead is smaller than d: better, by less than matters |
| | contradicted | the interval lies below d, and not above 0: a lead that matters is excluded |
| | not shown (underpowered) | else: these runs exclude neither d nor that there is no lead |
| below 0: A may be worse by that much ("at no loss"; a claim of non-inferiority) | holds | the whole interval lies \
above d, even where it reaches below 0: what is lost is less than matters |
| | contradicted | the whole interval lies below d: more is lost |
| | not shown (underpowered) | the interval holds d |

Fewer than three seeds show nothing. *Not run*: one of the two sides has no runs."""


def markdown(judged: Sequence[Judged], out: str, asked: Sequence[str] = (), to: str = "") -> str:
    """The page without its title.

    Args:
        judged: the claims, those of a paper together.
        out: folder of the runs, for the commands that are printed.
        asked: names of claims or files that were asked for; all if empty.
        to: the file that the page is written to, if any.
    """
    parts = [_table(judged), counts(judged), SHORT, "## How to read a verdict", RULES]
    parts += [
        f"Runs of {suite} are missing (n is smaller than planned): "
        f"`{shlex.join(['bench', 'run', '--suite', suite, '--out', out])}` makes them."
        for suite in unfinished(judged)
    ]
    names = {one.claim.name for one in judged}
    for paper, ones in groupby(judged, key=lambda one: one.claim.paper):
        parts.append(f"## {one_line(paper)}")
        for one in ones:
            parts += [f"### {one.claim.name}", "\n".join(f"- {line}" for line in _details(one, out, names))]
    parts += ["## The measures", "\n".join(f"- **{title}**: {about(title)}" for title in _measures(judged))]
    parts += ["## Make this page again", f"`{command(asked, out, to)}`"]
    return "\n\n".join(parts) + "\n"


def command(asked: Sequence[str], out: str, to: str = "") -> str:
    """The command that judges these claims on these runs."""
    return shlex.join(["bench", "claims", *asked, "--out", out, *(["--to", to] if to else [])])


def _table(judged: Sequence[Judged]) -> str:
    from tabulate import tabulate

    rows = [[f"[{_escaped(one.claim.statement)}](#{one.claim.name})", measured(one), one.verdict] for one in judged]
    return tabulate(rows, ["claim", "measured", "verdict"], "pipe", disable_numparse=True)


def _escaped(text: str) -> str:
    return re.sub(r"([|\[\]])", r"\\\1", one_line(text))


def _measures(judged: Sequence[Judged]) -> list[str]:
    sides = [(one.claim, side) for one in judged for side in (one.claim.a, one.claim.b) if side.row]
    return sorted({claim.figure(side)[0] for claim, side in sides})


def _details(one: Judged, out: str, names: set[str]) -> Iterator[str]:
    claim = one.claim
    yield f"**Claim**: {one_line(claim.statement)} Source: {one_line(claim.source)}."
    yield f"**The paper's figure**: {one_line(claim.published)}."
    for letter, side, space in zip("AB", (claim.a, claim.b), one.spaces, strict=True):
        yield f"**{letter}**: {_side(claim, side, space)}"
    yield f"**Data and runs**: `{claim.dataset}`, suite `{claim.suite}`"
    yield f"**Smallest lead that matters**: d = {needed(claim)}: {_in_words(claim)}."
    if one.n:
        yield f"**Measured**: {_lead(one)}"
    seeds = f"n = {one.n} {'seed' if one.n == 1 else 'seeds'} on both sides" if one.n else ""
    yield f"**Verdict**: {one.verdict} ({'; '.join(filter(None, (seeds, one.reason)))})"
    if claim.note:
        linked = re.sub(r"\w+", lambda word: f"[{word[0]}](#{word[0]})" if word[0] in names else word[0], claim.note)
        yield f"**Found out about it**: {one_line(linked)}"
    if one.n:
        yield f"**Cost**: {one.seconds / 60:.0f} min to train and judge the runs of A and B"
    yield f"**Judge it yourself**: `{command([claim.file or claim.name], out)}`"


def _side(claim: Claim, side: Side, space: str) -> str:
    if side.value is not None:
        return f"a constant, {100 * side.value:g} %" if in_percent(claim) else f"a constant, {side.value:g}"
    measure, score, target = claim.figure(side)
    of = f" of {'all factors' if target == ALL else f'`{target}`'}" if target else ""
    where = f", space `{space}`" if space else ""
    return f"row `{side.row}`{where}, figure `{measure} {score}`{of}"


def _in_words(claim: Claim) -> str:
    """The claim about A, in words."""
    better, worse = ("higher", "lower") if claim.direction == "up" else ("lower", "higher")
    if claim.is_cost:
        return f"A is {better} by that factor, at least"
    if claim.may_lose:
        return f"A may be {worse} than B by that much, not more"
    return f"A is {better} than B by that much, at least" if claim.least else f"A is {better} than B"


def _lead(one: Judged) -> str:
    """The means of A and B, the lead and its interval, with their units."""
    over = f"over seeds and {one.images:,} test images" if one.images else "over seeds alone"
    if one.claim.is_cost:
        gain, low, high = (math.exp(value) for value in (one.gain, one.low, one.high))
        bounds = f", interval {low:.2f} to {high:.2f} {over}" if math.isfinite(high) else ""
        return f"A {one.a:.0f}, B {one.b:.0f}; lead: a factor of {gain:.2f} (geometric mean over seeds){bounds}"
    scale, form, unit, points = (100, ".1f", " %", " points") if in_percent(one.claim) else (1, ".3f", "", "")
    a, b, gain, low, high = (scale * value for value in (one.a, one.b, one.gain, one.low, one.high))
    bounds = f", interval {low:+{form}} to {high:+{form}} {over}" if math.isfinite(high) else ""
    return f"A {a:{form}}{unit}, B {b:{form}}{unit}; lead {gain:+{form}}{points}{bounds}"
