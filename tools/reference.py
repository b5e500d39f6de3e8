"""The environment that figures are made in: `python -m tools.reference > constraints.txt` pins what is installed here.

`pip install --constraint constraints.txt '.[all]'` gives the same versions elsewhere.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OF_TORCH = ("nvidia-", "cuda-", "triton")
"""Prefixes of packages that torch pins itself and that differ between machines."""


def pinned() -> dict[str, str]:
    """Name -> version of everything that this package needs with all its extras, as installed here."""
    found: dict[str, str] = {}
    waiting = [Requirement("disentangle-bench[all,dev]")]
    seen = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if (key := (name, *sorted(wanted.extras))) in seen:
            continue
        seen.add(key)
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue  # of another platform
        found[name] = installed.version.partition("+")[0]
        for line in _requirements() if name == "disentangle-bench" else installed.requires or ():
            needed = Requirement(line)
            if name == "torch" and needed.name.startswith(OF_TORCH):
                continue
            if any(
                needed.marker is None or needed.marker.evaluate({"extra": extra}) for extra in wanted.extras or {""}
            ):
                waiting.append(needed)
    found.pop("disentangle-bench", None)
    return dict(sorted(found.items()))


def _requirements() -> list[str]:
    """Ours, as pyproject.toml says today (what is installed may be older), each extra with its marker."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return project["dependencies"] + [f'{one}; extra == "{extra}"' for extra, ones in extras.items() for one in ones]


if __name__ == "__main__":
    print("# Made by `python -m tools.reference`: Python 3.11, the versions that committed figures were made with.")
    for package, version in pinned().items():
        print(f"{package}=={version}")
