"""Modules of the user's own (`my_file.MyMethod`): found in the folder where `bench` was called, after all others.

A file there that is named as a library's or as one of ours (`torch.py`, `methods.py`) must never be taken for it: so
that folder is the last on the path, in every process, and Python is kept from putting it first in those it starts.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
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


def with_imports(module: str, file: Path) -> set[Path]:
    """A module's file and those that it imports from beside it, and what these import from there in turn.

    Beside it means: from the folder that its outermost package, or itself, lies in; of an installed package only its
    own files count. Imports are read, not run, also those within functions: the same files in every process. One whose
    name is made up while it runs isn't seen.

    Args:
        module: its dotted name.
        file: where it is.
    """
    top, root = module.partition(".")[0], file.parents[module.count(".") + (file.name == "__init__.py")]
    found, ahead = {file}, [module]
    seen: set[str] = set()
    while ahead:
        parts = ahead.pop().split(".")
        for name in {".".join(parts[: count + 1]) for count in range(len(parts))} - seen:
            seen.add(name)
            place = root.joinpath(*name.split("."))
            package = place / "__init__.py"
            one = package if package.is_file() else place.with_name(f"{place.name}.py")
            if one.is_file():
                found.add(one)
                imports = _imports(one, name if one == package else name.rpartition(".")[0])
                ahead += [other for other in imports if _lies_in(other.partition(".")[0], root, top)]
    return found


def texts(files: Iterable[Path]) -> list[tuple[str, str]]:
    """(name, content) of files, in the order of their paths."""
    return [(file.name, file.read_text(encoding="utf-8", errors="replace")) for file in sorted(files)]


def is_installed(module: str) -> bool:
    """Whether an imported module comes with Python or is of an installed package."""
    place = Path(getattr(sys.modules.get(module), "__file__", None) or "")
    return module.partition(".")[0] in sys.stdlib_module_names or not _INSTALLED.isdisjoint(place.parts)


_INSTALLED = {"site-packages", "dist-packages"}


def _imports(file: Path, package: str) -> Iterator[str]:
    """Dotted names that a file in a package imports, and of `from a import b` both `a` and `a.b`, which may be one."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # nobody has run it
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names if base)


def _lies_in(name: str, root: Path, top: str) -> bool:
    """Whether Python finds a module of that name in a folder: a library's of the name goes first, see `allow`."""
    if name == top or name == "disentangle_bench" or root.name in _INSTALLED:
        return name == top
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    places = [*(spec.submodule_search_locations or ()), spec.origin] if spec else []
    return any(Path(place).parent == root for place in places if place)
