"""Train, judge and rank methods that claim disentangled or invariant image representations.

The four packages lie beside this folder, which holds links to them: that makes `disentangle_bench` the only name that
is installed, so that a `methods/` or an `evaluation.py` of the user's own never meets ours.
"""

from typing import Any

__all__ = ["load_encoder", "push_to_hub"]


def __getattr__(name: str) -> Any:
    """What needs torch is imported when it is asked for."""
    if name == "load_encoder":
        from disentangle_bench.methods.pretrained.files import load_encoder

        return load_encoder
    if name == "push_to_hub":
        from disentangle_bench.methods.pretrained.hub import push_to_hub

        return push_to_hub
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
