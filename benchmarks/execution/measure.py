"""Measure a trained method: encode every split once, take every measure in every space, keep the pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from disentangle_bench.benchmarks import signals
from disentangle_bench.benchmarks.execution.distributed import place
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.datamodules.base import PROBES, SPLITS, BatchDataset, ImageDataModule, SplitName
from disentangle_bench.datamodules.batches.loader import loader
from disentangle_bench.evaluation import features, protocol
from disentangle_bench.evaluation.metrics.arrays import computing_on
from disentangle_bench.evaluation.network import Network
from disentangle_bench.evaluation.outcomes import BadOutcomes, Outcomes, read_outcomes
from disentangle_bench.evaluation.pictures import artefacts
from disentangle_bench.evaluation.records import BadRecord, read_record
from disentangle_bench.methods.base import Method
from disentangle_bench.methods.pretrained.encoder import Encoder


@dataclass(frozen=True)
class Measurements:
    """The measurements of a cell.

    Attributes:
        measures: titles of all that was measured.
        rows: of the record.
        outcomes: by test image.
        seconds: that it took.
        earlier: provenance of earlier starts that some of the rows were taken over from.
    """

    measures: list[str]
    rows: list[dict[str, Any]]
    outcomes: Outcomes
    seconds: float
    earlier: list[dict[str, Any]]


def measure(
    cell: Cell,
    method: Method | Encoder | nn.Module,
    data: ImageDataModule,
    run: RunFolder,
    encoder: str,
    progress: ProgressFile,
    bank: features.FeatureBank | None = None,
) -> Measurements:
    """Encode every split once and take what the cell asks for and its record doesn't have yet, in every space.

    Args:
        cell: whose measures.
        method: trained, or an encoder that was given; where it lies, everything is computed.
        data: of the cell.
        run: its folder.
        encoder: hash of the method's weights.
        progress: kept up to date.
        bank: features that are there already; `method` then encodes nothing but what measures of the network ask for.

    Raises:
        signals.Interrupted: the process was asked to stop.
    """

    def report(phase: str) -> None:
        signals.check()
        progress.update(phase)

    start = time.perf_counter()
    network = method if isinstance(method, Method | Encoder) else None
    encoded = bank
    if encoded is None:
        if network is None:
            raise TypeError(f"{type(method).__name__} encodes nothing, and no features are given")
        encoded = encode_splits(network, data, run, encoder, followed(progress))
    before = _earlier(cell, run, encoder)
    missing = [title for title in cell.measures if title not in before.measures]
    itself = None if network is None else as_network(network, data)
    with computing_on(features.device_of(method)):
        rows, outcomes = protocol.evaluate(encoded, data.targets, missing, report, itself)
    before.outcomes.update(outcomes)
    measured = Measurements(
        before.measures + missing,
        before.rows + rows,
        before.outcomes,
        before.seconds + time.perf_counter() - start,
        before.earlier,
    )
    report("pictures")
    artefacts.write(
        run.path,
        encoded,
        data.targets,
        data.eval_dataloader("test"),
        module=method,
        views=method.views if isinstance(method, Method) else None,
        names=data.value_names,
    )
    return measured


def followed(progress: ProgressFile) -> Callable[[Iterable, str], Iterator]:
    """A wrapper of a split's batches that keeps progress up to date, and stops where the process was asked to."""

    def follow(batches: Iterable, split: str) -> Iterator:
        total = len(batches)  # type: ignore[arg-type]
        for done, batch in enumerate(batches):
            signals.check()
            progress.update(f"encode {split}", done, total)
            yield batch

    return follow


def images_of(data: ImageDataModule) -> dict[SplitName, SplitName]:
    """Probe splits that are the images of another split, under weights -> that split; others have their own images."""
    splits = data.splits
    return {probe: split for probe in PROBES for split in SPLITS if splits[probe].same_images(splits[split])}


def encode_splits(
    method: Method | Encoder,
    data: ImageDataModule,
    run: RunFolder,
    encoder: str,
    follow: Callable[[Iterable, str], Iterable] = lambda batches, split: batches,
) -> features.FeatureBank:
    """The features of a cell; in a process group all processes call this together, each with its part of the images.

    A probe split of the same images as another split, under weights, is not encoded again.
    """
    rank, processes = place()
    splits = data.splits
    origins = images_of(data)
    judged = (data.image_shape[0], *data.describe()["eval_shape"])
    at_once = features.images_at_once(data.image_shape, method.image_shape, judged)
    bank = features.encode(
        method,
        method.embed,
        {
            split: data.eval_dataloader(split, at_once, rank=rank, num_replicas=processes)
            for split in (*SPLITS, *PROBES)
            if split not in origins
        },
        run.features,
        {"encoder": encoder, "data": data.fingerprint},
        follow,
        {split: splits[split].weights for split in (*SPLITS, *PROBES)},
    )
    for probe, split in origins.items():
        bank = bank.with_split(probe, split, splits[probe].weights)
    return bank


def _earlier(cell: Cell, run: RunFolder, encoder: str) -> Measurements:
    """Measurements in the cell's record, if it is of the same weights; damaged outcomes are measured anew."""
    try:
        record, outcomes = read_record(run.record), read_outcomes(run.outcomes)
    except (BadRecord, BadOutcomes):
        record, outcomes = None, Outcomes()
    if record is None or record["cell"]["hash"] != cell.hash or record["provenance"]["encoder"] != encoder:
        return Measurements([], [], Outcomes(), 0.0, [])
    came = {key: record["provenance"][key] for key in ("command", "started", "finished", "git", "versions", "hardware")}
    came["measures"] = sorted({row["measure"] for row in record["metrics"]})
    return Measurements(
        record["config"]["measures"],
        [dict(row) for row in record["metrics"]],
        outcomes,
        record["cost"].get("eval_seconds", 0.0),
        [*record["provenance"].get("earlier", []), came],
    )


def as_network(method: Method | Encoder, data: ImageDataModule) -> Network:
    """The method with its data set's images, for measures that features alone can't give."""
    datasets = {split: BatchDataset(data.splits[split], data.targets) for split in SPLITS}

    def load(split: str, batches: Sequence[torch.Tensor]) -> Iterable[dict[str, torch.Tensor]]:
        return loader(datasets[split], batches, data.num_workers)  # type: ignore[index]

    sizes: dict[str, int] = {split: len(dataset) for split, dataset in datasets.items()}
    _, height, width = method.image_shape
    views = None if height is None or width is None else (height, width)
    return Network(method, method.embed, load, sizes, data.mirror_symmetric, views)
