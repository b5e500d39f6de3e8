"""A cell's data set and method, made from its resolved configuration."""

from __future__ import annotations

import lightning as L

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks.planning import options
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.methods.base import Method, stream_seed


def build_data(cell: Cell) -> ImageDataModule:
    """The cell's data set; its batches come in an order that depends on the cell's seed alone.

    Raises:
        RuntimeError: the data are no longer those that the cell was planned with.
    """
    cls = datamodules.find(cell.dataset)
    data = cls(seed=stream_seed(cell.seed, "batches"), **options.instantiate(cls, cell.data))
    if data.fingerprint != cell.fingerprint:
        raise RuntimeError(
            f"the data have changed since the run was planned: {data.fingerprint}, was {cell.fingerprint}"
        )
    return data


def build_method(cell: Cell, data: ImageDataModule) -> Method:
    """The cell's method, with initial weights that depend on the cell's seed alone."""
    cls = methods.find(cell.method)
    L.seed_everything(stream_seed(cell.seed, "weights") % 2**32, verbose=False)
    arguments = options.instantiate(cls, cell.options)
    return cls(image_shape=data.image_shape, data=data.describe(), seed=cell.seed, **arguments)
