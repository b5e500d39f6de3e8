"""Spell grids in markdown, LaTeX and HTML. A text from a record is escaped by the format that shows it, here only."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from disentangle_bench.evaluation.leaderboard.frame import COST, PERCENT, score_of
from disentangle_bench.evaluation.leaderboard.grid import Column, Grid, TableCell

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment

EMPTY = "No complete runs."
ABSENT = "\N{EN DASH}"
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
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
} | {special: f"\\{special}" for special in "&%$#_{}"}
_LATEX_TABLE = str.maketrans(_LATEX)


def markdown_text(text: str) -> str:
    """Text that markdown shows as it is: one line, no markup, no html."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\g<0>", plain)


def latex_text(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return one_line(text).translate(_LATEX_TABLE)


def csv_text(text: str) -> str:
    """Text that a spreadsheet shows as it is, instead of taking it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def csv(frame: pd.DataFrame) -> str:
    """A whole frame as CSV: text guarded by `csv_text`, tuples with blanks between, numbers in full."""
    from pandas.api.types import is_numeric_dtype

    table = frame.copy()
    for name in table.columns:
        if not is_numeric_dtype(table[name]):
            table[name] = [_csv_cell(value) for value in table[name]]
    return str(table.to_csv(index=False, lineterminator="\n"))


def spell(cell: TableCell, column: Column) -> str:
    """`95.4 ± 0.9 (1-3) [code]`: percent with one decimal, other figures with three; costs as `amount`."""
    value = cell.value
    if value is None:
        return ABSENT if column.kind in ("cost", "figure") else ""
    if isinstance(value, str) or column.kind in ("text", "count"):
        return str(value)
    if column.kind == "cost":
        return amount(value)
    scale, digits = (100, 1) if column.unit == PERCENT else (1, 3)
    text = f"{value * scale:.{digits}f}"
    text = f"\N{GREATER-THAN OR EQUAL TO} {text}" if cell.bound else text
    text = f"({text})" if cell.other_protocol else text
    text += "" if math.isnan(cell.half) else f" ± {cell.half * scale:.{digits}f}"
    if cell.ranks is not None:
        low, high = cell.ranks
        text += f" ({low})" if low == high else f" ({low}-{high})"
    text += "" if cell.n is None else f" (n = {cell.n})"
    return f"{text} [{cell.space}]" if cell.space else text


def amount(value: float) -> str:
    """`12,800`, `9.03`: three digits, those above 100 to the last."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def transposed(grid: Grid) -> Grid:
    """The grid transposed, a row a figure and a column a method: for few methods and many figures."""
    rows = [*grid.rows, grid.chance] if grid.chance else grid.rows
    first, *others = grid.columns
    columns = [Column("", "text")] + [Column(spell(row[0], first)) for row in rows]
    lines = [[TableCell(column.title), *(_spelt(row[k], column) for row in rows)] for k, column in enumerate(others, 1)]
    return replace(grid, columns=columns, rows=lines, blocks=[""] * len(lines), chance=[])


def _spelt(cell: TableCell, column: Column) -> TableCell:
    """A cell whose value is spelled out, for a column that holds cells of several kinds."""
    return TableCell(spell(cell, column), bold=cell.bold, notes=cell.notes, untrusted=cell.untrusted)


def without_constant(grid: Grid) -> Grid:
    """The grid without empty columns, and without text, counts and costs that all rows share (its foot names these)."""
    kept, same, empty = [0], list[str](), list[str]()
    for k, column in enumerate(grid.columns[1:], 1):
        texts = {spell(row[k], column) for row in grid.rows}
        if all(row[k].value in (None, "") and not row[k].notes for row in grid.rows):
            empty.append(column.title.rstrip(" ↑↓"))
        elif len(texts) == 1 and len(grid.rows) > 1 and column.kind in ("text", "count", "cost"):
            same.append(f"{column.title} {texts.pop()}")
        else:
            kept.append(k)
    lines = [f"The same for every method: {'; '.join(same)}."] if same else []
    lines += [f"No figures of: {', '.join(empty)}."] if empty else []
    return replace(
        grid,
        columns=[grid.columns[k] for k in kept],
        rows=[[row[k] for k in kept] for row in grid.rows],
        chance=[grid.chance[k] for k in kept] if grid.chance else [],
        foot=[*grid.foot, *lines],
    )


def groups(grid: Grid) -> list[tuple[str, int]]:
    """Measures over the columns: each title with the number of neighbouring columns that it spans."""
    found: list[tuple[str, int]] = []
    for column in grid.columns:
        title = column.key[0] if column.key else ""
        if found and found[-1][0] == title:
            found[-1] = title, found[-1][1] + 1
        else:
            found.append((title, 1))
    return found


def under_group(column: Column) -> str:
    """A column's title where its measure stands above it."""
    if column.key is None or not column.title.startswith(column.key[0]):
        return column.title
    rest = column.title.removeprefix(column.key[0]).strip()
    return rest if rest.startswith(column.key[1]) else f"{column.key[1]} {rest}"


def about(title: str) -> str:
    """Tooltip of a measure: its summary, splits, chance levels and source."""
    from disentangle_bench.evaluation.protocol import MEASURES

    if title == COST:
        return "What the run cost: of training where nothing else is said."
    if title not in MEASURES:
        return ""
    measure = MEASURES[title]
    chance = ", ".join(f"{name}: {score.chance}" for name, score in measure.scores.items() if score.chance != "none")
    told = [measure.summary.rstrip("."), f"Splits: {measure.splits}", f"Chance: {chance}" if chance else ""]
    parts = [part for part in (*told, f"Source: {measure.source}") if part]
    return " ".join(part if part.endswith("?") else f"{part}." for part in parts)


def best_first(column: Column) -> str:
    """The order in which the best of a column comes first, as `aria-sort` names it."""
    if column.key is None:
        return "ascending" if column.kind == "text" else "descending"
    measure, score, _ = column.key
    less = score != "images_per_second" if measure == COST else score_of(measure, score).direction == "down"
    return "ascending" if less else "descending"


def markdown(grids: Sequence[Grid], problems: Sequence[str] = ()) -> str:
    """All grids, each under its title, and what was skipped."""
    from tabulate import tabulate

    parts = []
    for grid in grids:
        header = [markdown_text(column.title) for column in grid.columns]
        align = ["left" if column.kind == "text" else "right" for column in grid.columns]
        body = [[_markdown_cell(cell, column) for cell, column in pairs] for pairs in _pairs(grid)]
        table = tabulate(body, header, tablefmt="pipe", colalign=align, disable_numparse=True)
        notes = [f"<sup>{k}</sup> {markdown_text(note)}" for k, note in enumerate(grid.notes, 1)]
        parts += [f"## {markdown_text(grid.title)}", table, *notes, *map(markdown_text, grid.foot)]
    if problems:
        skipped = "\n".join(f"- {markdown_text(problem)}" for problem in problems)
        parts += ["## Skipped", skipped]
    return "\n\n".join(parts or [EMPTY]) + "\n"


def latex(grids: Sequence[Grid]) -> str:
    """One `table*` a grid, for the packages booktabs and graphicx (wide tables are scaled to the line)."""
    parts = ["% \\usepackage{booktabs,graphicx}"]
    for grid in grids:
        header = " & ".join(latex_text(column.title) for column in grid.columns)
        body: list[str] = []
        blocks = [*grid.blocks, "chance"]
        for k, pairs in enumerate(_pairs(grid)):
            body += [r"\midrule"] if k and blocks[k] != blocks[k - 1] else []
            body.append(" & ".join(_latex_cell(cell, column) for cell, column in pairs) + r" \\")
        notes = [f"\\textsuperscript{{{k}}} {latex_text(note)}" for k, note in enumerate(grid.notes, 1)]
        parts += [
            r"\begin{table*}",
            r"\centering",
            f"\\caption{{{latex_text(grid.title)}}}",
            r"\resizebox{\linewidth}{!}{%",
            f"\\begin{{tabular}}{{{''.join('l' if column.kind == 'text' else 'r' for column in grid.columns)}}}",
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

    templates = Environment(
        loader=PackageLoader("disentangle_bench.evaluation.leaderboard.writers"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (spell, groups, under_group, about, best_first):
        templates.globals[function.__name__] = function
    return templates


def one_line(text: str) -> str:
    """A text in one line, without runs of blanks and unprintable characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _csv_cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return " ".join(part if isinstance(part, str) else repr(part) for part in value)
    return csv_text(value) if isinstance(value, str) else value


def _pairs(grid: Grid) -> list[list[tuple[TableCell, Column]]]:
    """Every cell with its column, the row of chance last."""
    rows = [*grid.rows, grid.chance] if grid.chance else grid.rows
    return [list(zip(row, grid.columns, strict=True)) for row in rows]


def _markdown_cell(cell: TableCell, column: Column) -> str:
    text = markdown_text(spell(cell, column))
    return (f"**{text}**" if cell.bold else text) + "".join(f"<sup>{k}</sup>" for k in cell.notes)


def _latex_cell(cell: TableCell, column: Column) -> str:
    text = latex_text(spell(cell, column))
    text = f"\\textbf{{{text}}}" if cell.bold else text
    return text + "".join(f"\\textsuperscript{{{k}}}" for k in cell.notes)
