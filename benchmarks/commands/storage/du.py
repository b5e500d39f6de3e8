"""`bench du`."""

from __future__ import annotations

from pathlib import Path

from disentangle_bench.benchmarks.commands import preconditions


def command(*, out: str = "results/runs") -> int:
    """Say what takes how much room in a folder of runs, and what `bench clean` would give back.

    Args:
        out: folder of the runs.
    """
    from tabulate import tabulate

    from disentangle_bench.benchmarks.runs import storage
    from disentangle_bench.benchmarks.runs.folder import RunFolder

    preconditions.require_folder(Path(out))
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for run in RunFolder.all_in(Path(out)):
        taken = rows.setdefault((run.path.parts[-3], run.path.parts[-2]), {"runs": 0})
        for kind, size in (storage.sizes(run) | {"runs": 1}).items():
            taken[kind] = taken.get(kind, 0) + size
    if not rows:
        print(f"no runs under {out}")
        return 0
    total = {kind: sum(taken[kind] for taken in rows.values()) for kind in next(iter(rows.values()))}
    table = [(*name, taken.pop("runs"), *(_mb(size) for size in taken.values())) for name, taken in rows.items()]
    table.append(("all", "", total.pop("runs"), *(_mb(size) for size in total.values())))
    print(tabulate(table, ["data set", "method", "runs", *(f"{kind} MB" for kind in total)], disable_numparse=True,
                   colalign=("left", "left", *["right"] * (len(total) + 1))))  # fmt: skip
    return 0


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"
