"""3D Shapes in its published file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt, as_published
from disentangle_bench.datamodules.families.factors import FactorDataModule, check_factors, class_numbers
from disentangle_bench.datamodules.targets import TargetSpec

FILE = "3dshapes.h5"
MOST = 480_000
"""All images of the published file."""
RANGES = {  # columns of the published labels
    "floor_hue": (0.0, 1.0),
    "wall_hue": (0.0, 1.0),
    "object_hue": (0.0, 1.0),
    "scale": (0.75, 1.25),
    "shape": (0.0, 3.0),
    "orientation": (-30.0, 30.0),
}
COLUMNS = tuple(RANGES)


class Shapes3D(FactorDataModule):
    """3D Shapes: 480,000 coloured 64x64 images of a solid in a room, every combination of 6 factors.

    Targets: `shape` (content); `floor_hue`, `wall_hue`, `object_hue` (class), `scale` and `orientation` (ordinal: it
    goes from -30 to 30 degrees only), all style. A seeded split, stratified by shape.
    """

    name = "shapes3d"
    source = "C. Burgess, H. Kim: 3D Shapes Dataset (2018), https://github.com/google-deepmind/3d-shapes"
    holds = (FILE,)
    layout = FILE
    licence = "Apache 2.0"
    mirror_symmetric = False

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with a target for each factor."""
        import h5py

        self._value_names = {"shape": ("cube", "cylinder", "sphere", "capsule")}
        file = home / FILE
        with as_published(file), h5py.File(file, "r") as published:
            shape, labelled = published["images"].shape, published["labels"].shape
            if shape != (*labelled[:1], 64, 64, 3) or labelled[1:] != (len(COLUMNS),) or labelled[0] > MOST:
                raise DataCorrupt(f"{file}: images {shape} and labels {labelled} are not those of 3D Shapes")
            values = published["labels"][:]
        check_factors(file, values, RANGES, whole=("shape",))

        def fill(out: np.ndarray) -> None:
            with as_published(file), h5py.File(file, "r") as published:
                for start in range(0, len(out), 1024):
                    part = published["images"][start : start + 1024]
                    out[start : start + len(part)] = part.transpose(0, 3, 1, 2)

        stored = self._store(file.parent, [file], (len(values), 3, 64, 64), fill)
        factors = {name: class_numbers(values[:, column]) for column, name in enumerate(COLUMNS)}
        factors["shape"] = values[:, COLUMNS.index("shape")].astype(np.int64)
        size = {name: int(numbers.max()) + 1 for name, numbers in factors.items()}
        specs = (
            TargetSpec("shape", "class", 4, "content"),
            *(TargetSpec(hue, "class", size[hue], "style") for hue in COLUMNS[:3]),
            *(TargetSpec(name, "ordinal", size[name], "style") for name in ("scale", "orientation")),
        )
        return self._finish(stored.images, stored.checksum, factors, specs, self._seeded(factors["shape"]))
