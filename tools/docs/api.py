"""Pages of the API: which modules a reader may build on, by room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = {
    "methods": (
        "Methods",
        [
            "methods/__init__.py",
            "methods/base.py",
            "methods/views/__init__.py",
            "methods/views/augmentation.py",
            "methods/views/positives.py",
        ],
    ),
    "objectives": ("Objectives", ["methods/objectives"]),
    "networks": ("Networks", ["methods/networks"]),
    "data": (
        "Data sets",
        [f"datamodules/{name}" for name in ("__init__.py", "base.py", "targets.py", "errors.py", "batches", "splits")],
    ),
    "metrics": ("Metrics", ["evaluation/metrics"]),
    "measures": ("Measures", ["evaluation/measures", "evaluation/protocol.py", "evaluation/outcomes.py"]),
    "encoders": ("Encoders and features", ["evaluation/network.py", "evaluation/features.py"]),
    "records": ("Records and tables", ["evaluation/records.py", "evaluation/verify.py", "evaluation/leaderboard"]),
}
"""Name of the page -> its title, and the files and folders whose public names it shows."""


def api_pages() -> Iterator[tuple[str, str]]:
    """(path in the docs, markdown) of each page; the site's plugin fills in what stands after `:::`."""
    rows = []
    for name, (title, places) in PAGES.items():
        modules = [module for place in places for module in documented(ROOT / place)]
        body = "\n\n".join(f"::: {module}" for module in modules)
        yield f"reference/api/{name}.md", f"# {title}\n\n{body}\n"
        rows.append(f"- [{title}]({name}.md): {', '.join(f'`{place}`' for place in places)}")
    top = "\n\n".join(f"::: {module}" for module in documented(ROOT / "disentangle_bench", "*.py"))
    yield (
        "reference/api/index.md",
        "# API\n\nWhat a program of yours may build on, from the docstrings. Everything else is inner life of the "
        f"commands and may change.\n\n{chr(10).join(rows)}\n\n{top}\n",
    )


def documented(place: Path, pattern: str = "**/*.py") -> list[str]:
    """Dotted names of the modules at a place that define something public."""
    files = sorted(place.glob(pattern)) if place.is_dir() else [place]
    return [module_name(file) for file in files if _has_public_names(file)]


def module_name(file: Path) -> str:
    """`disentangle_bench.methods.base`."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    ours = parts if parts[0] == "disentangle_bench" else ("disentangle_bench", *parts)
    return ".".join(ours[:-1] if ours[-1] == "__init__" else ours)


def _has_public_names(file: Path) -> bool:
    definitions = (ast.ClassDef, ast.FunctionDef)
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return any(isinstance(node, definitions) and not node.name.startswith("_") for node in body)
