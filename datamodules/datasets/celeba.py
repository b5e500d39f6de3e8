"""CelebA in its published files (aligned and cropped images)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jsonargparse.typing import PositiveInt

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch, DataNotFound
from disentangle_bench.datamodules.families.stored import ImageFileDataModule
from disentangle_bench.datamodules.splits.stratified import three_way
from disentangle_bench.datamodules.storage.archives import read_lines
from disentangle_bench.datamodules.storage.image_files import listing_of
from disentangle_bench.datamodules.targets import TargetSpec

IMAGES, IDENTITY, ATTRIBUTES, PARTITION = (
    "img_align_celeba",
    "identity_CelebA.txt",
    "list_attr_celeba.txt",
    "list_eval_partition.txt",
)
MOST_PIXELS = 218
"""The longer edge of the aligned images."""
LANDMARKS = "list_landmarks_align_celeba.txt"


class CelebA(ImageFileDataModule):
    """CelebA: 202,599 faces of 10,177 people with 40 attributes.

    Targets: each attribute (class, 0 or 1; content for those named by `content`, style for the others) and `identity`
    (class, domain, numbered by the order of the published numbers). The centre of the aligned 178x218 images is taken.

    What is not measured: leakage of the identity, and whatever else asks for images in which content and domain are
    independent (informativeness, factor scores, `validation@1` of `bench tune`). It needs people who have images with
    every value of the first content attribute, all of them, in each split; one who lacks a value leaves that value
    out. Where nothing is left, these measures are undefined, with that as the reason: to be expected of 10,177 people.
    Figures of Kahana and Hoshen (2022) for it, which use no weights, can't be compared with. Accuracies of probes for
    the attributes on train and test are measured on all images.

    Args:
        content: attributes that a representation should know.
        shared_identities: whether people occur in all splits (a seeded split), as a test of what codes know of them
            needs; the published splits, where no person is in two, otherwise.
        min_images: leave out people with fewer images (Kahana and Hoshen 2022 train with at least 20).
        landmarks: ten more content targets (continuous): the published places of eyes, nose and mouth corners, in
            pixels of the aligned 178x218 images.
    """

    name = "celeba"
    source = "Z. Liu, P. Luo, X. Wang, X. Tang: Deep Learning Face Attributes in the Wild (2015), https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    holds = (f"{IMAGES}/", IDENTITY, ATTRIBUTES, PARTITION)
    layout = f"{IMAGES}/*.jpg, {IDENTITY}, {ATTRIBUTES}, {PARTITION}"
    licence = "non-commercial research; see its page"

    def __init__(
        self,
        *,
        content: tuple[str, ...] = ("Smiling",),
        shared_identities: bool = False,
        min_images: PositiveInt = 1,
        landmarks: bool = False,
        image_size: PositiveInt = 64,
        **kwargs,
    ):
        super().__init__(image_size=image_size, **kwargs)
        self.content, self.shared_identities, self.min_images = tuple(content), shared_identities, min_images
        self.landmarks = landmarks

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with a target for each attribute and the identity."""
        files, identity = _columns(home / IDENTITY, 0)
        partition = _columns(home / PARTITION, 0, files)[1][:, 0]
        names = " ".join(read_lines(home / ATTRIBUTES)[1:2]).split()
        attributes = _columns(home / ATTRIBUTES, 2, files)[1]
        if attributes.shape[1] != len(names):
            raise DataCorrupt(f"{home / ATTRIBUTES}: {len(names)} names for {attributes.shape[1]} columns")
        for table, values, known in ((PARTITION, partition, (0, 1, 2)), (ATTRIBUTES, attributes, (-1, 1))):
            if not np.isin(values, known).all():
                raise DataCorrupt(f"{home / table}: holds other values than {', '.join(map(str, known))}; get it again")
        attributes = (attributes > 0).astype(np.int64)
        if strangers := set(self.content) - set(names) or ({"(none)"} if not self.content else set()):
            raise DataMismatch(f"content: no attribute {min(strangers)!r} in CelebA ({', '.join(names)})")
        _, numbers, counts = np.unique(identity[:, 0], return_inverse=True, return_counts=True)
        keep = np.flatnonzero(counts[numbers] >= self.min_images)
        _, numbers = np.unique(numbers[keep], return_inverse=True)
        ordered = (*self.content, *(name for name in names if name not in self.content))
        targets = {name: attributes[keep, names.index(name)] for name in ordered} | {"identity": numbers}
        places = self._places(home / LANDMARKS, files) if self.landmarks else {}
        targets |= {name: values[keep] for name, values in places.items()}
        specs = (
            *(TargetSpec(name, "class", 2, "content" if name in self.content else "style") for name in ordered),
            *(TargetSpec(name, "continuous", 1, "content") for name in places),
            TargetSpec("identity", "class", int(numbers.max()) + 1, "domain"),
        )
        listing = listing_of(home / IMAGES, [files[i] for i in keep])
        return self._splits(listing, targets, self._rows(partition[keep])), specs

    def _places(self, path: Path, files: list[str]) -> dict[str, np.ndarray]:
        """Name -> float32 [N] of each coordinate."""
        if not path.is_file():
            raise DataNotFound(f"landmarks: {path} is missing; get it from the page of the data set ({self.source})")
        names = " ".join(read_lines(path)[1:2]).split()
        values = _columns(path, 2, files)[1]
        if values.shape[1] != len(names) or len(set(names)) != len(names):
            raise DataCorrupt(f"{path}: {len(names)} names for {values.shape[1]} columns; get it again")
        if values.min() < 0 or values.max() > MOST_PIXELS:
            raise DataCorrupt(f"{path}: places outside of the images; get it again")
        return {name: values[:, column].astype(np.float32) for column, name in enumerate(names)}

    def _rows(self, partition: np.ndarray) -> dict[SplitName, np.ndarray]:
        if not self.shared_identities:
            train, val, test = (np.flatnonzero(partition == number) for number in range(3))
            return {"train": train, "val": val, "test": test}
        return three_way(len(partition), val=self.val_fraction, test=0.2, seed=self.split_seed)


def _columns(path: Path, skip: int, files: list[str] | None = None) -> tuple[list[str], np.ndarray]:
    """File names and int64 [N, columns] of a published table.

    Raises:
        DataCorrupt: a line is not a name and numbers, or the names differ from `files`.
    """
    lines = [line.split() for line in read_lines(path)[skip:] if line.strip()]
    try:
        values = np.array([line[1:] for line in lines], np.int64).reshape(len(lines), -1)
    except (ValueError, OverflowError) as error:
        raise DataCorrupt(f"{path}: each line should be a file and numbers ({error}); get it again") from error
    found = [line[0] for line in lines]
    if not values.size or (files is not None and found != files):
        raise DataCorrupt(f"{path}: does not list the same images as {IDENTITY}; get both again")
    return found, values
