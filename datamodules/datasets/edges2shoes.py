"""edges2shoes in its published folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jsonargparse.typing import OpenUnitInterval, PositiveInt

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.families.stored import ImageFileDataModule
from disentangle_bench.datamodules.splits.stratified import three_way
from disentangle_bench.datamodules.storage import decode
from disentangle_bench.datamodules.storage.image_files import FileImages, Listing, scan
from disentangle_bench.datamodules.targets import TargetSpec


class PairImages(FileImages):
    """Files that hold two square images side by side; every file is listed twice, for its left and its right half."""

    def shorter_side(self, row: int) -> int:
        """Edge of half an image."""
        return decode.shorter_side(self._read(row))

    def _decode(self, row: int, data: bytes) -> np.ndarray:
        both = decode.decode(data)
        half = both.shape[2] // 2
        return decode.fit(both[:, :, half:] if row % 2 else both[:, :, :half], self.size)


class Edges2Shoes(ImageFileDataModule):
    """edges2shoes: 49,825 training and 200 test pairs of a shoe's photograph and its edges.

    Targets: `pair` (content: which shoe; pairs of the test split are not in training, so it serves retrieval across
    domains, not classification) and `domain` (edges or photo). Both images of a pair are in the same split.

    Args:
        test_fraction: share of all 50,025 pairs that is drawn for the test split (Kahana and Hoshen 2022 take 0.1, of
            images rather than pairs, so that one of a pair may be in training); None: the 200 published ones.
    """

    name = "edges2shoes"
    source = (
        "P. Isola et al.: Image-to-Image Translation with Conditional Adversarial Networks (2017), shoes from A. Yu "
        "and K. Grauman: UT Zappos50K (2014), http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/edges2shoes.tar.gz"
    )
    holds, usual_places = ("train/", "val/"), ("edges2shoes",)
    layout = "train/*_AB.jpg, val/*_AB.jpg (edges on the left, photo on the right)"
    licence = "UT Zappos50K: academic, non-commercial use"

    def __init__(self, *, test_fraction: OpenUnitInterval | None = None, image_size: PositiveInt = 64, **kwargs):
        super().__init__(image_size=image_size, **kwargs)
        self.test_fraction = test_fraction

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with the targets `pair` and `domain`; the published `val` is the test split unless one is drawn."""
        self._value_names = {"domain": ("edges", "photo")}
        files = scan(home, ["train", "val"])
        test = self.test_fraction or np.flatnonzero(files.tops(1) == "val")
        listing = files.select(np.repeat(np.arange(len(files)), 2))
        pair = np.repeat(np.arange(len(files)), 2)
        targets = {"pair": pair, "domain": np.tile([0, 1], len(files))}
        pairs = three_way(len(files), val=self.val_fraction, test=test, seed=self.split_seed)
        rows: dict[SplitName, np.ndarray] = {
            name: np.stack([2 * at, 2 * at + 1], axis=1).reshape(-1) for name, at in pairs.items()
        }
        specs = (
            TargetSpec("pair", "class", len(files), "content"),
            TargetSpec("domain", "class", 2, "domain"),
        )
        return self._splits(listing, targets, rows), specs

    def _source(self, listing: Listing, size: int) -> FileImages:
        return PairImages(listing, size)
