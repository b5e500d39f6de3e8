"""Encode each split once; everything that is measured afterwards reads the bank on disk."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from disentangle_bench.evaluation.metrics.arrays import full_precision
from disentangle_bench.files import digest, file_name, replacing, writing
from disentangle_bench.json_files import read_mapping, write_json

Embed = Callable[[Tensor], dict[str, Tensor]]
NOTE = "note.json"
WEIGHTS = "weights.npy"
MOST_IMAGES, MOST_BYTES, FEW_BYTES = 512, 2**30, 2**28
"""Images encoded at a time: so many, or if these take more bytes as float32 than the second number, as many as take the
third (a network's activations take much more memory than its input)."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureBank:
    """Features of the images of each split, with their targets and weights.

    Attributes:
        features: space -> split -> float32 [N, d], memory-mapped.
        targets: split -> target -> [N].
        weights: split -> float32 [N], under which content and domain are independent; None or absent: all equal.
    """

    features: dict[str, dict[str, np.ndarray]]
    targets: dict[str, dict[str, np.ndarray]]
    weights: dict[str, np.ndarray | None] = field(default_factory=dict)

    def with_split(self, split: str, origin: str, weights: np.ndarray | None) -> FeatureBank:
        """The bank with one more split, of the same images as another one, under weights of its own."""
        return FeatureBank(
            {space: {**parts, split: parts[origin]} for space, parts in self.features.items()},
            {**self.targets, split: self.targets[origin]},
            {**self.weights, split: weights},
        )


def device_of(module: nn.Module) -> torch.device:
    """Where a network is, by its weights or else its buffers; one without either is on the processor."""
    return next((t.device for t in chain(module.parameters(), module.buffers())), torch.device("cpu"))


def images_at_once(*shapes: Sequence[int | None]) -> int:
    """Images that are encoded at a time: `MOST_IMAGES`, fewer where one of these shapes (C, H, W) is large."""
    size = 4 * max(math.prod(filter(None, shape)) for shape in shapes)
    return MOST_IMAGES if MOST_IMAGES * size <= MOST_BYTES else max(1, FEW_BYTES // size)


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """After the block each submodule is in training or in evaluation as before."""
    flags = {part: part.training for part in module.modules()}
    try:
        yield
    finally:
        for part, flag in flags.items():
            part.training = flag


@contextmanager
def inference_mode(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradient, full float32 precision; the training flag of each submodule comes back after.

    Products and convolutions of float32 are not rounded to TF32 either, whatever the caller runs under.
    """
    with modes_kept(module), torch.no_grad(), full_precision():
        module.eval()
        yield


def encode(
    module: nn.Module,
    embed: Embed,
    loaders: dict[str, Iterable],
    folder: Path,
    key: dict[str, str],
    progress: Callable[[Iterable, str], Iterable] = lambda batches, split: batches,
    weights: Mapping[str, np.ndarray | None] = MappingProxyType({}),
) -> FeatureBank:
    """Encode all images of all splits, or open the bank that an earlier call with the same key left.

    Features go to disk as they come, so memory does not grow with the data. In a process group every process calls
    this with the loaders of its own part, and writes that; the first one puts the parts together in the order of
    ranks. As long as the parts are made of the same whole batches, the bank is that of a single process, bit for bit.

    Args:
        module: the network behind `embed`; put in evaluation mode meanwhile.
        embed: uint8 images [B, C, H, W] -> space -> [B, d].
        loaders: split -> batch dicts, in order, each image once; of a process group, this process's part.
        folder: where the bank lies: `<folder>/<split>/spaces/<space>.f32`, rows of float32.
        key: what the bank depends on (hash of the encoder, fingerprint of the data).
        progress: wraps the batches of a split, for a progress bar.
        weights: split -> float32 [N] of all of its images, kept beside the features; None or absent: all equal.
    """
    folder.mkdir(exist_ok=True)
    for split, batches in loaders.items():
        _wait()  # nobody looks while the first process still puts the last split together
        if _is_whole(folder / split, key):
            continue
        part = _part(folder / split, _rank())
        try:
            _encode_part(module, embed, progress(batches, split), part)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)  # a full disk has other use for its room
            raise
        _wait()
        if _rank() == 0:
            _put_together(folder / split, key, weights.get(split))
    _wait()
    return open_bank(folder, list(loaders))


def open_bank(folder: Path, splits: list[str]) -> FeatureBank:
    """Open an encoded bank without reading it into memory."""
    features: dict[str, dict[str, np.ndarray]] = {}
    targets: dict[str, dict[str, np.ndarray]] = {}
    weights: dict[str, np.ndarray | None] = {}
    for split in splits:
        for space, width in sorted(read_mapping(folder / split / NOTE)["widths"].items()):
            file = _file(folder / split, space)
            features.setdefault(space, {})[split] = np.memmap(file, np.float32, "r").reshape(-1, width)
        with np.load(folder / split / "targets.npz", allow_pickle=False) as stored:
            targets[split] = {name: stored[name] for name in stored.files}
        stored_weights = folder / split / WEIGHTS
        weights[split] = np.load(stored_weights, allow_pickle=False) if stored_weights.exists() else None
    return FeatureBank(features, targets, weights)


def _rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def _processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _wait() -> None:
    if _processes() > 1:
        dist.barrier()


def _part(folder: Path, rank: int) -> Path:
    return folder.with_name(f"{folder.name}.{rank}.tmp")


def _file(folder: Path, space: str) -> Path:
    return folder / "spaces" / file_name(space, ".f32")


def _is_whole(folder: Path, key: dict[str, str]) -> bool:
    """Whether the bank of a split is there for this key, every file as it was written."""
    note = read_mapping(folder / NOTE)
    if note.get("key") != key:
        return False
    try:
        if wrong := [name for name, sha256 in note["sha256"].items() if digest(folder / name) != sha256]:
            raise ValueError(f"{wrong[0]} has another checksum")
        return True
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s: damaged (%s); encoding again", folder, error)
        return False


def _encode_part(module: nn.Module, embed: Embed, batches: Iterable, folder: Path) -> None:
    """Write this process's part of a split, beside the bank's place."""
    shutil.rmtree(folder, ignore_errors=True)
    device = device_of(module)
    widths: dict[str, int] = {}
    targets: dict[str, list[np.ndarray]] = {}
    folder.mkdir(parents=True)
    with ExitStack() as stack, inference_mode(module):
        files: dict[str, BinaryIO] = {}
        for batch in batches:
            for space, values in embed(batch["image"].to(device, non_blocking=True)).items():
                if space not in files:
                    _file(folder, space).parent.mkdir(parents=True, exist_ok=True)
                    files[space] = stack.enter_context(_file(folder, space).open("wb"))
                    widths[space] = values.shape[1]
                rows = values.float().cpu().contiguous().numpy().data
                with writing(_file(folder, space)):
                    files[space].write(rows)
            for name, values in batch.items():
                if name.startswith("target/"):
                    targets.setdefault(name.removeprefix("target/"), []).append(values.numpy())
    known: dict[str, Any] = {name: np.concatenate(chunks) for name, chunks in targets.items()}
    _save_targets(folder, known)
    write_json(folder / NOTE, {"widths": widths})


def _save_targets(folder: Path, known: dict[str, Any]) -> None:
    with replacing(folder / "targets.npz", synced=False) as beside, beside.open("wb") as file:
        np.savez(file, **known)


def _put_together(folder: Path, key: dict[str, str], weights: np.ndarray | None) -> None:
    """Move the parts of all processes to the bank's place, one after the other."""
    parts = [_part(folder, rank) for rank in range(_processes())]
    # A small split has no batch for some of the processes.
    parts = [part for part in parts if read_mapping(part / NOTE)["widths"]] or parts[:1]
    whole = parts[0]
    for part in parts[1:]:
        for space in read_mapping(part / NOTE)["widths"]:
            with _file(whole, space).open("ab") as target, _file(part, space).open("rb") as source:
                shutil.copyfileobj(source, target)
    if len(parts) > 1:
        tables = [np.load(part / "targets.npz", allow_pickle=False) for part in parts]
        known: dict[str, Any] = {name: np.concatenate([t[name] for t in tables]) for name in tables[0].files}
        _save_targets(whole, known)
    if weights is not None:
        with replacing(whole / WEIGHTS, synced=False) as beside, beside.open("wb") as file:
            np.save(file, np.asarray(weights, np.float32), allow_pickle=False)
    files = [path for path in whole.rglob("*") if path.is_file() and path.name != NOTE]
    sums = {path.relative_to(whole).as_posix(): digest(path) for path in files}
    write_json(whole / NOTE, read_mapping(whole / NOTE) | {"key": key, "sha256": sums})
    shutil.rmtree(folder, ignore_errors=True)
    whole.rename(folder)
    for rank in range(_processes()):
        shutil.rmtree(_part(folder, rank), ignore_errors=True)
