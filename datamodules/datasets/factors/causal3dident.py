"""Causal3DIdent in its published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jsonargparse.typing import PositiveInt

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt, as_published
from disentangle_bench.datamodules.families.stored import ImageFileDataModule
from disentangle_bench.datamodules.splits.stratified import stratified_split
from disentangle_bench.datamodules.storage.image_files import listing_of
from disentangle_bench.datamodules.targets import TargetSpec

OBJECTS = ("teapot", "hare", "dragon", "cow", "armadillo", "horse", "head")
PARTS = ("trainset", "testset")
LATENTS = (  # columns of the published latents
    *(f"position_{axis}" for axis in range(3)),
    *(f"rotation_{axis}" for axis in range(3)),
    "spotlight_position",
    *("object_hue", "spotlight_hue", "background_hue"),
)


class Causal3DIdent(ImageFileDataModule):
    """Causal3DIdent: 250,000 training and 25,000 test images of 7 objects under a spotlight, with 10 latents.

    Latents depend on the object and on each other, as the publishers' causal graph says. Targets: `object` (class,
    content) and each latent (continuous, in the publishers' unit, style): which of them are content depends on the
    views that a method draws, and `block_r2` tells each. The validation split is a part of the training images,
    stratified by object.
    """

    name = "causal3dident"
    source = (
        "J. von Kuegelgen et al.: Self-Supervised Learning with Data Augmentations Provably Isolates Content from "
        "Style (2021), https://zenodo.org/record/4784282"
    )
    holds = tuple(f"{part}/raw_latents_{k}.npy" for part in PARTS for k in range(len(OBJECTS)))
    layout = (
        "trainset and testset, each with images_0/*.png .. images_6/*.png and raw_latents_0.npy .. raw_latents_6.npy"
    )
    licence = "see its page"
    mirror_symmetric = False

    def __init__(self, *, image_size: PositiveInt = 64, **kwargs):
        super().__init__(image_size=image_size, **kwargs)

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with a target for the object and for each latent."""
        self._value_names = {"object": OBJECTS}
        names: list[str] = []
        tables, objects, parts = [], [], []
        for number, part in enumerate(PARTS):
            for k in range(len(OBJECTS)):
                table = _latents(home / part / f"raw_latents_{k}.npy")
                digits = len(str(len(table) - 1))  # the publishers pad numbers to those of the last one
                names += [f"{part}/images_{k}/{row:0{digits}}.png" for row in range(len(table))]
                tables.append(table)
                objects.append(np.full(len(table), k))
                parts.append(np.full(len(table), number))
        latents, kind, of = np.concatenate(tables), np.concatenate(objects), np.concatenate(parts)
        targets = {"object": kind} | {name: latents[:, c].astype(np.float32) for c, name in enumerate(LATENTS)}
        learnt = np.flatnonzero(of == 0)
        train, val = stratified_split(kind[learnt], self.val_fraction, self.split_seed)
        rows: dict[SplitName, np.ndarray] = {"train": learnt[train], "val": learnt[val], "test": np.flatnonzero(of)}
        specs = (
            TargetSpec("object", "class", len(OBJECTS), "content"),
            *(TargetSpec(name, "continuous", 1, "style") for name in LATENTS),
        )
        return self._splits(listing_of(home, names), targets, rows), specs


def _latents(file: Path) -> np.ndarray:
    """Floats [N, 10], N at least 1."""
    with as_published(file):
        values = np.load(file, mmap_mode="r", allow_pickle=False)  # refuses a header that promises more than there is
    if values.ndim != 2 or values.shape[1] != len(LATENTS) or not len(values) or values.dtype.kind != "f":
        raise DataCorrupt(f"{file}: latents are {values.dtype} {values.shape}, not numbers (N, {len(LATENTS)})")
    return np.array(values)
