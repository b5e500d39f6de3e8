"""`bench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from disentangle_bench.benchmarks.commands import preconditions
from disentangle_bench.benchmarks.errors import RequestError


def command(
    *,
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
    from disentangle_bench.benchmarks.planning.claims import read
    from disentangle_bench.evaluation.leaderboard.compare import NothingToCompare
    from disentangle_bench.evaluation.leaderboard.report.page import build

    preconditions.require_runs(Path(out))
    preconditions.check_writable(Path(to), "--to")
    preconditions.require_wandb(logger)
    try:
        page = build(Path(out), Path(to), baseline, claims=read([]))
    except NothingToCompare as error:
        raise RequestError(f"--baseline: {error}") from error
    if logger == "wandb":
        from disentangle_bench.benchmarks.execution.loggers import log_report

        log_report(page.parent)
    print(page)
    return 0
