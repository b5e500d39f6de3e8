"""MPI3D in its published files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.families.factors import FactorDataModule
from disentangle_bench.datamodules.storage import npz
from disentangle_bench.datamodules.targets import TargetSpec

FACTORS = {  # in the order of the published array, the last changing fastest
    "object_color": 6,
    "object_shape": 6,
    "object_size": 2,
    "camera_height": 3,
    "background_color": 3,
    "horizontal_axis": 40,
    "vertical_axis": 40,
}
NAMES = {
    "object_color": ("white", "green", "red", "blue", "brown", "olive"),
    "object_shape": ("cone", "cube", "cylinder", "hexagonal", "pyramid", "sphere"),
    "background_color": ("purple", "sea green", "salmon"),
}
CLASSES = tuple(NAMES)


class MPI3D(FactorDataModule):
    """MPI3D: 1,036,800 images (64x64) of a robot arm that holds an object, every combination of 7 factors.

    Targets: `object_shape` (content); `object_color`, `background_color` (class), `object_size`, `camera_height`,
    `horizontal_axis` and `vertical_axis` (ordinal), all style. A seeded split, stratified by shape.

    Args:
        variant: `toy` and `realistic` are rendered, `real` is photographed.
    """

    name = "mpi3d"
    source = (
        "M. W. Gondal et al.: On the Transfer of Inductive Bias from Simulation to the Real World (2019), "
        "https://github.com/rr-learning/disentanglement_dataset"
    )
    layout = "mpi3d_toy.npz, mpi3d_realistic.npz or mpi3d_real.npz, as `variant` says"
    licence = "CC BY 4.0"
    mirror_symmetric = False

    def __init__(self, *, variant: Literal["toy", "realistic", "real"] = "toy", **kwargs):
        super().__init__(**kwargs)
        self.variant = variant

    @property
    def file(self) -> str:
        """Name of the published file."""
        return f"mpi3d_{self.variant}.npz"

    def home(self, folder: Path) -> Path | None:
        """The folder, if it holds the published file of the variant."""
        return folder if (folder / self.file).is_file() else None

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with a target for each factor."""
        self._value_names = NAMES
        file, count = home / self.file, math.prod(FACTORS.values())

        def fill(out: np.ndarray) -> None:
            for rows, part in npz.read_chunks(file, "images", (count, 64, 64, 3)):
                out[rows] = part.transpose(0, 3, 1, 2)

        stored = self._store(home, [file], (count, 3, 64, 64), fill, variant=self.variant)
        numbers = np.unravel_index(np.arange(count), tuple(FACTORS.values()))
        factors = dict(zip(FACTORS, numbers, strict=True))
        order = ("object_shape", *(name for name in FACTORS if name != "object_shape"))
        specs = tuple(
            TargetSpec(
                name,
                "class" if name in CLASSES else "ordinal",
                FACTORS[name],
                "content" if name == "object_shape" else "style",
            )
            for name in order
        )
        return self._finish(stored.images, stored.checksum, factors, specs, self._seeded(factors["object_shape"]))
