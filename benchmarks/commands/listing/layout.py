"""Tables and paragraphs as wide as the terminal; a word, and so an address, is never cut."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from disentangle_bench.benchmarks import terminal

NARROWEST = 12
"""Characters that a column has at least."""


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells; the first column is as wide as it must be, the others share what is left."""
    from tabulate import tabulate

    lines = [[" ".join(cell.split()) for cell in row] for row in rows]
    heads = [f"{header}  " for header in headers]  # tabulate leaves so much room beside a heading
    natural = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    widths = [natural[0], *_shared(natural[1:], terminal.shape()["width"] - natural[0] - 2 * len(natural[1:]))]
    wrapped = [[_wrapped(cell, width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return tabulate(wrapped, headers=headers, disable_numparse=True)


def facts(title: str, pairs: Sequence[tuple[str, str]]) -> str:
    """What is known of something, a line each; what isn't is left out."""
    return table([title, ""], [pair for pair in pairs if pair[1].strip()])


def paragraph(text: str) -> str:
    """A text in lines that fit."""
    return _wrapped(text, terminal.shape()["width"])


def _shared(natural: list[int], room: int) -> list[int]:
    """Widths of columns that want so many characters, where there is room for so many in all."""
    widths, left, waiting = natural[:], room, sorted(range(len(natural)), key=lambda k: natural[k])
    for number, k in enumerate(waiting):
        widths[k] = min(natural[k], max(left // (len(waiting) - number), NARROWEST))
        left -= widths[k]
    return widths


def _wrapped(text: str, width: int) -> str:
    return "\n".join(wrap(text, width, break_long_words=False, break_on_hyphens=False))
