"""Tables and paragraphs as wide as the terminal; a word, and so an address, is never cut."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from inspect import cleandoc
from textwrap import wrap

from disentangle_bench.benchmarks import terminal

NARROWEST = 12
"""Characters that a column has at least."""
INDENT = 4 * " "


def about(docstring: str | None) -> str:
    """The first paragraph of a docstring."""
    return cleandoc(docstring or "").partition("\n\n")[0]


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
    """A title, and below it names with texts; empty texts are left out."""
    known = [pair for pair in pairs if pair[1].strip()]
    widest = max(len(name) for name, _ in known)
    return "\n".join([title, "-" * len(title), *(_hanging(name.ljust(widest + 2), text) for name, text in known)])


def entries(pairs: Sequence[tuple[str, str]]) -> str:
    """Heads, each with its explanation indented below, which has the whole width of a line."""
    return "\n".join(f"{_hanging('', head)}\n{_hanging(INDENT, text)}" for head, text in pairs)


def fitted(text: str) -> str:
    """A sentence as standard output shows it best: in lines that fit a terminal, in one line elsewhere."""
    return paragraph(text) if sys.stdout.isatty() else text


def several(count: int, of: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{count} {of}" if count == 1 else f"{count} {of}s"


def paragraph(text: str) -> str:
    """A text in lines that fit."""
    return _wrapped(text, terminal.shape()["width"])


def _hanging(head: str, text: str) -> str:
    """A text in lines that fit, beside a head."""
    lines = _wrapped(" ".join(text.split()), terminal.shape()["width"] - len(head))
    return head + lines.replace("\n", "\n" + " " * len(head))


def _shared(natural: list[int], room: int) -> list[int]:
    """Widths of columns that want so many characters, where there is room for so many in all."""
    widths, left, waiting = natural[:], room, sorted(range(len(natural)), key=lambda k: natural[k])
    for number, k in enumerate(waiting):
        widths[k] = min(natural[k], max(left // (len(waiting) - number), NARROWEST))
        left -= widths[k]
    return widths


def _wrapped(text: str, width: int) -> str:
    return "\n".join(wrap(text, max(width, NARROWEST), break_long_words=False, break_on_hyphens=False))
