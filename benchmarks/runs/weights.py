"""Weights on disk: written whole or not at all, without pickle, known by a hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn


def save_weights(module: nn.Module, path: Path, note: dict[str, str]) -> None:
    """Write a module's weights beside their place, and move them there once they are on the disk."""
    beside = path.with_name(f"{path.name}.tmp")
    try:
        save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, beside, note)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, as the files' contents do already."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def state_hash(state: dict[str, torch.Tensor]) -> str:
    """Hash of an encoder: of every tensor's name, shape and values."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
