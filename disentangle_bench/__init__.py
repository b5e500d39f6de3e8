"""Train, judge and rank methods that claim disentangled or invariant image representations.

The four packages lie beside this folder, which holds links to them: that makes `disentangle_bench` the only name that
is installed, so that a `methods/` or an `evaluation.py` of the user's own never meets ours.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "load_encoder": "methods.pretrained.loading",
    "push_to_hub": "methods.pretrained.hub",
    "OnlineProbe": "evaluation.online_probe",
}
_MODULES = ("datamodules", "evaluation", "methods", "metrics")
__all__ = ["OnlineProbe", "load_encoder", "push_to_hub", *_MODULES]  # noqa: F822  # `__getattr__` has them


def __getattr__(name: str) -> Any:
    """What needs torch is imported when it is asked for."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """For a prompt's completion."""
    return sorted({*globals(), *__all__})
