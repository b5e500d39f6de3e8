"""Data sets: one LightningDataModule a name, all with the same batches.

A new data set is one file here and one line in `BUILT_IN`; from outside the package, the decorator `register` or
an entry point of the group `disentangle_bench.datamodules`.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from disentangle_bench.datamodules.base import ImageDataModule

BUILT_IN = {
    "digits": "disentangle_bench.datamodules.datasets.digits:Digits",
    "colored_digits": "disentangle_bench.datamodules.datasets.digits:ColoredDigits",
    "sprites": "disentangle_bench.datamodules.datasets.factors.sprites:Sprites",
    "mnist": "disentangle_bench.datamodules.datasets.mnist:MNIST",
    "colored_mnist": "disentangle_bench.datamodules.datasets.mnist:ColoredMNIST",
    "fashion_mnist": "disentangle_bench.datamodules.datasets.mnist:FashionMNIST",
    "colored_fashion_mnist": "disentangle_bench.datamodules.datasets.mnist:ColoredFashionMNIST",
    "cifar10": "disentangle_bench.datamodules.datasets.cifar:CIFAR10",
    "cifar100": "disentangle_bench.datamodules.datasets.cifar:CIFAR100",
    "stl10": "disentangle_bench.datamodules.datasets.stl10:STL10",
    "tiny_imagenet": "disentangle_bench.datamodules.datasets.tiny_imagenet:TinyImageNet",
    "imagenet": "disentangle_bench.datamodules.datasets.imagenet:ImageNet",
    "image_folder": "disentangle_bench.datamodules.datasets.image_folder:ImageFolder",
    "pacs": "disentangle_bench.datamodules.datasets.image_folder:PACS",
    "dsprites": "disentangle_bench.datamodules.datasets.factors.dsprites:DSprites",
    "shapes3d": "disentangle_bench.datamodules.datasets.factors.shapes3d:Shapes3D",
    "smallnorb": "disentangle_bench.datamodules.datasets.factors.smallnorb:SmallNORB",
    "cars3d": "disentangle_bench.datamodules.datasets.factors.cars3d:Cars3D",
    "celeba": "disentangle_bench.datamodules.datasets.celeba:CelebA",
    "edges2shoes": "disentangle_bench.datamodules.datasets.edges2shoes:Edges2Shoes",
}
ENTRY_POINTS = "disentangle_bench.datamodules"
_registered: dict[str, type[ImageDataModule]] = {}


def register(cls: type[ImageDataModule]) -> type[ImageDataModule]:
    """Class decorator: makes a data set of your own known under its `name`."""
    _registered[cls.name] = cls
    return cls


def available() -> list[str]:
    """Names that `build` knows, sorted: built-in, registered, and from installed packages."""
    return sorted({*BUILT_IN, *_registered, *(e.name for e in entry_points(group=ENTRY_POINTS))})


def find(name: str) -> type[ImageDataModule]:
    """The class behind a name, or behind a dotted path such as `my_file.MyData`.

    Raises:
        LookupError: there is no such data set.
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
        except (ImportError, AttributeError, ValueError) as error:
            raise LookupError(f"no data set at {name!r}: {error}") from error
    raise LookupError(f"no data set {name!r}")


def build(name: str, **options: Any) -> ImageDataModule:
    """Make the data set `name`; `options` are the arguments of its class.

    Raises:
        LookupError: there is no such data set.
        datamodules.base.DataNotFound: its files are not where they should be.
    """
    return find(name)(**options)
