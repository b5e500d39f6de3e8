"""`bench verify`."""

from __future__ import annotations

from pathlib import Path

from disentangle_bench.benchmarks.errors import RequestError


def command(folder: str) -> int:
    """Check a board: digests of its records, every figure that its outcomes give, its table; exit code 1 if one fails.

    Args:
        folder: of a board (`bench leaderboard --board`), or of runs.
    """
    from disentangle_bench.evaluation.verify import verify

    if not Path(folder).is_dir():
        raise RequestError(f"verify {folder}: no such folder")
    report = verify(Path(folder))
    print(report.text(), end="")
    return 1 if report.findings else 0
