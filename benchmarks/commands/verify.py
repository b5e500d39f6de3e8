"""`bench verify`."""

from __future__ import annotations

from pathlib import Path

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.layout import fitted


def command(folder: str, *, retrain: int = 0) -> int:
    """Check a board: its records' digests, configurations and outcomes' figures, its table; exit code 1 if one fails.

    Args:
        folder: of a board (`bench leaderboard --board`), or of runs.
        retrain: how many of its runs to train and judge again besides; they must give the same figures to the last
            digit (on the same kind of processor, with the same versions).
    """
    from disentangle_bench.benchmarks.planning.cell import contradiction
    from disentangle_bench.evaluation.verify import verify

    if not Path(folder).is_dir():
        raise RequestError(f"verify {folder}: no such folder")
    if retrain < 0:
        raise RequestError(f"--retrain {retrain}: a number of runs is expected")
    report = verify(Path(folder))
    report.findings += [
        f"{path}: {wrong}. Next: put the record back as it was, or verify it with the version of the suite that made it"
        for path, record in report.found.items()
        if (wrong := contradiction(record))
    ]
    if retrain:
        from disentangle_bench.benchmarks.launchers.rerun import differences

        report.findings += differences(report.found, retrain)
    print(*map(fitted, report.text().splitlines()), sep="\n")
    return 1 if report.findings else 0
