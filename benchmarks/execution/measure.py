"""Judge a trained method: encode every split once, measure every space, keep the pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from disentangle_bench.benchmarks.planning.cell import FEATURES, Cell
from disentangle_bench.benchmarks.runs.progress_file import Status
from disentangle_bench.datamodules.base import SPLITS, BatchDataset, ImageDataModule
from disentangle_bench.datamodules.batches.loader import loader
from disentangle_bench.evaluation import features, protocol
from disentangle_bench.evaluation.encoder import Encoder
from disentangle_bench.evaluation.outcomes import FILE as OUTCOMES
from disentangle_bench.evaluation.outcomes import BadOutcomes, Outcomes, read_outcomes, write_outcomes
from disentangle_bench.evaluation.pictures import artefacts
from disentangle_bench.evaluation.records import FILE as RECORD
from disentangle_bench.evaluation.records import BadRecord, read_record
from disentangle_bench.methods.base import Method


@dataclass(frozen=True)
class Judgement:
    """What a method was found to be.

    Attributes:
        measures: titles of all that was measured.
        rows: of the record.
        outcomes: by test image.
        seconds: that it took.
        earlier: provenance of the judgements that some of the rows were taken over from.
    """

    measures: list[str]
    rows: list[dict[str, Any]]
    outcomes: Outcomes
    seconds: float
    earlier: list[dict[str, Any]]


def judge(cell: Cell, method: Method, data: ImageDataModule, folder: Path, encoder: str, status: Status) -> Judgement:
    """Encode every split once and take what the cell asks for and its record doesn't have yet, in every space."""
    start = time.perf_counter()
    bank = encode(method, data, folder, encoder, lambda batches, split: status.wrap(batches, f"encode {split}"))
    before = _earlier(cell, folder, encoder)
    missing = [title for title in cell.measures if title not in before.measures]
    rows, outcomes = protocol.evaluate(bank, data.targets, missing, status.tell, as_encoder(method, data))
    before.outcomes.update(outcomes)
    found = Judgement(
        before.measures + missing,
        before.rows + rows,
        before.outcomes,
        before.seconds + time.perf_counter() - start,
        before.earlier,
    )
    write_outcomes(folder / OUTCOMES, found.outcomes)
    status.tell("pictures")
    artefacts.write(
        folder,
        bank,
        data.targets,
        data.eval_dataloader("test"),
        module=method,
        embed=method.embed,
        views=method.views,
        rows=found.rows,
    )
    return found


def encode(
    method: Method,
    data: ImageDataModule,
    folder: Path,
    encoder: str,
    progress: Callable[[Iterable, str], Iterable] = lambda batches, split: batches,
) -> features.FeatureBank:
    """The bank of a cell; in a process group all processes call this together, each with its part of the images."""
    rank, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    return features.encode(
        method,
        method.embed,
        {split: data.eval_dataloader(split, rank=rank, num_replicas=processes) for split in SPLITS},
        folder / FEATURES,
        {"encoder": encoder, "data": data.fingerprint},
        progress,
    )


def _earlier(cell: Cell, folder: Path, encoder: str) -> Judgement:
    """What the cell's record holds already, if it is of the same weights; damaged outcomes are measured anew."""
    try:
        record, outcomes = read_record(folder / RECORD), read_outcomes(folder / OUTCOMES)
    except (BadRecord, BadOutcomes):
        record, outcomes = None, Outcomes()
    if record is None or record["cell"]["hash"] != cell.hash or record["provenance"]["encoder"] != encoder:
        return Judgement([], [], Outcomes(), 0.0, [])
    came = {key: record["provenance"][key] for key in ("command", "started", "finished", "git", "versions", "hardware")}
    came["measures"] = sorted({row["measure"] for row in record["metrics"]})
    return Judgement(
        record["config"]["measures"],
        record["metrics"],
        outcomes,
        record["cost"].get("eval_seconds", 0.0),
        [*record["provenance"].get("earlier", []), came],
    )


def as_encoder(method: Method, data: ImageDataModule) -> Encoder:
    """The method with its data set's images, for measures that features alone can't give."""
    datasets = {split: BatchDataset(data.splits[split], data.targets) for split in SPLITS}

    def load(split: str, batches: Sequence[torch.Tensor]) -> Iterable[dict[str, torch.Tensor]]:
        return loader(datasets[split], batches, data.num_workers)  # type: ignore[index]

    sizes: dict[str, int] = {split: len(dataset) for split, dataset in datasets.items()}
    return Encoder(method, method.embed, load, sizes, data.mirror_symmetric)
