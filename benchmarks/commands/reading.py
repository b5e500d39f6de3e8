"""Commands that read complete runs: leaderboard, report, compare."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from disentangle_bench.benchmarks.commands.preconditions import check_writable, require_runs, require_wandb
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning.suite import names_in


def leaderboard(
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
    from disentangle_bench.evaluation.leaderboard import budgets as compute
    from disentangle_bench.evaluation.leaderboard import summary as tables
    from disentangle_bench.evaluation.leaderboard.frame import provenance

    require_runs(Path(out))
    found, problems = records.read_records(Path(out))
    for problem in problems:
        print(f"bench: skipped {problem.reason}", file=sys.stderr)
    chosen = compute.match(found, matched) if matched else found
    frame = tables.leaderboard(chosen, interval)
    text = {
        "md": lambda: tables.to_markdown(frame, problems),
        "csv": lambda: tables.to_csv(frame),
        "latex": lambda: tables.to_latex(frame),
        "html": lambda: tables.to_html(frame),
    }[format]()
    if to is None:
        print(text)
        return 0
    check_writable(Path(to).parent)
    Path(to).parent.mkdir(parents=True, exist_ok=True)
    Path(to).write_text(f"# Leaderboard\n\n{provenance(chosen)}\n{text}" if format == "md" else text, encoding="utf-8")
    return 0


def report(
    out: str = "results/runs",
    to: str = "results/report",
    baseline: str | None = None,
    logger: Literal["none", "wandb"] = "none",
) -> int:
    """Build a page with tables, statistics and pictures that works offline.

    Args:
        out: folder of the runs.
        to: folder of the report; open its index.html.
        baseline: method that the others are compared with; default: simclr if it was run, else a floor.
        logger: wandb: log the report, with its tables and pictures, as an artifact too.
    """
    from disentangle_bench.evaluation.leaderboard.report.page import build

    require_runs(Path(out))
    check_writable(Path(to))
    require_wandb(logger)
    try:
        page = build(Path(out), Path(to), baseline)
    except ValueError as error:
        raise RequestError(f"--baseline: {error}") from error
    if logger == "wandb":
        from disentangle_bench.benchmarks.execution.wandb import log_report

        log_report(page.parent)
    print(page)
    return 0


def compare(a: str, b: str, out: str = "results/runs", threshold: float = 0.01, measures: str | None = None) -> int:
    """Say what is better or worse in B than in A beyond noise; exit code 3 if something is worse (a gate for CI).

    Args:
        a: folder of runs, or a method of the folder `out`.
        b: folder of runs, or a method of the folder `out`.
        out: folder that holds the runs of two methods.
        threshold: loss that is put up with, in the score's own unit (0.01 is one point of accuracy).
        measures: only these, comma-separated, such as linear@1,knn@1.
    """
    from disentangle_bench.evaluation.leaderboard import compare as comparing
    from disentangle_bench.evaluation.records import read_records

    only = names_in(measures) if measures else []
    try:
        if Path(a).is_dir() and Path(b).is_dir():
            comparison = comparing.compare(Path(a), Path(b), threshold, only)
        else:
            records, problems = read_records(Path(out))
            comparison = comparing.compare_methods(records, a, b, threshold, only, problems)
    except comparing.NothingToCompare as error:
        raise RequestError(f"compare {a} {b}: {error}") from error
    print(comparison.text(), end="")
    return 3 if comparison.worse else 0
