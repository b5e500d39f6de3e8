"""Plans of earlier requests: a complete matrix is seen to be complete without importing torch to resolve it again."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from disentangle_bench.benchmarks.planning.cell import Cell, content_hash
from disentangle_bench.benchmarks.planning.suite import Suite


def planned_before(request: Suite, folder: Path) -> list[Cell] | None:
    """The cells that the same request gave before, if the code is the same; saves importing torch to learn that."""
    try:
        return [Cell(**cell) for cell in json.loads(_plan_file(request, folder).read_text())]
    except (OSError, ValueError, TypeError):
        return None


def remember_plan(request: Suite, folder: Path, cells: list[Cell]) -> None:
    """Keep the plan for `planned_before`."""
    file = _plan_file(request, folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([cell.as_dict() for cell in cells]))  # one cut short is as good as none


def _plan_file(request: Suite, folder: Path) -> Path:
    """Named by the request, the machine, and the state of every source file that a plan depends on."""
    root = Path(__file__).parents[2]
    packages = ("benchmarks", "methods", "datamodules", "evaluation")
    sources = [path for package in packages for path in (root / package).rglob("*.py")]
    sources += Path.cwd().glob("*.py")  # methods of the user's own
    state = sorted((str(path), path.stat().st_mtime_ns) for path in sources)
    return folder / ".plans" / f"{content_hash([asdict(request), state, platform.node(), sys.version])}.json"
