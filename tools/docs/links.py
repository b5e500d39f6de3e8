"""Links of the finished site: what the theme and the plugins write is checked too, not only what markdown says.

Links to other sites aren't followed: a page would fail with their servers.
"""

from __future__ import annotations

import re
from functools import cache
from html import unescape
from pathlib import Path
from urllib.parse import unquote

ELSEWHERE = re.compile(r"(?:https?|mailto|data):")


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
