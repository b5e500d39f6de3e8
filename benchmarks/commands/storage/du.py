"""`bench du`."""

from __future__ import annotations

import shlex
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
    dispensable = 0
    for run in RunFolder.all_in(Path(out)):
        dispensable += sum(map(storage.size_of, storage.dispensable(run)))
        taken = rows.setdefault((run.path.parts[-3], run.path.parts[-2]), {"runs": 0})
        for kind, size in (storage.sizes(run) | {"runs": 1}).items():
            taken[kind] = taken.get(kind, 0) + size
    if not rows:
        print(f"no runs under {out}")
        return 0
    total = {kind: sum(taken[kind] for taken in rows.values()) for kind in next(iter(rows.values()))}
    kinds = [kind for kind, size in total.items() if size and kind != "runs"]
    rows[("all", "")] = total
    table = [(*name, taken["runs"], *(_mb(taken[kind]) for kind in kinds)) for name, taken in rows.items()]
    aligned = ("left", "left", *["right"] * (len(kinds) + 1))
    print(tabulate(table, ["data set", "method", "runs", *kinds], disable_numparse=True, colalign=aligned))
    print(f"\nMB; `bench clean --out {shlex.quote(out)}` gives back {_mb(dispensable)} of them")
    return 0


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"
