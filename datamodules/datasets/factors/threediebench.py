"""3DIEBench in its published layout."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
from jsonargparse.typing import PositiveInt

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch, as_published
from disentangle_bench.datamodules.families.stored import ImageFileDataModule
from disentangle_bench.datamodules.splits.stratified import stratified_split
from disentangle_bench.datamodules.storage.image_files import listing_of
from disentangle_bench.datamodules.targets import TargetSpec

VIEWS = 50
"""Images of each object."""
PARTS = ("train", "val")
LATENTS = {  # of the published vectors, in order: name -> kind, factor to radians where it is circular
    "rotation_x": ("continuous", 1.0),
    "rotation_y": ("continuous", 1.0),
    "rotation_z": ("continuous", 1.0),
    "floor_hue": ("circular", 2 * math.pi),
    "light_theta": ("continuous", 1.0),
    "light_phi": ("circular", 1.0),
    "light_hue": ("circular", 2 * math.pi),
}
OBJECT = re.compile(r"/?[\w-]+/[\w-]+/?")


class ThreeDIEBench(ImageFileDataModule):
    """3DIEBench: 52,472 objects of 55 classes, each rendered 50 times under other rotations and lights.

    Targets: `class` (content); the three rotations (Tait-Bryan angles, radians) and `light_theta` (continuous), and
    `floor_hue`, `light_phi`, `light_hue` (circular), all style. The test split is the publishers' `val` list; the
    validation split is a part of the training objects, so that no object is in two splits. The latents are a small
    file an image: reading those of all 2.6 million takes minutes, `views` says how many are taken.

    Args:
        views: of each object, the first so many.
    """

    name = "3diebench"
    source = (
        "Q. Garrido, L. Najman, Y. LeCun: Self-Supervised Learning of Split Invariant Equivariant Representations "
        "(2023), https://github.com/facebookresearch/SIE"
    )
    holds = tuple(f"{part}_{kind}.npy" for part in PARTS for kind in ("images", "labels"))
    layout = (
        "SYNSET/OBJECT/image_0.jpg, latent_0.npy .. (3DIEBench.tar.gz); train_images.npy, train_labels.npy, "
        "val_images.npy, val_labels.npy (from the folder data of the code)"
    )
    licence = "CC BY-NC 4.0; see its page"
    mirror_symmetric = False

    def __init__(self, *, views: PositiveInt = VIEWS, image_size: PositiveInt = 64, **kwargs):
        super().__init__(image_size=image_size, **kwargs)
        if views > VIEWS:
            raise DataMismatch(f"views {views}: there are {VIEWS} of each object")
        self.views = views

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with a target for the class and for each latent."""
        objects, classes = zip(*(_objects(home, part) for part in PARTS), strict=True)
        kind = np.concatenate(classes)
        folders = [name.strip("/") for part in objects for name in part]
        train, val = stratified_split(classes[0], self.val_fraction, self.split_seed)
        of_split: dict[SplitName, np.ndarray] = {
            "train": train,
            "val": val,
            "test": np.arange(len(classes[0]), len(kind)),
        }
        # the number of images is known before any latent is read
        self._check_count(min(len(train) * self.views, self.train_images or len(kind) * self.views))
        views = np.arange(self.views)
        rows = {name: (at[:, None] * self.views + views).reshape(-1) for name, at in of_split.items()}
        names = [f"{folder}/image_{view}.jpg" for folder in folders for view in range(self.views)]
        listing = listing_of(home, names)
        latents = np.stack([_latent(home / f"{f}/latent_{view}.npy") for f in folders for view in range(self.views)])
        targets = {"class": np.repeat(kind, self.views)} | {
            name: (latents[:, c] * scale).astype(np.float32) for c, (name, (_, scale)) in enumerate(LATENTS.items())
        }
        specs = (
            TargetSpec("class", "class", int(kind.max()) + 1, "content"),
            *(TargetSpec(name, of, 1, "style") for name, (of, _) in LATENTS.items()),  # type: ignore[arg-type]
        )
        return self._splits(listing, targets, rows), specs


def _objects(home: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Folders of the objects of a part, and int64 [N] their classes."""
    names, labels = _array(home / f"{part}_images.npy"), _array(home / f"{part}_labels.npy")
    if names.ndim != 1 or names.dtype.kind != "U" or labels.shape != names.shape or labels.dtype.kind not in "iu":
        raise DataCorrupt(
            f"{home}: {part}_images.npy and {part}_labels.npy hold {names.dtype} {names.shape} and {labels.dtype} "
            f"{labels.shape}, not a name and a number each; get them again"
        )
    if wrong := [name for name in names.tolist() if not OBJECT.fullmatch(name)]:
        raise DataCorrupt(f"{home / f'{part}_images.npy'}: names {wrong[0]!r}, not SYNSET/OBJECT; get it again")
    if not len(labels) or labels.min() < 0:
        raise DataCorrupt(f"{home / f'{part}_labels.npy'}: no classes, or one below 0; get it again")
    return names, labels.astype(np.int64)


def _latent(file: Path) -> np.ndarray:
    """float64 [7] or more: the published text speaks of 9 and lists 7, which the publishers' code writes."""
    values = _array(file)
    if values.ndim != 1 or len(values) < len(LATENTS) or values.dtype.kind != "f":
        raise DataCorrupt(f"{file}: a latent is {values.dtype} {values.shape}, not {len(LATENTS)} numbers")
    return values[: len(LATENTS)]


def _array(file: Path) -> np.ndarray:
    with as_published(file):
        return np.array(np.load(file, mmap_mode="r", allow_pickle=False))  # no more than the file is long
