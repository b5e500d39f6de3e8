"""Hooks of mkdocs: add the pages made from the code, order the menu, rewrite links, refuse dead ones."""

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
from tools.docs.links import dead, for_the_site

FIRST = ("index.md", "quickstart.md", "concepts.md")
LAST = ("faq.md",)
"""Pages of the folder that stand at the two ends of the menu; all others are guides."""
COPIED = {
    "project/contributing.md": "CONTRIBUTING.md",
    "project/security.md": "SECURITY.md",
    "project/changelog.md": "CHANGELOG.md",
    "results/claims.md": "results/claims.md",
}

SHOWN = {
    "methods": "methods/index.md",
    "methods/base.py": "reference/api/methods.md",
    "datamodules/datasets/image_folder.py": "data/image_folder.md",
    "evaluation/measures": "measures/index.md",
    "evaluation/records.py": "reference/api/records.md",
}
"""Code of the repository -> the page that is made from it, for links from written pages."""

_made: dict[str, str] = {}
_pictures: dict[str, str] = {}
_places: dict[str, str] = {}
"""Path in the repository -> path on the site, of all that written pages may link to."""


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
    _made["index.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
    _places.clear()
    _places.update(SHOWN | {name: uri for uri, name in COPIED.items()} | {"README.md": "index.md"})
    for board in sorted((ROOT / "results").glob("*/leaderboard.md")):
        if (board.parent / "records").is_dir():  # what lies beside the committed ones is somebody's runs
            uri = board.relative_to(ROOT).as_posix()
            _made[uri], _places[uri] = board.read_text(encoding="utf-8"), uri
    _pictures.update({path.name: path.read_text(encoding="utf-8") for path in (docs / "pictures").glob("*.svg")})
    written = [path.relative_to(docs).as_posix() for path in (*docs.rglob("*.md"), *docs.rglob("*.svg"))]
    _places.update({f"docs/{uri}": uri for uri in written})
    _places.update({f"docs/{file.relative_to(docs).as_posix()}": uri for uri, file in files.items()})
    config.nav = menu(docs)
    return config


def _from_code() -> dict[str, str]:
    from tools.docs.api import api_pages
    from tools.docs.classes import data_pages, method_pages
    from tools.docs.commands import command_page, suite_page
    from tools.docs.measures import measure_pages

    makers = (method_pages, data_pages, measure_pages, command_page, suite_page, api_pages)
    return {uri: text for maker in makers for uri, text in maker()}


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


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of written pages are those of the repository: lead them to the site's pages."""
    uri = page.file.src_uri
    file = next((name for name, place in _places.items() if place == uri and name not in SHOWN), None)
    return markdown if file is None else for_the_site(markdown, file, uri, _places, ROOT)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put our pictures into the page itself."""
    return inlined(html, _pictures)


def inlined(html: str, pictures: dict[str, str]) -> str:
    """A page with the SVG itself where an image of ours is named: it then follows light and dark.

    Args:
        html: of the page.
        pictures: file name -> SVG.
    """

    def svg(match: re.Match[str]) -> str:
        alt = re.search(r' alt="[^"]*"', match[0])
        label = alt[0].replace(" alt", " aria-label") if alt else ""
        text = pictures[match[1]]
        return f'<span class="picture" role="img"{label}>{text[text.index("<svg") :]}</span>'

    return re.sub(r'<img [^>]*src="[^"]*pictures/([\w-]+\.svg)"[^>]*>', svg, html)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site with dead links."""
    if found := dead(Path(config.site_dir)):
        raise PluginError("\n".join(["links that lead nowhere:", *found]))
