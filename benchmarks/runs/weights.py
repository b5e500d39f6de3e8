"""Weights on disk: written whole or not at all, without pickle, known by a hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from disentangle_bench.files import replacing


class BadWeights(ValueError):
    """A file of weights isn't what it should be; the message names it and says why."""


def save_weights(module: nn.Module, path: Path, note: dict[str, str]) -> None:
    """Write a module's weights beside their place, and move them there once they are on the disk."""
    with replacing(path) as beside:
        save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, beside, note)
    sync_folder(path.parent)


def read_weights(path: Path, expected: str) -> dict[str, torch.Tensor]:
    """The tensors of a file of weights.

    Args:
        path: of the file.
        expected: their `state_hash`.

    Raises:
        BadWeights: there is none, it is damaged, or it holds others.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadWeights(f"{path.name}: not readable ({error})") from error
    if state_hash(state) != expected:
        raise BadWeights(f"{path.name}: its checksum differs")
    return state


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
