"""Encoding with a network of somebody else's: what it can't encode is found before anything is measured."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.failures import explain
from disentangle_bench.benchmarks.execution.measure import encode_splits, followed
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.evaluation.features import FeatureBank
from disentangle_bench.evaluation.metrics.arrays import not_finite
from disentangle_bench.methods.pretrained.encoder import Encoder


def encode(
    encoder: Encoder, data: ImageDataModule, run: RunFolder, state: str, progress: ProgressFile, where: str
) -> FeatureBank:
    """The features of every split.

    Args:
        encoder: as it was given.
        data: whose images.
        run: folder that features come into.
        state: hash of the encoder's weights.
        progress: kept up to date.
        where: that the encoder was named, `--encoder my_file.make`.

    Raises:
        RequestError: the network fails on some of the images, or gives values that aren't finite.
    """
    at = ""

    def follow(batches: Iterable, split: str) -> Iterator:
        nonlocal at
        first = 0
        for batch in followed(progress)(batches, split):
            last = first + len(batch["image"]) - 1
            at = f"images {first} to {last} of the {split} split"
            yield batch
            first = last + 1

    try:
        bank = encode_splits(encoder, data, run, state, follow)
    except (OSError, MemoryError):  # of this machine, not of the network
        raise
    except Exception as error:  # somebody's own network may raise anything
        less = "smaller images need less, --image-size"
        raise RequestError(f"{where}: fails with {at}: {explain(error, less_memory=less)}") from error
    for space, splits in bank.features.items():
        for split, values in splits.items():
            if (wrong := not_finite(values)) is not None:
                raise RequestError(
                    f"{where}: its {space} have {wrong[0]} NaN or infinite values in the {split} split, the first of "
                    f"image {wrong[1]}"
                )
    return bank


@contextmanager
def withdrawn_if_refused(run: RunFolder, made: Iterable[Path]) -> Iterator[None]:
    """Take away what a run left if what is done within, with its lock held, ends with a RequestError.

    Args:
        run: of what was measured of it earlier, nothing goes.
        made: folders that were made for it, inner ones first; they go if they are empty.
    """
    try:
        yield
    except RequestError:
        shutil.rmtree(run.features if run.record.exists() else run.path, ignore_errors=True)
        for folder in made:
            with suppress(OSError):  # somebody else has put something in
                folder.rmdir()
        raise
