"""Modules of the user's own (`my_file.MyMethod`): found in the folder where `bench` was called, after all others.

A file there that is named as a library's or as one of ours (`torch.py`, `methods.py`) must never be taken for it: so
that folder is the last on the path, in every process, and Python is kept from putting it first in those it starts.
"""

from __future__ import annotations

import sys
from pathlib import Path

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Environment of every Python that is started: it then doesn't put its current folder first."""


def allow(folder: Path) -> None:
    """Find modules in a folder if they are nowhere else."""
    path = str(folder.resolve())
    sys.path[:] = [entry for entry in sys.path if str(Path(entry).resolve()) != path] + [path]  # "" is the current one
