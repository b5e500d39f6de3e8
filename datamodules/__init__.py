"""Data sets: one LightningDataModule a name, all with the same batches.

In: a name and options. Out: uint8 batches with an index and named targets, five splits (`train`, `val`, `test`,
`probe`, `probe_val`), what a method may know of the data, a fingerprint, and the view that a method trains on.

A new data set is one file in `datasets/` and one line in `BUILT_IN`; from outside the package, the decorator
`register` or an entry point of the group `disentangle_bench.datamodules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from disentangle_bench.registry import Registry

if TYPE_CHECKING:
    from disentangle_bench.datamodules.base import ImageDataModule

BUILT_IN = {
    "digits": "datasets.digits:Digits",
    "colored_digits": "datasets.digits:ColoredDigits",
    "sprites": "datasets.factors.sprites:Sprites",
    "mnist": "datasets.mnist:MNIST",
    "colored_mnist": "datasets.mnist:ColoredMNIST",
    "fashion_mnist": "datasets.mnist:FashionMNIST",
    "colored_fashion_mnist": "datasets.mnist:ColoredFashionMNIST",
    "cifar10": "datasets.cifar:CIFAR10",
    "cifar100": "datasets.cifar:CIFAR100",
    "stl10": "datasets.stl10:STL10",
    "tiny_imagenet": "datasets.tiny_imagenet:TinyImageNet",
    "imagenet": "datasets.imagenet:ImageNet",
    "imagenet10": "datasets.imagenet:ImageNet10",
    "imagenet_dogs": "datasets.imagenet:ImageNetDogs",
    "imagenet100": "datasets.imagenet:ImageNet100",
    "image_folder": "datasets.image_folder:ImageFolder",
    "pacs": "datasets.image_folder:PACS",
    "dsprites": "datasets.factors.dsprites:DSprites",
    "color_dsprites": "datasets.factors.dsprites:ColorDSprites",
    "shapes3d": "datasets.factors.shapes3d:Shapes3D",
    "smallnorb": "datasets.factors.smallnorb:SmallNORB",
    "cars3d": "datasets.factors.cars3d:Cars3D",
    "mpi3d": "datasets.factors.mpi3d:MPI3D",
    "causal3dident": "datasets.factors.causal3dident:Causal3DIdent",
    "3diebench": "datasets.factors.threediebench:ThreeDIEBench",
    "waterbirds": "datasets.waterbirds:Waterbirds",
    "celeba": "datasets.celeba:CelebA",
    "edges2shoes": "datasets.edges2shoes:Edges2Shoes",
}
_registry: Registry[ImageDataModule] = Registry(
    "data set", "disentangle_bench.datamodules", "base:ImageDataModule", BUILT_IN
)
register, available, find = _registry.register, _registry.available, _registry.find
attribute = _registry.attribute


def build(name: str, **options: Any) -> ImageDataModule:
    """Make the data set `name`; `options` are the arguments of its class.

    Raises:
        LookupError: there is no such data set.
        datamodules.base.DataNotFound: its files are not where they should be.
    """
    return find(name)(**options)
