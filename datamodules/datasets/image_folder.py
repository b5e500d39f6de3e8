"""Images in class folders: a user's own, and PACS."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.families.class_folders import (
    SPLIT_FOLDERS,
    ClassFolders,
    class_numbers,
    in_classes,
    refuse_split_folders,
)
from disentangle_bench.datamodules.splits.stratified import joint_labels, three_way
from disentangle_bench.datamodules.storage.image_files import Listing, scan, subfolders
from disentangle_bench.datamodules.targets import TargetSpec

FEWEST = 3
"""Images of a class (in each domain) where the splits are drawn: one for each."""


class ImageFolder(ClassFolders):
    """Your own images, a folder a class, which is the target `class`.

    Three layouts below `root` (a folder, or a .zip or .tar archive, which is unpacked once into the cache folder):

    - `train/CLASS/*`, with `test/CLASS/*` or `val/CLASS/*` or both: the splits are yours. Without a `val`,
      `val_fraction` of the training images is set aside for it; with a `val` but no `test`, your `val` is the test
      split (as is usual where test labels are secret) and the validation split comes from the training images.
    - `CLASS/*`: a seeded, stratified split of all images.
    - with `domains`, `DOMAIN/CLASS/*`: a seeded split, stratified by both; the domain is a second target.

    Images may lie deeper inside a class folder. Names may hold spaces and any Unicode. Hidden files and those without
    an image's extension are left out. Errors are: an empty class folder, a single class, a test class without training
    images, and a folder of a split (`Train`, `testing`, ...) where a class or a domain should be.

    Args:
        domains: whether folders are `DOMAIN/CLASS`.
        test_fraction: share of the images for the test split, where there is no folder for it.
    """

    name = "image_folder"
    source = "your own images"
    layout = "train/CLASS/*.jpg with val/CLASS or test/CLASS; or CLASS/*.jpg; with domains=true DOMAIN/CLASS/*.jpg"
    licence = "that of your images"

    def __init__(self, *, domains: bool = False, test_fraction: float = 0.2, **kwargs):
        super().__init__(**kwargs)
        if not 0 < test_fraction < 1:
            raise DataMismatch(f"test_fraction must lie between 0 and 1, got {test_fraction}")
        self.domains, self.test_fraction = domains, test_fraction

    def home(self, folder: Path) -> Path | None:
        """The folder, if there are folders in it."""
        return folder if folder.is_dir() and subfolders(folder) else None

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with the target `class`, and `domain` if asked for."""
        if self.domains:
            return self._load_domains(home)
        if (home / "train").is_dir():
            return self._load_official(home)
        return self._load_plain(home)

    def _load_plain(self, root: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        classes = subfolders(root)
        refuse_split_folders(root, classes, "classes")
        listing = scan(root, classes)
        labels = class_numbers(listing.tops(1), classes, root)
        return self._finish(listing, {"class": (labels, classes)}, self._seeded(labels, listing, 1))

    def _load_domains(self, root: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        domains = subfolders(root)
        refuse_split_folders(root, domains, "domains")
        classes = sorted({name for domain in domains for name in subfolders(root / domain)})
        if all(name.casefold() in SPLIT_FOLDERS for name in classes):  # one alone may be a class: a train, a locomotive
            refuse_split_folders(root / domains[0], classes, "classes")
        listing = in_classes(scan(root, domains))
        domain_labels = class_numbers(listing.tops(1), domains, root)
        labels = class_numbers(listing.tops(2), classes, root)
        for domain in domains:
            for folder in subfolders(root / domain):
                if not ((domain_labels == domains.index(domain)) & (labels == classes.index(folder))).any():
                    raise DataCorrupt(f"{root / domain / folder}: class folder without images; fill or delete it")
        rows = self._seeded(joint_labels(domain_labels, labels), listing, 2)
        return self._finish(listing, {"class": (labels, classes), "domain": (domain_labels, domains)}, rows)

    def _seeded(self, labels: np.ndarray, listing: Listing, depth: int) -> dict[SplitName, np.ndarray]:
        counts = np.bincount(labels)
        if counts.min() < FEWEST:
            first = int(np.flatnonzero(labels == counts.argmin())[0])
            folder = listing.root.joinpath(*listing.names[first].split("/")[:depth])
            raise DataMismatch(
                f"{folder}: {counts.min()} of the {FEWEST} images that a class needs (in each domain), one for each of "
                "train, val and test; add some, or take the folder away"
            )
        return three_way(labels, val=self.val_fraction, test=self.test_fraction, seed=self.split_seed)


class PACS(ImageFolder):
    """PACS: 9,991 images of 7 classes in 4 domains (photo, art painting, cartoon, sketch).

    A seeded split, stratified by class and domain, since the published one is per domain. Targets `class` and `domain`.
    """

    name = "pacs"
    source = (
        "D. Li et al.: Deeper, Broader and Artier Domain Generalization (ICCV 2017), https://sketchx.eecs.qmul.ac.uk"
    )
    layout = "art_painting/CLASS/*, cartoon/CLASS/*, photo/CLASS/*, sketch/CLASS/* (or the same in a folder kfold)"
    licence = "none stated by its authors; images were collected from the web for research"
    DOMAINS = ("art_painting", "cartoon", "photo", "sketch")

    def __init__(self, *, test_fraction: float = 0.2, **kwargs):
        super().__init__(domains=True, test_fraction=test_fraction, **kwargs)

    def home(self, folder: Path) -> Path | None:
        """The folder with the four domains, or `kfold` in it."""
        homes = (folder, folder / "kfold")
        return next((home for home in homes if all((home / name).is_dir() for name in self.DOMAINS)), None)
