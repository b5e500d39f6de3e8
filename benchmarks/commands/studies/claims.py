"""`bench claims`."""

from __future__ import annotations

import sys
from pathlib import Path

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.commands import preconditions

COMMITTED = "results/claims/records"
"""Where the repository has the runs of its claims."""


def command(*claims: str, out: str = "results/runs", run: bool = False, to: str | None = None) -> int:
    """Say of each of the papers' claims whether the runs bear it out.

    Args:
        claims: names of claims or of files of them (one a paper), or YAML files of your own; all by default.
        out: folder of the runs; results/claims/records of this repository holds those that it comes with.
        run: make the runs that are missing first, as `bench run --suite` does.
        to: write the table to this markdown file too.
    """
    from disentangle_bench.benchmarks.planning.claims import read

    chosen = read(list(claims))
    if to is not None:
        preconditions.check_target(Path(to))
    code = 0
    if run:
        from disentangle_bench.benchmarks.commands import run as run_command

        for suite in dict.fromkeys(claim.suite for claim in chosen):
            code = max(code, run_command.command(suite=suite, out=out))
    from disentangle_bench.evaluation.leaderboard.claims import judge, page, verdicts
    from disentangle_bench.evaluation.records import find_records

    preconditions.require_runs(Path(out), _who_has_runs([claim.suite for claim in chosen], out))
    found, problems = find_records(Path(out))
    preconditions.name_skipped(problems)
    judged = judge(chosen, found)
    text = page.markdown(judged, out, claims, to or "")
    if sys.stdout.isatty():
        terminal.show(verdicts.console(judged, **terminal.shape()))
    else:
        print(text, end="")
    if to is not None:
        preconditions.write_target(Path(to), f"# Claims\n\n{text}")
    for suite in verdicts.unfinished(judged):
        print(f"bench: runs are missing; they are made by: bench run --suite {suite} --out {out}", file=sys.stderr)
    return code


def _who_has_runs(suites: list[str], out: str) -> str:
    """Advice to who has none: those of the repository, if this is a copy of it, or runs of one's own."""
    own = " and ".join(f"`bench run --suite {suite} --out {out}`" for suite in dict.fromkeys(suites))
    there = f"`--out {COMMITTED}` takes those of this repository, " if Path(COMMITTED).is_dir() else ""
    return f"{there}{own} {'make' if ' and ' in own else 'makes'} them anew"
