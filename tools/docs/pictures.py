"""Pictures of the committed boards, as the report draws them; `python -m tools.docs.pictures` draws them anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from disentangle_bench.evaluation.leaderboard import dial
from disentangle_bench.evaluation.leaderboard.report import charts, datasets
from disentangle_bench.evaluation.leaderboard.summary import leaderboard
from disentangle_bench.evaluation.leaderboard.table import grids
from disentangle_bench.evaluation.records import Record, find_records
from disentangle_bench.evaluation.verify import RECORDS
from disentangle_bench.files import write_file
from tools.docs.heat import CRITERIA, criteria

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
HEAT = ("quick", "cifar10", "colored_fashion_mnist", "sprites", "pacs")
CLUSTERS = "kmeans@2"


def _records(board: str) -> dict[Path, Record]:
    return find_records(ROOT / "results" / board / RECORDS)[0]


def clusters() -> bytes:
    """Chart of how well clusters of each method's representation match the class, and how well the domain (NMI)."""
    frame = leaderboard(_records("quick"), [CLUSTERS])
    table, _ = datasets.pair(frame, (CLUSTERS, "nmi", "class"), (CLUSTERS, "nmi_domain", "class"))
    titles = (f"clusters follow the {what} ({CLUSTERS} nmi)" for what in ("domain", "class"))
    return charts.pair(table, table.iloc[:0], *titles)


def ranks() -> bytes:
    """Rank sets of the default board."""
    frame = leaderboard(_records("quick"), ["linear@1", "leakage@4", "knn@1"])
    return datasets.draw_ranks(datasets.rank_sets(frame), grids(frame)[0])


def worst_groups() -> bytes:
    """The shortcut dial of the first data set of its board."""
    frame = leaderboard(_records("dial"), [dial.MEASURE])
    curves = frame.attrs["dials"]
    return datasets.draw_dial(dial.figures([c for c in curves if c.dataset == curves[0].dataset], frame))


def heat() -> bytes:
    """Methods by criteria of several boards."""
    measures = [measure for measure, _ in CRITERIA]
    return criteria(*(grids(leaderboard(_records(board), measures))[0] for board in HEAT)).encode()


OF_BOARDS: dict[str, Callable[[], bytes]] = {
    "board.svg": clusters,
    "dial.svg": worst_groups,
    "heat.svg": heat,
    "rank-set.svg": ranks,
}
"""File -> what draws it from the records of the committed boards, as SVG."""


if __name__ == "__main__":
    for name, draw in OF_BOARDS.items():
        write_file(PICTURES / name, draw())
