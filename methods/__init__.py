"""Methods: one LightningModule a name, all over the same encoder, views and budget.

A new method is one file here and one line in `BUILT_IN`; from outside the package, the decorator `register` or
an entry point of the group `disentangle_bench.methods`.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from disentangle_bench.methods.base import Method

BUILT_IN = {
    "simclr": "disentangle_bench.methods.simclr:SimCLR",
    "ip_irm": "disentangle_bench.methods.ip_irm:IPIRM",
    "style_blocks": "disentangle_bench.methods.style_blocks:StyleBlocks",
    "domain_contrastive": "disentangle_bench.methods.domain_contrastive:DomainContrastive",
    "contrastive_clustering": "disentangle_bench.methods.contrastive_clustering:ContrastiveClustering",
    "vicreg": "disentangle_bench.methods.vicreg:VICReg",
    "barlow_twins": "disentangle_bench.methods.barlow_twins:BarlowTwins",
    "supervised": "disentangle_bench.methods.supervised:Supervised",
    "random_init": "disentangle_bench.methods.random_init:RandomInit",
    "pixels": "disentangle_bench.methods.pixels:Pixels",
}
ENTRY_POINTS = "disentangle_bench.methods"
_registered: dict[str, type[Method]] = {}


def register(cls: type[Method]) -> type[Method]:
    """Class decorator: makes a method of your own known under its `name`."""
    _registered[cls.name] = cls
    return cls


def available() -> list[str]:
    """Names that `build` knows, sorted: built-in, registered, and from installed packages."""
    return sorted({*BUILT_IN, *_registered, *(e.name for e in entry_points(group=ENTRY_POINTS))})


def find(name: str) -> type[Method]:
    """The class behind a name, or behind a dotted path such as `my_file.MyMethod`.

    Raises:
        LookupError: there is no such method.
    """
    if name in _registered:
        return _registered[name]
    if name in BUILT_IN:
        return resolve_name(BUILT_IN[name])
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        return entry.load()
    if "." in name:
        try:
            return resolve_name(name)
        except (ImportError, AttributeError, ValueError, TypeError) as error:
            raise LookupError(f"no method at {name!r}: {error}") from error
    raise LookupError(f"no method {name!r}")


def build(name: str, *, image_shape: tuple[int, int, int], data: dict[str, Any], **options: Any) -> Method:
    """Make the method `name`; `options` are the arguments of its class, `data` is `datamodule.describe()`.

    Its initial weights depend on the option `seed` alone, not on torch's global stream.

    Raises:
        LookupError: there is no such method.
    """
    import torch

    from disentangle_bench.methods.base import stream_seed

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(options.get("seed", 0), "weights"))
        return find(name)(image_shape=image_shape, data=data, **options)
