"""Spell grids in markdown, LaTeX and HTML. A text from a record is escaped by the format that shows it, here only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from disentangle_bench.evaluation.leaderboard.table import TIE, Cell, Column, Grid

if TYPE_CHECKING:
    from jinja2 import Environment

EMPTY = "No complete runs."
_MARKDOWN = re.compile(r"[\\`*{}\[\]#|~$]|(?<!\w)_|_(?!\w)")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{EN DASH}": "--",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    TIE: r"$\approx$",
} | {special: f"\\{special}" for special in "&%$#_{}"}
_LATEX_TABLE = str.maketrans(_LATEX)


def markdown_text(text: str) -> str:
    """Text that markdown shows as it is: one line, no markup, no html."""
    plain = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\g<0>", plain)


def latex_text(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return _one_line(text).translate(_LATEX_TABLE)


def markdown(grids: Sequence[Grid], problems: Sequence[str] = ()) -> str:
    """All grids, each under its data set's name, and what was skipped."""
    from tabulate import tabulate

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
    return "\n\n".join(parts or [EMPTY]) + "\n"


def latex(grids: Sequence[Grid]) -> str:
    """One `table*` a data set, for the packages booktabs and graphicx (wide tables are scaled to the line)."""
    parts = ["% \\usepackage{booktabs,graphicx}"]
    for grid in grids:
        header = " & ".join(_latex_heading(column) for column in grid.columns)
        body = [" & ".join(map(_latex_cell, row)) + r" \\" for row in grid.rows]
        notes = [f"\\textsuperscript{{{k}}} {latex_text(note)}" for k, note in enumerate(grid.notes, 1)]
        parts += [
            r"\begin{table*}",
            r"\centering",
            f"\\caption{{{latex_text(grid.dataset)}}}",
            r"\resizebox{\linewidth}{!}{%",
            f"\\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in grid.columns)}}}",
            r"\toprule",
            header + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            *[r"\par\footnotesize " + line for line in (*notes, *map(latex_text, grid.foot))],
            r"\end{table*}",
        ]
    return "\n".join(parts if grids else [f"% {EMPTY}"]) + "\n"


def html(grids: Sequence[Grid]) -> str:
    """All tables as one fragment of HTML, for a page of your own; `report` makes a whole page."""
    if not grids:
        return f"<p>{EMPTY}</p>\n"
    module: Any = environment().get_template("table.html.j2").module
    parts = (module.table(grid, f"table-{k}").strip() + module.foot(grid).rstrip() for k, grid in enumerate(grids, 1))
    return "\n".join(parts) + "\n"


@cache
def environment() -> Environment:
    """The templates; everything that comes into one is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("disentangle_bench.evaluation.leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _one_line(text: str) -> str:
    """Without line breaks, runs of blanks and characters that have no picture."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _markdown_cell(cell: Cell) -> str:
    text = markdown_text(cell.text)
    text = f"**{text}**" if cell.bold else text
    return text + (f" {TIE}" if cell.tie else "") + "".join(f"<sup>{k}</sup>" for k in cell.notes)


def _latex_cell(cell: Cell) -> str:
    text = latex_text(cell.text)
    text = f"\\textbf{{{text}}}" if cell.bold else text
    text += f" {_LATEX[TIE]}" if cell.tie else ""
    return text + "".join(f"\\textsuperscript{{{k}}}" for k in cell.notes)


def _latex_heading(column: Column) -> str:
    return latex_text(column.title)
