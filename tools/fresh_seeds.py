"""Do other seeds give what a board says? `python -m tools.fresh_seeds results/field RUNS`.

For each ranked figure of the board's main table: is the mean over the seeds of RUNS, which the board must not have,
inside of the interval? That holds the true mean in 95 of 100 cases; the mean of a few more seeds, which varies itself,
lies in it less often.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from disentangle_bench.evaluation.leaderboard.summary import leaderboard
from disentangle_bench.evaluation.records import Record, find_records

LINE = ["dataset", "method", "row", "space", "measure", "score", "target"]
HEADER = ["method", "figure", "board", "from", "to", "fresh"]


def figures(records: Mapping[Path, Record]) -> pd.DataFrame:
    """Lines of the main table, by what they are of."""
    frame = leaderboard(records)
    return frame[(frame["row"] != "") & (frame["n"] > 0)].set_index(LINE)


def beside(board: pd.DataFrame, fresh: pd.DataFrame) -> pd.DataFrame:
    """Ranked figures of the board: its `mean`, `low` and `high`, the `fresh` mean, and whether that is `inside`.

    Raises:
        ValueError: a seed is in both.
    """
    ranked = board[board["rank_low"].notna() & board["low"].notna()]
    both = ranked.join(fresh[["mean", "seeds"]].add_suffix("_fresh"), how="inner")
    for own, others in zip(both["seeds"], both["seeds_fresh"], strict=True):
        if shared := sorted(set(own) & set(others)):
            raise ValueError(f"seed {shared[0]} is the board's own")
    inside = both["mean_fresh"].between(both["low"], both["high"])
    return both[["mean", "low", "high"]].assign(fresh=both["mean_fresh"], inside=inside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", type=Path, help="a committed board, such as results/field")
    parser.add_argument("runs", type=Path, help="runs of the same suite with other seeds")
    arguments = parser.parse_args()
    found = beside(*(figures(find_records(folder)[0]) for folder in (arguments.board, arguments.runs)))
    outside = found[~found["inside"]]
    lines = [
        [line[1], f"{line[4]} {line[5]}", *(f"{row[name]:.3f}" for name in ("mean", "low", "high", "fresh"))]
        for line, row in zip(outside.index, outside.to_dict("records"), strict=True)
    ]
    print(tabulate(lines, HEADER))
    print(f"{found['inside'].sum()} of {len(found)} figures inside ({found['inside'].mean():.1%})")


if __name__ == "__main__":
    main()
