"""Cards as a table in markdown, and their curves as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from disentangle_bench.evaluation.stress.cards import STEPS, Card, Trial, Truth
from disentangle_bench.evaluation.stress.planted import SIZES, Condition

PREFACE = """# Which measures can be trusted on which codes?

Codes are planted, so that the truth is known: {sizes} factors with {values} values, {images} images, {seeds}.
Two truths move: **mixing**, from a code for each factor to a rotation in which every code holds all
factors alike; and **noise**, from clean codes to nothing but noise. A score moves with a truth if its two ends
differ by 0.1 of its range, with 4 codes alone.

In each cell: the score of clean codes that hold a factor each > the score at the other end of the truth (of mixing,
where it moves with both), and the verdict:

- **holds**: moves as with 4 codes alone, never turns back by more than 0.1, and starts where it does there;
- **shifted**: moves, but starts elsewhere, for a reason that isn't how well the codes hold their factors;
- **blind**: doesn't see a truth that it sees with 4 codes alone;
- **turns**: moves back on its way;
- **undefined**: says that it can't be computed;
- **not tried**: would have taken too long.

Codes beside the factors' own are noise, or copies of them with a little noise. "One x 100": one of them has another
scale. "A factor follows": in that share of the images the second factor has the first one's value.

"""


def document(cards: Sequence[Card], conditions: Sequence[Condition], images: int, seeds: int, folder: str) -> str:
    """The page: what was planted, the cards, and the curves as pictures from a folder beside it."""
    values = f"{', '.join(map(str, SIZES[:-1]))} and {SIZES[-1]}"
    drawn = "one draw" if seeds == 1 else f"mean over {seeds} draws"
    text = PREFACE.format(sizes=len(SIZES), values=values, images=images, seeds=drawn)
    shown = [truth for truth in get_args(Truth) if any(truth in card.truths for card in cards)]
    pictures = [f"![Scores against {truth}]({folder}/{truth}.svg)\n" for truth in shown]
    return text + "\n".join([markdown(cards, conditions), *pictures])


def markdown(cards: Sequence[Card], conditions: Sequence[Condition]) -> str:
    """A row a score, a column a condition; below, scores that see neither truth and measures that can't be tried."""
    from tabulate import tabulate

    seen = [card for card in cards if card.truths]
    rows = []
    for card in seen:
        trials = {trial.condition: trial for trial in card.trials}
        cells = [_cell(card, trials.get(condition)) for condition in conditions]
        rows.append([f"{card.measure} {card.score}", ", ".join(card.truths), *cells, f"{card.seconds:.0f}"])
    titles = ["score", "moves with", *(condition.title for condition in conditions), "s"]
    parts = [tabulate(rows, titles, tablefmt="pipe", disable_numparse=True)] if rows else []
    blind = [f"{card.measure} {card.score}" for card in cards if not card.truths and card.score]
    if blind:
        parts.append(f"See neither truth: {', '.join(blind)}.")
    parts += ["\n".join(f"- {card.measure}: {card.reason}." for card in cards if not card.score)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(card: Card, trial: Trial | None) -> str:
    if trial is None:
        return "not tried"
    curve = trial.curves[card.truths[0]]
    return f"{curve[0]:.2f} > {curve[-1]:.2f} {trial.verdict}"


def pictures(cards: Sequence[Card]) -> dict[str, bytes]:
    """`mixing.svg` and `noise.svg`: a panel a score that moves with it, a line a condition; a truth without: none."""
    import numpy as np

    from disentangle_bench.evaluation.leaderboard.report.charts import small_multiples

    found = {}
    for truth in get_args(Truth):
        panels = [
            (
                f"{card.measure} {card.score}",
                [(t.condition.title, np.array(STEPS), np.array(t.curves[truth])) for t in card.trials],
            )
            for card in cards
            if truth in card.truths
        ]
        if panels:
            found[f"{truth}.svg"] = small_multiples(panels, truth, "score")
    return found
