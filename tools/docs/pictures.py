"""Pictures stand in a page in its own colours; `python -m tools.docs.pictures` draws those of the boards."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from disentangle_bench.files import write_file
from tools.docs.board import content_and_domain, rank_sets
from tools.docs.dial import worst_group_curves
from tools.docs.heat import criteria

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
OF_BOARDS: dict[str, tuple[Callable[..., str], *tuple[str, ...]]] = {
    "board.svg": (content_and_domain, "quick"),
    "dial.svg": (worst_group_curves, "dial"),
    "heat.svg": (criteria, "quick", "cifar10", "colored_fashion_mnist", "sprites"),
    "rank-set.svg": (rank_sets, "quick"),
}
"""File -> what draws it, from which boards."""


def of_the_boards() -> dict[str, str]:
    """File name -> SVG of the pictures of the committed boards."""

    def text(board: str) -> str:
        return (ROOT / "results" / board / "leaderboard.md").read_text(encoding="utf-8")

    return {name: draw(*map(text, boards)) for name, (draw, *boards) in OF_BOARDS.items()}


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
    for name, svg in of_the_boards().items():
        write_file(PICTURES / name, svg)
