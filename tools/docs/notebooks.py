"""Notebooks are run when the site is made, so that a page shows what they give today; none is shown that fails."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

QUIET = ["--IPKernelApp.log_level=40"]
"""Arguments of the kernel: no warnings on its own start."""
TIMEOUT = 600
"""Seconds that a cell may take."""


def page(file: Path) -> str:
    """Markdown of a notebook with what its cells give.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
        ValueError: the notebook is kept with outputs.
    """
    notebook = nbformat.read(file, as_version=4)
    if any(cell.get("outputs") for cell in notebook.cells):
        raise ValueError(f"{file}: keep it without outputs, they are made anew (`jupyter nbconvert --clear-output`)")
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook, extra_arguments=QUIET, timeout=TIMEOUT, resources={"metadata": {"path": folder}}
        ).execute()
    return "\n\n".join(part for cell in notebook.cells for part in _parts(cell)) + "\n"


def _parts(cell: Any) -> list[str]:
    """Markdown of a cell, and of what it gave."""
    if cell.cell_type == "markdown":
        return [cell.source]
    return [f"```python\n{cell.source}\n```", *filter(None, map(_shown, cell.get("outputs", ())))]


def _shown(output: Any) -> str:
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```" if output.name == "stdout" else ""
    data = output.data
    if "text/markdown" in data:
        return re.sub(r"^#+ ", "### ", data["text/markdown"], flags=re.MULTILINE)  # below the notebook's own
    if "text/html" in data:  # a data frame, in the site's own style
        html = re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.DOTALL)
        return re.sub(r"<table[^>]*>", "<table>", html)
    return f"```text\n{data['text/plain']}\n```"
