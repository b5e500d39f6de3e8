"""dSprites in its published file."""

from __future__ import annotations

import hashlib
import math
import zipfile
from pathlib import Path

import numpy as np

from disentangle_bench.datamodules.batches.split import Images, Split, SplitName
from disentangle_bench.datamodules.errors import as_published
from disentangle_bench.datamodules.families.factors import FactorDataModule, check_factors, class_numbers
from disentangle_bench.datamodules.splits.colouring import EqualChannels
from disentangle_bench.datamodules.storage import npz
from disentangle_bench.datamodules.storage.image_cache import Stored
from disentangle_bench.datamodules.targets import TargetSpec

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
MOST_BYTES = 1 << 27
"""The published latents are a quarter of it."""
RANGES = {  # columns of the published latents
    "color": (1.0, 1.0),
    "shape": (1.0, 3.0),
    "scale": (0.5, 1.0),
    "orientation": (0.0, 2 * math.pi),
    "x": (0.0, 1.0),
    "y": (0.0, 1.0),
}
COLORS = {
    **{"blue": "1f77b4", "orange": "ff7f0e", "green": "2ca02c", "red": "d62728", "purple": "9467bd"},
    **{"brown": "8c564b", "pink": "e377c2", "grey": "7f7f7f", "olive": "bcbd22", "cyan": "17becf"},
}
"""matplotlib's `tab10`, as red, green and blue."""
PALETTE = np.array([[*bytes.fromhex(color)] for color in COLORS.values()], np.uint8)
SHAPE, SCALE, ORIENTATION, X, Y = range(1, 6)  # columns of the labels; column 0 is the colour, always white


class DSprites(FactorDataModule):
    """dSprites: 737,280 white 64x64 sprites, every combination of 5 factors.

    Three equal channels. Targets: `shape` (content); `scale`, `x`, `y` (ordinal) and `orientation` (circular), all
    style. A seeded split, stratified by shape. The first and the last of the 40 published orientations are 0 and 2 pi:
    the same image twice, which may be in two splits.
    """

    name = "dsprites"
    source = "L. Matthey, I. Higgins, D. Hassabis, A. Lerchner: dSprites (2017), https://github.com/google-deepmind/dsprites-dataset"
    holds = (FILE,)
    layout = FILE
    licence = "Apache 2.0"
    mirror_symmetric = False

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with a target for each factor."""
        self._value_names = {"shape": ("square", "ellipse", "heart")}
        file = home / FILE
        with as_published(file):
            with zipfile.ZipFile(file) as archive:
                size = archive.getinfo("latents_values.npy").file_size
            if size > MOST_BYTES:
                raise ValueError(f"latents of {size / 1e9:.1f} GB")
            with np.load(file, allow_pickle=False) as published:  # its `metadata` is a pickle, and not needed
                values = published["latents_values"]
        check_factors(file, values, RANGES, whole=("shape",))
        stored = self._store(file.parent, [file], (len(values), 1, 64, 64), lambda out: _read_images(file, out[:, 0]))
        numbers = {"shape": values[:, SHAPE].astype(np.int64) - 1}
        numbers |= {name: class_numbers(values[:, c]) for name, c in (("scale", SCALE), ("x", X), ("y", Y))}
        specs = (
            TargetSpec("shape", "class", 3, "content"),
            TargetSpec("scale", "ordinal", int(numbers["scale"].max()) + 1, "style"),
            TargetSpec("orientation", "circular", 1, "style"),
            TargetSpec("x", "ordinal", int(numbers["x"].max()) + 1, "style"),
            TargetSpec("y", "ordinal", int(numbers["y"].max()) + 1, "style"),
        )
        factors = numbers | {"orientation": values[:, ORIENTATION].astype(np.float32)}
        images, digest, color = self._painted(stored)
        colored = (TargetSpec(name, "class", len(COLORS), "style") for name in color)
        return self._finish(images, digest, factors | color, (*specs, *colored), self._seeded(numbers["shape"]))

    def _painted(self, stored: Stored) -> tuple[Images, str, dict[str, np.ndarray]]:
        """Images, their hash, and the target `color` where they have several."""
        return EqualChannels(stored.images), stored.checksum, {}


class ColorDSprites(DSprites):
    """dSprites in one of ten colours each, drawn evenly and independently of all else, on black.

    As Eastwood et al. (2023) make them, with the colours of matplotlib's `tab10`; drawn once here, by `split_seed`
    (there: whenever the data set is made). One more target: `color` (class, style).
    """

    name = "color_dsprites"
    published_as = "dsprites"

    def _painted(self, stored: Stored) -> tuple[Images, str, dict[str, np.ndarray]]:
        self._value_names = {**self._value_names, "color": tuple(COLORS)}
        generator = np.random.Generator(np.random.PCG64([self.split_seed, 0xC0]))
        color = generator.integers(0, len(COLORS), len(stored.images))
        digest = hashlib.blake2b(stored.checksum.encode() + color.tobytes(), digest_size=16).hexdigest()
        return Coloured(stored.images, color), digest, {"color": color}


class Coloured:
    """White sprites that get their colour when a batch is taken; they are stored once.

    Args:
        white: uint8 [N, 1, H, W], 0 and 255.
        color: int64 [N], numbers of `COLORS`.
    """

    def __init__(self, white: Images, color: np.ndarray):
        self.white, self.color = white, color
        self.shape = (len(white), 3, *white.shape[2:])

    def __len__(self) -> int:
        return len(self.color)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.white[rows] // 255 * PALETTE[self.color[rows]][:, :, None, None]


def _read_images(file: Path, out: np.ndarray) -> None:
    """Read `imgs` (uint8 [N, 64, 64], 0 and 1), white as 255."""
    for rows, part in npz.read_chunks(file, "imgs", out.shape):
        out[rows] = part * 255
