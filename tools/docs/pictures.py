"""Pictures stand in a page in its own colours; `python -m tools.docs.pictures` draws those of the boards."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from disentangle_bench.evaluation.leaderboard.grid import Grid
from disentangle_bench.evaluation.leaderboard.summary import leaderboard
from disentangle_bench.evaluation.leaderboard.table import grids
from disentangle_bench.evaluation.records import find_records
from disentangle_bench.evaluation.verify import RECORDS, TABLE
from disentangle_bench.files import write_file
from tools.docs.board import content_and_domain, rank_sets
from tools.docs.dial import worst_group_curves
from tools.docs.heat import CRITERIA, criteria

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
HEAT = ("quick", "cifar10", "colored_fashion_mnist", "sprites")
OF_BOARDS: dict[str, Callable[[], str]] = {
    "board.svg": lambda: content_and_domain(_text("quick")),
    "dial.svg": lambda: worst_group_curves(_text("dial")),
    "heat.svg": lambda: criteria(*map(_grid, HEAT)),
    "rank-set.svg": lambda: rank_sets(_text("quick")),
}
"""File -> what draws it from the committed boards, as SVG."""


def _text(board: str) -> str:
    return (ROOT / "results" / board / TABLE).read_text(encoding="utf-8")


def _grid(board: str) -> Grid:
    found, _ = find_records(ROOT / "results" / board / RECORDS)
    return grids(leaderboard(found, [measure for measure, _ in CRITERIA]))[0]


def inlined(html: str, pictures: dict[str, str]) -> str:
    """A page with the SVG itself where an image of ours is named: it then follows light and dark.

    Args:
        html: of the page.
        pictures: file name -> SVG.
    """

    def svg(match: re.Match[str]) -> str:
        return f'<span class="picture">{pictures[match[1]]}</span>'

    return re.sub(r'<img [^>]*src="[^"]*pictures/([\w-]+\.svg)"[^>]*>', svg, html)


def drawn(folder: Path) -> dict[str, str]:
    """File name -> SVG of the pictures in a folder."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.svg"))}


if __name__ == "__main__":
    for name, draw in OF_BOARDS.items():
        write_file(PICTURES / name, draw())
