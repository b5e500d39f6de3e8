"""smallNORB in its published files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from jsonargparse.typing import PositiveInt

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt
from disentangle_bench.datamodules.families.factors import FactorDataModule, check_factors, resized
from disentangle_bench.datamodules.splits.colouring import EqualChannels
from disentangle_bench.datamodules.splits.stratified import three_way
from disentangle_bench.datamodules.storage import idx
from disentangle_bench.datamodules.storage.archives import read_unpacked
from disentangle_bench.datamodules.storage.image_cache import Stored
from disentangle_bench.datamodules.targets import TargetSpec

PARTS = ("5x46789x9x18x6x2x96x96-training", "5x01235x9x18x6x2x96x96-testing")
KINDS = ("dat", "cat", "info")
MOST_BYTES = 1 << 29
"""The largest published file has 448 MB."""
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "cat": {"category": (0, 4)},
    "info": {"instance": (0, 9), "elevation": (0, 8), "azimuth": (0, 34), "lighting": (0, 5)},
}
TYPES: dict[int, np.dtype] = {0x1E3D4C55: np.dtype("u1"), 0x1E3D4C54: np.dtype("<i4")}
"""Magic number of a file -> type of its values."""


class SmallNORB(FactorDataModule):
    """SmallNORB: 24,300 training and 24,300 test photographs of toys, grey, from the left one of two cameras.

    Targets: `category` (content), `instance` (10 toys of each category; 5 of them only in training, the others only in
    test), `elevation` (ordinal), `azimuth` (circular), `lighting` (class). Three equal channels.

    With `domain: object` there is `object` (class, domain), which of the 50 toys it is, in place of `category` and
    `instance`, which make it up; the others are content. Since no toy is in both of the published parts, the splits
    are then drawn of all images, stratified by toy.

    Args:
        image_size: edge that the 96x96 images are resized to.
    """

    name = "smallnorb"
    source = "Y. LeCun, F. J. Huang, L. Bottou: The small NORB dataset (2004), https://cs.nyu.edu/~ylclab/data/norb-v1.0-small"
    layout = "smallnorb-PART-{dat,cat,info}.mat, PART " + " and ".join(PARTS) + ", each with .gz or without"
    licence = "research only; cite the authors"
    mirror_symmetric = True

    def __init__(self, *, image_size: PositiveInt = 64, **kwargs):
        super().__init__(**kwargs)
        self.image_size = image_size

    def home(self, folder: Path) -> Path | None:
        """The folder, if it holds the six published files."""
        return folder if all(_find(folder, part, kind) for part in PARTS for kind in KINDS) else None

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with a target for each factor."""
        self._value_names = {"category": ("animal", "human", "airplane", "truck", "car")}
        files = {kind: [_find(home, part, kind) or home for part in PARTS] for kind in KINDS}
        categories = [read(file) for file in files["cat"]]
        counts = [values.size for values in categories]
        for file, values in zip(files["cat"], categories, strict=True):
            check_factors(file, values.reshape(-1, 1), RANGES["cat"], whole=[*RANGES["cat"]])
        infos = [read(file) for file in files["info"]]
        for file, values, count in zip(files["info"], infos, counts, strict=True):
            if len(values) != count:
                raise DataCorrupt(f"{file}: of {len(values)} images, the categories of {count}; get the files again")
            check_factors(file, values, RANGES["info"], whole=[*RANGES["info"]])
        category, info = (np.concatenate(parts).astype(np.int64) for parts in (categories, infos))

        def fill(out: np.ndarray) -> None:
            done = 0
            for file, count in zip(files["dat"], counts, strict=True):
                images = read(file)
                if images.shape != (count, 2, 96, 96) or images.dtype != np.uint8:
                    raise DataCorrupt(f"{file}: holds {images.dtype} {images.shape}, not uint8 ({count}, 2, 96, 96)")
                out[done : done + count] = resized(images[:, 0], self.image_size)
                done += count

        shape = (len(category), 1, self.image_size, self.image_size)
        every = [file for kind in KINDS for file in files[kind]]
        stored = self._store(home, every, shape, fill, size=self.image_size)
        test = np.arange(counts[0], len(category))
        rows = three_way(category, val=self.val_fraction, test=test, seed=self.split_seed)
        factors: dict[str, np.ndarray] = {
            "category": category,
            "instance": info[:, 0],
            "elevation": info[:, 1],
            "azimuth": (info[:, 2] * (10 * math.pi / 180)).astype(np.float32),  # 0, 2, .. 34: tens of degrees
            "lighting": info[:, 3],
        }
        if self.domain == "object":
            return self._by_object(stored, factors)
        specs = (
            TargetSpec("category", "class", 5, "content"),
            TargetSpec("instance", "class", 10, "style"),
            TargetSpec("elevation", "ordinal", 9, "style"),
            TargetSpec("azimuth", "circular", 1, "style"),
            TargetSpec("lighting", "class", 6, "style"),
        )
        return self._finish(EqualChannels(stored.images), stored.checksum, factors, specs, rows)

    def _by_object(
        self, stored: Stored, factors: dict[str, np.ndarray]
    ) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        category, instance = factors.pop("category"), factors.pop("instance")
        kinds = self._value_names["category"]
        toys, number = np.unique(category * 10 + instance, return_inverse=True)
        self._value_names = {"object": tuple(f"{kinds[toy // 10]} {toy % 10}" for toy in toys)}
        specs = (
            TargetSpec("elevation", "ordinal", 9, "content"),
            TargetSpec("azimuth", "circular", 1, "content"),
            TargetSpec("lighting", "class", 6, "content"),
            TargetSpec("object", "class", len(toys), "domain"),
        )
        images, rows = EqualChannels(stored.images), self._seeded(number)
        return self._finish(images, stored.checksum, factors | {"object": number}, specs, rows)


def read(path: Path) -> np.ndarray:
    """Read a matrix file of the NORB family, plain or gzip-ed.

    Layout, little-endian: int32 magic number (type of the values), int32 number of dimensions, at least three int32
    sizes (the surplus ones mean nothing), the values.

    Raises:
        DataCorrupt: the file is cut short, or its magic number is not one of a byte or an integer matrix.
    """
    data = read_unpacked(path, MOST_BYTES)
    if len(data) > MOST_BYTES:
        raise DataCorrupt(f"{path}: more than {MOST_BYTES >> 20} MB, which no published file has; get it again")
    header = np.frombuffer(data[: len(data) // 4 * 4], "<i4", count=min(2, len(data) // 4))
    magic = int(header[0]) if len(header) else 0
    if len(header) < 2 or magic not in TYPES:
        known = " or ".join(f"0x{number:08X}" for number in TYPES)
        raise DataCorrupt(f"{path}: magic number is 0x{magic & 0xFFFFFFFF:08X}, not {known}; get it again")
    dimensions = int(header[1])
    if not 1 <= dimensions <= 4:
        raise DataCorrupt(f"{path}: promises {dimensions} dimensions, published files have 1 to 4; get it again")
    start = 8 + 4 * max(3, dimensions)
    shape = tuple(int(n) for n in np.frombuffer(data[8:start], "<i4")[:dimensions])
    values = np.frombuffer(data[start:], np.uint8)
    if len(values) != np.prod(shape, dtype=np.int64) * TYPES[magic].itemsize:
        raise DataCorrupt(f"{path}: holds {len(values)} bytes, its header promises {shape}; get it again")
    return values.view(TYPES[magic]).reshape(shape)


def _find(folder: Path, part: str, kind: str) -> Path | None:
    return idx.find(folder, f"smallnorb-{part}-{kind}.mat")
