"""Cars3D in its published files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from jsonargparse.typing import PositiveInt
from scipy.io import loadmat, whosmat

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataCorrupt, as_published
from disentangle_bench.datamodules.families.factors import FactorDataModule, resized
from disentangle_bench.datamodules.targets import TargetSpec

AZIMUTHS, ELEVATIONS, EDGE = 24, 4, 128
VIEWS = AZIMUTHS * ELEVATIONS


class Cars3D(FactorDataModule):
    """Cars3D: 183 car models, each rendered from 24 azimuths and 4 elevations.

    Targets: `elevation` (ordinal, content), `azimuth` (circular, content) and `model` (class, domain). This is how
    DCoDR (Kahana and Hoshen 2022) takes them: what their code calls the class, the car model, is what codes
    should not know, and the view is what they should. A seeded split, stratified by model.

    Args:
        image_size: edge that the 128x128 images are resized to.
        views: one content target, `view` (class, 96 values), in place of elevation and azimuth: what DCoDR's authors
            predict.
    """

    name = "cars3d"
    source = "S. Reed, Y. Zhang, Y. Zhang, H. Lee: Deep Visual Analogy-Making (2015), http://www.scottreed.info"
    layout = "cars/*.mat (from nips2015-analogy-data.tar.gz, there in data/cars)"
    licence = "none stated; made from 3D models by S. Fidler et al. (2012), for research"
    mirror_symmetric = False

    def __init__(self, *, image_size: PositiveInt = 64, views: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.image_size, self.views = image_size, views

    def home(self, folder: Path) -> Path | None:
        """The folder of the published files: it, or `cars` or `data/cars` below it."""
        homes = (folder, folder / "cars", folder / "data" / "cars")
        return next((home for home in homes if len(_files(home)) > 1), None)

    def read(self, home: Path) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits with a target for each factor."""
        files = _files(home)

        def fill(out: np.ndarray) -> None:
            for number, file in enumerate(files):
                out[number * VIEWS : (number + 1) * VIEWS] = resized(_views(file), self.image_size)

        shape = (len(files) * VIEWS, 3, self.image_size, self.image_size)
        stored = self._store(home, files, shape, fill, size=self.image_size)
        model, azimuth, elevation = np.unravel_index(np.arange(shape[0]), (len(files), AZIMUTHS, ELEVATIONS))
        factors: dict[str, np.ndarray] = {
            "elevation": elevation,
            "azimuth": (azimuth * (2 * math.pi / AZIMUTHS)).astype(np.float32),
            "model": model,
        }
        content: tuple[TargetSpec, ...] = (
            TargetSpec("elevation", "ordinal", ELEVATIONS, "content"),
            TargetSpec("azimuth", "circular", 1, "content"),
        )
        if self.views:
            factors = {"view": elevation * AZIMUTHS + azimuth, "model": model}
            content = (TargetSpec("view", "class", VIEWS, "content"),)
        specs = (*content, TargetSpec("model", "class", len(files), "domain"))
        return self._finish(stored.images, stored.checksum, factors, specs, self._seeded(model))


def _files(home: Path) -> list[Path]:
    """The published files."""
    return sorted(path for path in home.glob("*.mat") if path.is_file())


def _views(file: Path) -> np.ndarray:
    """uint8 [96, 128, 128, 3]: the views of one car; the elevation changes fastest."""
    with as_published(file):
        shapes = {name: shape for name, shape, _ in whosmat(file)}  # reads headers only: unpack nothing of another size
        if shapes.get("im") != (EDGE, EDGE, 3, AZIMUTHS, ELEVATIONS):
            raise DataCorrupt(f"{file}: holds {shapes or 'nothing'}, not `im` of (128, 128, 3, 24, 4); get it again")
        views = loadmat(file, variable_names=["im"])["im"]
    if views.dtype != np.uint8:
        raise DataCorrupt(f"{file}: `im` is {views.dtype}, not uint8")
    return views.transpose(3, 4, 0, 1, 2).reshape(VIEWS, EDGE, EDGE, 3)
