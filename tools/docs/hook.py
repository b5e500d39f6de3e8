"""What the site's builder asks of us: the pages that are made from the code, and the order of all pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.docs import notebooks
from tools.docs.api import ROOT, api_pages
from tools.docs.classes import data_pages, method_pages
from tools.docs.commands import command_page, suite_page
from tools.docs.measures import measure_pages
from tools.docs.pictures import drawn, inlined, rank_sets

FIRST = ("index.md", "quickstart.md", "concepts.md")
LAST = ("faq.md",)
"""Pages of the folder that stand at the two ends of the menu; all others are guides."""
COPIED = {"project/contributing.md": "CONTRIBUTING.md", "project/security.md": "SECURITY.md"}
COPIED |= {"project/changelog.md": "CHANGELOG.md"}
BOARDS = ROOT / "results"

_made: dict[str, str] = {}
_pictures: dict[str, str] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the pages, and the menu of all."""
    _made.clear()
    for made in (method_pages(), data_pages(), measure_pages(), command_page(), suite_page(), api_pages()):
        _made.update(made)
    for uri, name in COPIED.items():
        _made[uri] = (ROOT / name).read_text(encoding="utf-8")
    for notebook in sorted(Path(config.docs_dir).rglob("*.ipynb")):
        _made[f"{notebook.relative_to(config.docs_dir).with_suffix('')}.md"] = notebooks.page(notebook)
    for board in sorted(BOARDS.glob("*/leaderboard.md")):
        _made[f"results/{board.parent.name}.md"] = board.read_text(encoding="utf-8")
    _pictures.update(drawn(Path(config.docs_dir) / "pictures"))
    _pictures["rank-set.svg"] = _made["pictures/rank-set.svg"] = rank_sets(_made["results/quick.md"])
    config.nav = menu(Path(config.docs_dir))
    return config


def menu(folder: Path) -> list[Any]:
    """Sections and their pages, in order."""
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.md")}
    guides = sorted(page for page in written if page not in FIRST + LAST)

    def under(start: str) -> list[str]:
        found = [uri for uri in _made if uri.startswith(start) and uri.count("/") == start.count("/")]
        return sorted(found, key=lambda uri: (not uri.endswith("/index.md"), uri))

    reference = [*under("reference/"), {"API": under("reference/api/")}]
    return [
        *FIRST,
        {"Guides": [*guides, *under("notebooks/")]},
        {"Methods": under("methods/")},
        {"Data sets": under("data/")},
        {"Measures": under("measures/")},
        {"Results": under("results/")},
        {"Reference": reference},
        {"Project": [*under("project/"), *LAST]},
    ]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that were made."""
    for uri, text in _made.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put our pictures into the page itself."""
    return inlined(html, _pictures)
