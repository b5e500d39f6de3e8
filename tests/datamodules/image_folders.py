"""The data set of a folder of images, and which files are in its splits."""

from disentangle_bench import datamodules
from disentangle_bench.datamodules.base import SPLITS


def folder(root, **options):
    return datamodules.build("image_folder", root=str(root), batch_size=4, **options)


def names_of(module, split):
    return [module.splits[split].name_of(i) for i in range(len(module.splits[split]))]


def everything(module):
    return sorted(name for split in SPLITS for name in names_of(module, split))
