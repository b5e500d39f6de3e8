"""`bench claims`."""

from __future__ import annotations

import sys
from pathlib import Path

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.commands import preconditions


def command(*claims: str, out: str = "results/runs", run: bool = False, to: str | None = None) -> int:
    """Say of each of the papers' claims whether the runs bear it out.

    Args:
        claims: names of claims or of files of them (one a paper), or YAML files of your own; all by default.
        out: folder of the runs.
        run: make the runs that are missing first, as `bench run --suite` does.
        to: write the table to this markdown file too.
    """
    from disentangle_bench.benchmarks.planning.claims import read

    chosen = read(list(claims))
    if to is not None:
        preconditions.check_target(Path(to), "--to")
    code = 0
    if run:
        from disentangle_bench.benchmarks.commands import run as run_command

        for suite in dict.fromkeys(claim.suite for claim in chosen):
            code = max(code, run_command.command(suite=suite, out=out))
    from disentangle_bench.evaluation.leaderboard.claims import judge, verdicts
    from disentangle_bench.evaluation.records import find_records

    preconditions.require_runs(Path(out))
    found, problems = find_records(Path(out))
    preconditions.name_skipped(problems)
    judged = judge(chosen, found)
    text = verdicts.markdown(judged)
    if sys.stdout.isatty():
        terminal.show(verdicts.console(judged, **terminal.shape()))
    else:
        print(text, end="")
    if to is not None:
        preconditions.write_target(Path(to), f"# Claims\n\n{text}")
    for suite in verdicts.unfinished(judged):
        print(f"bench: runs are missing; they are made by: bench run --suite {suite} --out {out}", file=sys.stderr)
    return code
