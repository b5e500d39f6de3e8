"""`bench leaderboard`, and the table that a run ends with."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from disentangle_bench.benchmarks.commands import preconditions

if TYPE_CHECKING:
    from disentangle_bench.evaluation.records import Problem


def command(
    *,
    out: str = "results/runs",
    format: Literal["md", "csv", "latex", "html"] = "md",
    matched: Literal["epochs", "images", "forward_passes", "minutes"] | None = None,
    interval: Literal["t", "bootstrap"] = "t",
    to: str | None = None,
) -> int:
    """Print the leaderboard of all complete runs in a folder.

    Args:
        out: folder of the runs.
        format: md (markdown), csv (every score, with its interval), latex (booktabs) or html.
        matched: only runs whose training took the same (within 10 %) in this unit.
        interval: of the csv's `low` and `high`: Student's t, right for few seeds, or bootstrap over the seeds.
        to: write it to this file; markdown under the commands, commits and hardware that gave it.
    """
    from disentangle_bench.evaluation import records
    from disentangle_bench.evaluation.leaderboard import budgets, summary
    from disentangle_bench.evaluation.leaderboard.frame import provenance

    preconditions.require_runs(Path(out))
    found, problems = records.read_records(Path(out))
    _name_skipped(problems)
    chosen = budgets.match(found, matched) if matched else found
    frame = summary.leaderboard(chosen, interval)
    text = {
        "md": lambda: summary.to_markdown(frame, problems),
        "csv": lambda: summary.to_csv(frame),
        "latex": lambda: summary.to_latex(frame),
        "html": lambda: summary.to_html(frame),
    }[format]()
    if to is None:
        print(text)
        return 0
    preconditions.check_writable(Path(to).parent)
    Path(to).parent.mkdir(parents=True, exist_ok=True)
    Path(to).write_text(f"# Leaderboard\n\n{provenance(chosen)}\n{text}" if format == "md" else text, encoding="utf-8")
    return 0


def show_board(folder: Path, hashes: set[str], logger: str = "csv") -> None:
    """Print the leaderboard of the given cells and write it beside their runs."""
    from disentangle_bench.evaluation import records
    from disentangle_bench.evaluation.leaderboard import summary

    found, problems = records.read_records(folder)
    _name_skipped(problems)
    chosen = [record for record in found if record["cell"]["hash"] in hashes]
    if not chosen:
        return
    frame = summary.leaderboard(chosen)
    text = summary.to_markdown(frame)
    print(text)
    (folder / "leaderboard.md").write_text(text, encoding="utf-8")
    (folder / "leaderboard.csv").write_text(summary.to_csv(frame), encoding="utf-8")
    if logger == "wandb":
        from disentangle_bench.benchmarks.execution.wandb import log_leaderboard

        log_leaderboard(frame, folder)


def _name_skipped(problems: Iterable[Problem]) -> None:
    for problem in problems:
        print(f"bench: skipped {problem.reason}", file=sys.stderr)
