"""ImageNet (ILSVRC 2012) and subsets of it."""

from __future__ import annotations

import re
from pathlib import Path

from jsonargparse.typing import PositiveInt

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.datasets.imagenet_subsets import SUBSETS
from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.datamodules.families.class_folders import ClassFolders
from disentangle_bench.datamodules.storage.archives import read_lines
from disentangle_bench.datamodules.storage.image_files import scan, subfolders
from disentangle_bench.datamodules.targets import TargetSpec

WNID = re.compile(r"n\d{8}")


class ImageNet(ClassFolders):
    """ImageNet: 1,281,167 training images of 1,000 classes, or a subset of the classes.

    The 50,000 labelled validation images are the test split here (labels of the test images are not public); the
    validation split is a stratified part of the training images. Images are stored larger than the views, so that a
    small crop has pixels of its own; an encoder is judged on the central 7/8 of each edge, as is usual (256 and 224).

    Args:
        subset: `imagenet-10`, `imagenet-dogs` (15 breeds), `imagenet-100`, `imagenette`, or a text file with a wnid
            a line; all classes that lie in `train` if not given.
    """

    name = "imagenet"
    source = "O. Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge (2015), https://image-net.org"
    holds = ("train/", "val/")
    layout = (
        "train/WNID/*.JPEG and val/WNID/*.JPEG (the published val images lie in one folder: sort them by class first, "
        "e.g. with torchvision.datasets.ImageNet, which reads the development kit)"
    )
    published_as = "imagenet"
    licence = "non-commercial research and education; images belong to their owners"
    eval_crop = 0.875

    def __init__(
        self,
        *,
        subset: str | None = None,
        image_size: PositiveInt | None = 320,
        view_size: PositiveInt | None = 224,
        eval_size: PositiveInt | None = 224,
        **kwargs,
    ):
        super().__init__(image_size=image_size, view_size=view_size, eval_size=eval_size, **kwargs)
        self.subset = subset
        self.wnids = None if subset is None else wnids_of(subset)

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with the target `class`; its numbers follow the sorted wnids."""
        there = {split: subfolders(home / split) for split in ("train", "val")}
        wnids = self.wnids or there["train"]
        for split, folders in there.items():
            if missing := sorted(set(wnids) - set(folders)):
                raise DataMismatch(
                    f"{home / split}: {len(missing)} of {len(wnids)} classes have no folder there (first: "
                    f"{missing[0]}); the layout is {self.layout}"
                )
        listing = scan(home, [f"{split}/{wnid}" for split in there for wnid in wnids])
        is_test = listing.tops(1) == "val"
        return self._train_and_test(listing, listing.tops(2), sorted(wnids), is_test, home / "train")


class ImageNet10(ImageNet):
    """ImageNet-10: ten classes of ImageNet that are easy to tell apart (Chang et al. 2017), 13,000 training images."""

    name = "imagenet10"

    def __init__(self, **kwargs):
        super().__init__(subset="imagenet-10", **kwargs)


class ImageNetDogs(ImageNet):
    """ImageNet-Dogs: fifteen breeds of dog (Chang et al. 2017), 19,500 training images."""

    name = "imagenet_dogs"

    def __init__(self, **kwargs):
        super().__init__(subset="imagenet-dogs", **kwargs)


class ImageNet100(ImageNet):
    """ImageNet-100: the hundred classes of Tian et al. (2020), about 127,000 training images."""

    name = "imagenet100"

    def __init__(self, **kwargs):
        super().__init__(subset="imagenet-100", **kwargs)


def wnids_of(subset: str) -> list[str]:
    """The wnids of a subset's name or of a text file.

    Raises:
        DataMismatch: there is no such name and no such file, or a line is no wnid.
    """
    if subset in SUBSETS:
        return SUBSETS[subset].split()
    path = Path(subset).expanduser()
    if not path.is_file():
        raise DataMismatch(f"subset {subset!r} is none of {', '.join(SUBSETS)}, and no file either")
    wnids = " ".join(read_lines(path)).split()
    for wnid in wnids:
        if not WNID.fullmatch(wnid):
            raise DataMismatch(f"{path}: {wnid!r} is no wnid (n and 8 digits, one a line)")
    return list(dict.fromkeys(wnids))
