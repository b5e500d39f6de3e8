"""Spell a grid in markdown. Every text from a record is escaped here, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tabulate import tabulate

from evaluation.leaderboard.grid import Cell, Grid

_MARKDOWN = re.compile(r"[\\`*{}\[\]#|~$]|(?<!\w)_|_(?!\w)")


def markdown_text(text: str) -> str:
    """Text that markdown shows as it is: one line, no markup, no html."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\g<0>", plain)


def markdown(grids: Sequence[Grid], problems: Sequence[str] = ()) -> str:
    """All grids, each under its data set's name, and what was skipped."""
    parts = []
    for grid in grids:
        header = [markdown_text(column.title) for column in grid.columns]
        align = ["right" if column.numeric else "left" for column in grid.columns]
        body = [[_markdown_cell(cell) for cell in row] for row in grid.rows]
        table = tabulate(body, header, tablefmt="pipe", colalign=align, disable_numparse=True)
        notes = [f"<sup>{k}</sup> {markdown_text(note)}" for k, note in enumerate(grid.notes, 1)]
        parts += [f"## {markdown_text(grid.dataset)}", table, *notes, *map(markdown_text, grid.foot)]
    if problems:
        skipped = "\n".join(f"- {markdown_text(problem)}" for problem in problems)
        parts += ["## Skipped", skipped]
    return "\n\n".join(parts or ["No complete runs."]) + "\n"


def _markdown_cell(cell: Cell) -> str:
    text = markdown_text(cell.text)
    text = f"**{text}**" if cell.bold else text
    return text + "".join(f"<sup>{k}</sup>" for k in cell.notes)
