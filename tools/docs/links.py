"""Links of written pages, which are read in the repository and on the site, and links of the finished site.

Of the site, what the theme and the plugins write is checked too. Links to other sites aren't followed: a page would
fail with their servers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from html import unescape
from os.path import normpath
from pathlib import Path
from posixpath import dirname, relpath
from urllib.parse import unquote

ELSEWHERE = re.compile(r"(?:https?|mailto|data):")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
"""A link in markdown; groups: its text, its address."""
HEADING = re.compile(r"^#+ (.+?) *$", re.MULTILINE)


def dead_in_repository(root: Path, pages: Iterable[Path]) -> list[str]:
    """`page: link` for each relative link that leads to no file, folder or heading of the repository."""
    return [
        f"{page.relative_to(root)}: {link}"
        for page in pages
        for _, link in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
        if not ELSEWHERE.match(link) and not _is_there(page, link)
    ]


def _is_there(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = page.parent / file if file else page
    return target.exists() and (not anchor or anchor in _headings(target))


def _headings(page: Path) -> set[str]:
    """Anchors of the headings of a page of markdown."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def for_the_site(text: str, file: str, uri: str, places: Mapping[str, str], root: Path) -> str:
    """A page of the repository with links to pages of the site; what the site doesn't have is named instead.

    Args:
        text: markdown.
        file: path of the page in the repository.
        uri: its path on the site.
        places: path in the repository -> path on the site.
        root: of the repository.
    """

    def moved(link: re.Match[str]) -> str:
        words, address = link.groups()
        path, hash_, anchor = address.partition("#")
        if not path or ELSEWHERE.match(address):
            return link[0]
        target = normpath(f"{dirname(file)}/{path}" if dirname(file) else path)
        if target in places:
            return f"[{words}]({relpath(places[target], dirname(uri) or '.')}{hash_}{anchor})"
        return f"{words} (`{target}`)" if (root / target).exists() else link[0]

    parts = re.split(f"({FENCED.pattern})", text, flags=FENCED.flags)
    return "".join(part if part.startswith("```") else LINK.sub(moved, part) for part in parts)


def dead(site: Path) -> list[str]:
    """`page: link` for each link, picture and script of a folder of pages that leads to no file or anchor in it."""
    pages = sorted(page for page in site.rglob("*.html") if page.name != "404.html")  # whose links are from the root
    return [f"{page.relative_to(site)}: {link}" for page in pages for link in _links(page) if not _leads(page, link)]


def _links(page: Path) -> list[str]:
    found = {unescape(link) for link in re.findall(r'\s(?:href|src)="([^"]*)"', page.read_text(encoding="utf-8"))}
    return sorted(link for link in found if not ELSEWHERE.match(link))


def _leads(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (page.parent / unquote(file.partition("?")[0])).resolve() if file else page
    target = target / "index.html" if target.is_dir() else target
    return target.is_file() and (not anchor or target.suffix != ".html" or unquote(anchor) in _anchors(target))


@cache
def _anchors(page: Path) -> set[str]:
    return set(re.findall(r'\s(?:id|name)="([^"]+)"', page.read_text(encoding="utf-8")))
