"""`bench leaderboard`, and the table that a run ends with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.commands import preconditions
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.files import write_file


def command(
    *,
    out: str = "results/runs",
    format: Literal["table", "md", "csv", "latex", "html"] | None = None,
    matched: Literal["epochs", "images", "forward_passes", "minutes"] | None = None,
    measures: str | None = None,
    spaces: str | None = None,
    columns: str | None = None,
    sort: str = "",
    transpose: bool = False,
    to: str | None = None,
    board: str | None = None,
) -> int:
    """Print the leaderboard of all complete runs in a folder.

    Args:
        out: folder of the runs.
        format: table (fitted to the terminal), md (markdown), csv (every score, with its interval), latex (booktabs) or
            html; by default table on a terminal, else md.
        matched: only runs whose training took the same, within a tenth, in this unit.
        measures: only these, comma-separated, such as linear,knn@1.
        spaces: rows for these spaces, comma-separated, instead of the one that each method declares; a space is one of
            the representations that a method offers, such as features or projection.
        columns: only these in the tables, comma-separated: a measure, "linear@1 top1" or train_seconds.
        sort: column that rows are sorted by inside their blocks, such as knn@1; the first one by default.
        transpose: a row a figure and a column a method.
        to: write it to this file; markdown under the commands, commits and hardware that gave it.
        board: write records, outcomes and the table to this folder instead: all that `bench verify` needs.
    """
    from disentangle_bench.benchmarks.planning.command_line import names_in
    from disentangle_bench.evaluation import records
    from disentangle_bench.evaluation.leaderboard import budgets, dial, summary
    from disentangle_bench.evaluation.leaderboard.frame import provenance
    from disentangle_bench.evaluation.leaderboard.grid import column_names
    from disentangle_bench.evaluation.leaderboard.writers import formats

    preconditions.require_runs(Path(out))
    if to is not None:
        preconditions.check_target(Path(to))
    if board:
        texts = {"format": format, "measures": measures, "spaces": spaces, "columns": columns, "sort": sort, "to": to}
        if given := [*(option for option, text in texts.items() if text), *["transpose"] * transpose]:
            raise RequestError(f"--{given[0]} is of a table without a board: a board has all that its runs measured")
        preconditions.check_board(Path(board))
    found, problems = records.find_records(Path(out))
    preconditions.name_skipped(problems)
    chosen = budgets.match(found, matched) if matched else found
    preconditions.name_mixtures(chosen.values())
    if board:
        from disentangle_bench.evaluation.verify import export_board

        if not chosen:
            raise RequestError(f"--board {board}: none of the runs in {out} can stand on it")
        print(export_board(chosen, Path(board)))
        return 0
    form = format or ("table" if to is None and sys.stdout.isatty() else "md")
    if form == "csv" and (columns or sort or transpose):
        raise RequestError("--columns, --sort and --transpose are of tables; csv holds every score in lines of its own")
    asked, rows = names_in(measures or ""), names_in(spaces or "")
    preconditions.require_recorded("measure", asked, chosen.values())
    preconditions.require_recorded("space", rows, chosen.values())
    frame = summary.leaderboard(chosen, asked, rows)
    view = summary.View(names_in(columns or ""), sort, transpose)
    shown = column_names(frame) | ({dial.MEASURE, dial.AREA} if frame.attrs.get("dials") else set())
    preconditions.require_known("column", [*view.columns, *([sort] if sort else [])], shown)
    if form == "table" and to is None:
        terminal.show(summary.to_console(frame, problems, view, **terminal.shape()))
        return 0
    text = {
        "table": lambda: summary.to_console(frame, problems, view),
        "md": lambda: summary.to_markdown(frame, problems, view),
        "csv": lambda: formats.csv(frame),
        "latex": lambda: summary.to_latex(frame, view),
        "html": lambda: summary.to_html(frame, view),
    }[form]()
    if to is None:
        print(text)
        return 0
    head = f"# Leaderboard\n\n{provenance(chosen.values())}\n" if form == "md" else ""
    preconditions.write_target(Path(to), head + text)
    print(to)
    return 0


def show_board(folder: Path, hashes: set[str], logger: str = "csv", alone: bool = True) -> None:
    """Print the leaderboard of the given cells and write it beside their runs.

    Args:
        folder: of all runs.
        hashes: of the cells.
        logger: wandb: log it, too.
        alone: False: with every other run of the folder on the same data sets under the same budget, the given cells'
            rows being marked in what is printed.
    """
    from disentangle_bench.evaluation import records
    from disentangle_bench.evaluation.leaderboard import requested, summary
    from disentangle_bench.evaluation.leaderboard.writers import formats

    found, problems = records.find_records(folder, deep=False)
    preconditions.name_skipped(problems)
    chosen = {path: record for path, record in found.items() if record["cell"]["hash"] in hashes}
    if not chosen:
        return
    if not alone:
        chosen = requested.comparable(found, hashes)
    frame = summary.leaderboard(chosen)
    shown = requested.marked(frame, hashes)
    if sys.stdout.isatty():
        terminal.show(summary.to_console(shown, **terminal.shape()))
    else:
        print(summary.to_markdown(shown))
    if shown is not frame:
        where = f"the others: {folder}, on the same data under the same budget"
        print(f"{requested.MARK.strip()} rows of this request; {where}")
    preconditions.name_mixtures(chosen.values())
    write_file(folder / "leaderboard.md", summary.to_markdown(frame))
    write_file(folder / "leaderboard.csv", formats.csv(frame))
    if logger == "wandb":
        from disentangle_bench.benchmarks.execution.loggers import log_leaderboard

        log_leaderboard(frame, folder)
