"""Encode each split once; everything that is measured afterwards reads the bank on disk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

Embed = Callable[[Tensor], dict[str, Tensor]]


class Batches(Protocol):
    """A loader of batch dicts, in order, each image once."""

    def __iter__(self): ...


@dataclass(frozen=True)
class FeatureBank:
    """What an encoder says of each image, and what is known of it.

    Attributes:
        features: space -> split -> float32 [N, d], memory-mapped.
        targets: split -> target -> [N].
    """

    features: dict[str, dict[str, np.ndarray]]
    targets: dict[str, dict[str, np.ndarray]]


@contextmanager
def inference_mode(module: nn.Module):
    """Evaluation mode, no gradient, full float32 precision; the training flag of each submodule comes back after."""
    flags = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        for part, flag in flags.items():
            part.training = flag


def encode(
    module: nn.Module,
    embed: Embed,
    loaders: dict[str, Batches],
    folder: Path,
    key: dict[str, str],
    progress: Callable[[Iterable, str], Iterable] = lambda batches, split: batches,
) -> FeatureBank:
    """Encode all images of all splits, or open the bank that an earlier call with the same key left.

    Args:
        module: the network behind `embed`; put in evaluation mode meanwhile.
        embed: uint8 images [B, C, H, W] -> space -> [B, d].
        loaders: split -> batches, in order and complete.
        folder: where the bank lies: `<folder>/<split>/<space>.npy`.
        key: what the bank depends on (hash of the encoder, fingerprint of the data).
        progress: wraps the batches of a split, for a progress bar.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for split, batches in loaders.items():
        if _key_of(folder / split) != key:
            _encode_split(module, embed, progress(batches, split), folder / split, key)
    return open_bank(folder, list(loaders))


def open_bank(folder: Path, splits: list[str]) -> FeatureBank:
    """Open an encoded bank without reading it into memory."""
    features: dict[str, dict[str, np.ndarray]] = {}
    targets: dict[str, dict[str, np.ndarray]] = {}
    for split in splits:
        root = folder / split / "spaces"
        for file in sorted(root.rglob("*.npy")):
            space = file.relative_to(root).with_suffix("").as_posix()
            features.setdefault(space, {})[split] = np.load(file, mmap_mode="r", allow_pickle=False)
        with np.load(folder / split / "targets.npz", allow_pickle=False) as stored:
            targets[split] = {name: stored[name] for name in stored.files}
    return FeatureBank(features, targets)


def _key_of(folder: Path) -> dict[str, str] | None:
    try:
        return json.loads((folder / "key.json").read_text())
    except (OSError, ValueError):
        return None


def _encode_split(module: nn.Module, embed: Embed, batches: Iterable, folder: Path, key: dict[str, str]) -> None:
    """Write one split beside its place and move it there when it is whole."""
    building = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    parts: dict[str, list[np.ndarray]] = {}
    targets: dict[str, list[np.ndarray]] = {}
    with inference_mode(module):
        for batch in batches:
            for space, values in embed(batch["image"].to(device, non_blocking=True)).items():
                parts.setdefault(space, []).append(values.float().cpu().numpy())
            for name, values in batch.items():
                if name.startswith("target/"):
                    targets.setdefault(name.removeprefix("target/"), []).append(values.numpy())
    for space, chunks in parts.items():
        file = building / "spaces" / f"{space}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.concatenate(chunks))
    known: dict[str, Any] = {name: np.concatenate(chunks) for name, chunks in targets.items()}
    np.savez(building / "targets.npz", **known)
    (building / "key.json").write_text(json.dumps(key))
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)
