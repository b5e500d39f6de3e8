"""`bench data`: contact sheets, views, counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning import options
from disentangle_bench.benchmarks.planning.plan import find_class
from disentangle_bench.datamodules import inspection
from disentangle_bench.datamodules.base import DataNotFound, ImageDataModule
from disentangle_bench.evaluation.pictures.artefacts import views_sheet
from disentangle_bench.methods.base import Method


def look(action: str, name: str, given: dict[str, Any], method: str | None, picture: Path) -> str:
    """Check a data set, or draw it, or what a method makes of it.

    Returns:
        The report of `check`, or the path of the picture.

    Raises:
        RequestError: no such data set or method, a wrong option, or data that are missing or spoilt.
    """
    cls = find_class(datamodules, "dataset", name)
    learner = find_class(methods, "method", method) if method else None
    try:
        data = cls(**options.instantiate(cls, options.resolve(cls, given, f"data set {name}")))
        if action == "check":
            return inspection.check(data).text()
        picture.parent.mkdir(parents=True, exist_ok=True)
        if learner:
            return str(draw_views(data, learner(image_shape=data.image_shape, data=data.describe()), picture))
        return str(inspection.contact_sheet(data, picture))
    except (DataNotFound, ValueError) as error:
        raise RequestError(f"data set {name}: {error}") from error


def draw_views(data: ImageDataModule, method: Method, picture: Path) -> Path:
    """Draw the first training images, a row each, and the views that the method trains on beside them."""
    batch = {key: values[:12] for key, values in next(iter(data.train_dataloader())).items()}
    picture.write_bytes(views_sheet(batch, method.views, method))
    return picture
