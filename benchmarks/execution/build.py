"""A cell's data set and method, made from its resolved configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import lightning as L

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.record import holds, kept_code
from disentangle_bench.benchmarks.planning import lookup, options
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.evaluation.protocol import MEASURES
from disentangle_bench.methods.base import Method, stream_seed

MOST_CODE = 1 << 18
"""Characters of a file of the user's own of which a copy is kept; code is smaller."""


def build_data(cell: Cell) -> ImageDataModule:
    """The cell's data set; its batches come in an order that depends on the cell's seed alone.

    Raises:
        RequestError: the data are no longer those that the cell was planned with.
    """
    cls = datamodules.find(cell.dataset)
    data = cls(seed=stream_seed(cell.seed, "batches"), **options.instantiate(cls, cell.data))
    if data.fingerprint != cell.fingerprint:
        raise RequestError(
            f"the data have changed since the run was planned: {data.fingerprint}, was {cell.fingerprint}"
        )
    return data


def build_method(cell: Cell, data: ImageDataModule) -> Method:
    """The cell's method, with initial weights that depend on the cell's seed alone."""
    cls = methods.find(cell.method)
    L.seed_everything(stream_seed(cell.seed, "weights") % 2**32, verbose=False)
    arguments = options.instantiate(cls, cell.options)
    return cls(image_shape=data.image_shape, data=data.describe(), seed=cell.seed, **arguments)


def own_code_of(cell: Cell) -> list[str]:
    """The user's own code behind the cell's data set, method, their parts and its measures, file by file.

    Returns:
        The texts, see `as_pieces`; none where all is this package's.

    Raises:
        RequestError: files that decide the result are no longer those that the cell was planned with.
    """
    parts = (datamodules.find(cell.dataset), methods.find(cell.method), *lookup.own_parts(cell.options, ""))
    deciding, weights = lookup.own_texts(*parts), lookup.initial_weights(cell.options)
    if cell.source != lookup.source_hash(*parts, weights=weights):
        names = ", ".join([*(name for name, _ in deciding), *([weights.name] if weights else [])]) or "code of your own"
        raise RequestError(
            f"{names}: changed since the run was planned; the same command makes a run of it as it is now"
        )
    return as_pieces([*deciding, *own_measures_of(cell.imports)])


def own_measures_of(imports: list[str]) -> list[tuple[str, str]]:
    """(name, content) of the files of measures that aren't this package's, by their paths."""
    return lookup.own_texts(*(MEASURES[title].run for title in lookup.import_measures(imports).values()))


def as_pieces(files: Iterable[tuple[str, str]]) -> list[str]:
    """(name, content) of files to read, each once: a line with its name, and of one that is too large how large."""
    pieces = []
    for name, text in dict.fromkeys(files):
        kept = text if len(text) <= MOST_CODE else f"# left out: {len(text):,} characters, more than {MOST_CODE:,}"
        pieces.append(f"# ---- {name} ----\n{kept.rstrip()}\n")
    return pieces


def edited_measures(imports: list[str], out: Path) -> Iterator[str]:
    """A line for each measure of somebody's own that was edited, and not its version, since runs were measured with it.

    Args:
        imports: their paths.
        out: folder of the runs.
    """
    copies = {run: kept_code(run) for run in RunFolder.all_in(out) if run.code.exists()} if imports else {}
    for path, title in lookup.import_measures(imports).items():
        now = as_pieces(own_measures_of([path]))
        edited = [
            run for run, text in copies.items() if run.is_complete([title]) and not all(holds(text, one) for one in now)
        ]
        if edited:
            yield (
                f"{title}: edited since {len(edited)} of the runs in {out} were measured with it, whose figures stay; "
                "if its figures change by that, raise its version"
            )
