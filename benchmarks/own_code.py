"""Modules of the user's own (`my_file.MyMethod`): found in the folder where `bench` was called, after all others.

A file there that is named as a library's or as one of ours (`torch.py`, `methods.py`) must never be taken for it: so
that folder is the last on the path, in every process, and Python is kept from putting it first in those it starts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from traceback import walk_tb

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Environment of every Python that is started: it then doesn't put its current folder first."""
_folder: Path | None = None


def allow(folder: Path) -> None:
    """Find modules in a folder if they are nowhere else."""
    global _folder
    _folder = folder.resolve()
    path = str(_folder)
    sys.path[:] = [entry for entry in sys.path if str(Path(entry).resolve()) != path] + [path]  # "" is the current one


def place_of(error: BaseException) -> str:
    """`my_file.py, line 12`: the last line of the user's own code that an error came through; "" if there is none."""
    place = ""
    for frame, line in walk_tb(error.__traceback__ if _folder else None):
        file = Path(frame.f_code.co_filename)
        ours = frame.f_globals.get("__name__", "").partition(".")[0] == "disentangle_bench"
        if not ours and _folder in file.parents and Path(sys.prefix) not in file.parents:
            place = f"{file.name}, line {line}"
    return place
