"""Packages that judging and training do without: whoever needs one gets it with an extra of this package."""

from __future__ import annotations

from importlib.util import find_spec

EXTRAS = {"matplotlib": "report", "wandb": "wandb", "submitit": "slurm", "h5py": "shapes3d"}
EXTRAS |= dict.fromkeys(("numba", "llvmlite"), "fast")
"""Package as it is imported -> the extra that installs it. Imported where it is used, never at a module's top."""


def advice(name: str) -> str:
    """What to do about a package that isn't there: `needs matplotlib: pip install 'disentangle-bench[report]'`."""
    return f"needs {name}: pip install 'disentangle-bench[{EXTRAS[name]}]'"


def missing(name: str) -> str | None:
    """Advice if a package of an extra isn't installed, else None."""
    return advice(name) if find_spec(name) is None else None
