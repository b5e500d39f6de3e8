"""Run the commands of the documentation, page by page, each in an empty folder: `make docs-commands`.

A fenced block of `bash` holds commands that are run, `bench` and `python FILE`. One with a title isn't: the title says
why (it needs a cluster, takes long). A block of Python or YAML with a title is a file of that name, for the commands
below it.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools.docs.api import ROOT

FENCE = re.compile(r'^```(\w*)(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """Fenced text of a page."""

    language: str
    title: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """Words of each command of a shell block; a line that ends in a backslash goes on."""
        lines = self.text.replace("\\\n", " ").splitlines() if self.language == "bash" else []
        return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def pages() -> list[Path]:
    """The handwritten pages of the documentation."""
    return sorted((ROOT / "docs").glob("*.md"))


def blocks(page: Path) -> Iterator[Block]:
    """Fenced blocks."""
    return (Block(*match.groups(default="")) for match in FENCE.finditer(page.read_text(encoding="utf-8")))


def run(page: Path) -> None:
    """Run a page's commands; SystemExit with what was said if one fails."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("results").mkdir()
        for board in ("quick", "claims"):  # as in a copy of the repository
            Path("results", board).symlink_to(ROOT / "results" / board)
        for block in blocks(page):
            if block.language in ("python", "yaml") and block.title:
                Path(block.title).write_text(block.text, encoding="utf-8")
            for words in block.commands if not block.title else ():
                if words[0] == "python":
                    _run_program(page.name, words[1:])
                elif words[0] == "bench":
                    _run(page.name, words[1:])
                else:
                    sys.exit(f"{page.name}: {words[0]!r} is no command of ours: give its block a title that says why")


def _run(page: str, arguments: list[str]) -> None:
    from disentangle_bench.benchmarks.__main__ import main

    started, said = time.perf_counter(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    command = shlex.join(["bench", *arguments])
    if code:
        sys.exit(f"{page}: {command} ended with exit code {code}:\n{said.getvalue()}")
    print(f"{page}: {command}  ({time.perf_counter() - started:.1f} s)", flush=True)


def _run_program(page: str, arguments: list[str]) -> None:
    """A program of the page, as its reader runs it."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    command = shlex.join(["python", *arguments])
    if done.returncode:
        sys.exit(f"{page}: {command} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    print(f"{page}: {command}  ({time.perf_counter() - started:.1f} s)\n{done.stdout}", end="", flush=True)


if __name__ == "__main__":
    chosen = sys.argv[1:]
    for one in pages():
        if not chosen or one.stem in chosen:
            run(one)
