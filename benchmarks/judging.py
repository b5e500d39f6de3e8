"""Judge a trained method: encode every split once, measure every space, keep the pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.status import Status
from datamodules.base import SPLITS, BatchDataset, ImageDataModule
from evaluation import features, protocol
from evaluation.encoder import Encoder
from evaluation.leaderboard import artefacts
from methods.base import Method


def judge(
    measures: list[str], method: Method, data: ImageDataModule, folder: Path, encoder: str, status: Status
) -> tuple[list[dict[str, Any]], float]:
    """Encode every split once and measure every space; rows of the record, and the seconds it took."""
    start = time.perf_counter()
    bank = features.encode(
        method,
        method.embed,
        {split: data.eval_dataloader(split) for split in SPLITS},
        folder / "features",
        {"encoder": encoder, "data": data.fingerprint},
        lambda batches, split: status.wrap(batches, f"encode {split}"),
    )
    rows = protocol.evaluate(bank, data.targets, measures, lambda title: status.tell(title), as_encoder(method, data))
    seconds = time.perf_counter() - start
    status.tell("pictures")
    artefacts.write(
        folder,
        bank,
        data.targets,
        data.eval_dataloader("test"),
        module=method,
        embed=method.embed,
        views=method.views,
        rows=rows,
    )
    return rows, seconds


def as_encoder(method: Method, data: ImageDataModule) -> Encoder:
    """The method with its data set's images, for measures that features alone can't give."""
    datasets = {split: BatchDataset(data.splits[split], data.targets) for split in SPLITS}

    def take(split: str, positions: np.ndarray) -> dict[str, torch.Tensor]:
        return datasets[split][torch.from_numpy(positions)]  # type: ignore[index]

    sizes: dict[str, int] = {split: len(dataset) for split, dataset in datasets.items()}
    return Encoder(method, method.embed, take, sizes, data.mirror_symmetric)
