"""What the site's builder asks of us: the pages that are made from the code, and the order of all pages."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.docs import notebooks
from tools.docs.api import ROOT
from tools.docs.board import rank_sets
from tools.docs.links import dead
from tools.docs.pictures import drawn, inlined

FIRST = ("index.md", "quickstart.md", "concepts.md")
LAST = ("faq.md",)
"""Pages of the folder that stand at the two ends of the menu; all others are guides."""
COPIED = {
    "project/contributing.md": "CONTRIBUTING.md",
    "project/security.md": "SECURITY.md",
    "project/changelog.md": "CHANGELOG.md",
    "results/claims.md": "results/claims.md",
}

_made: dict[str, str] = {}
_pictures: dict[str, str] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the pages, and the menu of all."""
    docs = Path(config.docs_dir)
    _made.clear()
    with ThreadPoolExecutor() as pool:  # a notebook's process starts while we import what pages are made from
        files = {file.relative_to(docs).with_suffix(".md").as_posix(): file for file in sorted(docs.rglob("*.ipynb"))}
        shown = {uri: pool.submit(notebooks.page, file) for uri, file in files.items()}
        _made.update(_from_code())
        _made.update({uri: page.result() for uri, page in shown.items()})
    _made.update({uri: (ROOT / name).read_text(encoding="utf-8") for uri, name in COPIED.items()})
    _made["index.md"] = front_page((ROOT / "README.md").read_text(encoding="utf-8"))
    for board in sorted((ROOT / "results").glob("*/leaderboard.md")):
        if (board.parent / "records").is_dir():  # what lies beside the committed ones is somebody's runs
            folder = board.parent.relative_to(ROOT)  # of the repository, which has the records too
            text = board.read_text(encoding="utf-8").replace("[records](records)", f"`{folder}/records`")
            _made[f"{folder}/leaderboard.md"] = text
    _pictures.update(drawn(docs / "pictures"))
    _pictures["rank-set.svg"] = _made["pictures/rank-set.svg"] = rank_sets(_made["results/quick/leaderboard.md"])
    config.nav = menu(docs)
    return config


def _from_code() -> dict[str, str]:
    from tools.docs.api import api_pages
    from tools.docs.classes import data_pages, method_pages
    from tools.docs.commands import command_page, suite_page
    from tools.docs.measures import measure_pages

    makers = (method_pages, data_pages, measure_pages, command_page, suite_page, api_pages)
    return {uri: text for maker in makers for uri, text in maker()}


def front_page(readme: str) -> str:
    """The README, with links from the site's root instead of the repository's."""
    places = {name: uri for uri, name in COPIED.items()}

    def moved(link: re.Match[str]) -> str:
        return f"]({places.get(link[1], link[1].removeprefix('docs/'))})"

    return re.sub(r"\]\(([^)]+)\)", moved, readme)


def menu(folder: Path) -> list[Any]:
    """Sections and their pages, in order."""
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.md")}

    def under(start: str) -> list[str]:
        found = [uri for uri in _made if uri.startswith(start) and uri.count("/") == start.count("/")]
        return sorted(found, key=lambda uri: (not uri.endswith("/index.md"), uri))

    boards = [{Path(uri).parent.name: uri} for uri in _made if re.fullmatch("results/[^/]+/leaderboard.md", uri)]
    return [
        *FIRST,
        {"Guides": [*sorted(written.difference(FIRST, LAST)), *under("notebooks/")]},
        {"Methods": under("methods/")},
        {"Data sets": under("data/")},
        {"Measures": under("measures/")},
        {"Results": [*boards, *under("results/")]},
        {"Reference": [*under("reference/"), {"API": under("reference/api/")}]},
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


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site with dead links."""
    if found := dead(Path(config.site_dir)):
        raise PluginError("\n".join(["links that lead nowhere:", *found]))
