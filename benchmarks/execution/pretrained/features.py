"""Features that were computed elsewhere: one .npy file a split, rows in the order of the data set's images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.measure import images_of
from disentangle_bench.benchmarks.execution.pretrained import encoder_names
from disentangle_bench.datamodules.base import PROBES, SPLITS, ImageDataModule
from disentangle_bench.evaluation.features import FeatureBank
from disentangle_bench.evaluation.metrics.arrays import not_finite


class PrecomputedFeatures(nn.Module):
    """Stands in a record for an encoder that nobody here has, only its features."""

    source = "given as features"
    primary_space = invariant_space = "features"
    uses_targets: frozenset[str] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("nothing", torch.zeros(0), persistent=False)  # which lies where things are computed


def read_bank(folder: Path, data: ImageDataModule) -> tuple[FeatureBank, str]:
    """The features of a folder and their hash.

    Args:
        folder: with `train.npy`, `val.npy` and `test.npy`, and `probe.npy` and `probe_val.npy` where these are images
            of their own: each float [N, d], a row an image, in the order of `data.eval_dataloader(split)`.
        data: whose images.

    Raises:
        RequestError: a file is missing, isn't such an array, has another number of rows, or values that aren't finite.
    """
    origins = images_of(data)
    needed = [split for split in (*SPLITS, *PROBES) if split not in origins]
    found: dict[str, np.ndarray] = {}
    digest = hashlib.blake2b(digest_size=16)
    for split in needed:
        path = folder / f"{split}.npy"
        found[split] = _read(path, len(data.splits[split]), f"--features {folder}")
        digest.update(f"{split} {found[split].shape}".encode())
        digest.update(np.ascontiguousarray(found[split]).data)
    widths = {split: rows.shape[1] for split, rows in found.items()}
    if len(set(widths.values())) > 1:
        raise RequestError(f"--features {folder}: the splits have different numbers of columns: {widths}")
    bank = FeatureBank(
        {"features": found},
        {
            split: {spec.name: np.asarray(data.splits[split].targets[spec.name]) for spec in data.targets}
            for split in needed
        },
        {split: data.splits[split].weights for split in needed},
    )
    for probe, split in origins.items():
        bank = bank.with_split(probe, split, data.splits[probe].weights)
    return bank, digest.hexdigest()


def _read(path: Path, rows: int, where: str) -> np.ndarray:
    if not path.exists():
        raise RequestError(f"{where}: {path.name} is not in there: float [{rows}, d], a row an image")
    values = encoder_names.open_array(path, where)
    if len(values) != rows:
        raise RequestError(
            f"{where}: {path.name} has {len(values)} rows, the split has {rows} images: one a row, in their order"
        )
    with np.errstate(over="ignore"):
        values = np.asarray(values, np.float32)
    if (found := not_finite(values)) is not None:
        raise RequestError(
            f"{where}: {path.name} has {found[0]} NaN or infinite values as float32, the first in row {found[1]}"
        )
    return values
