"""Why a cell failed, in words that say what to do next."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from disentangle_bench.benchmarks.errors import RequestError

_NO_SPACE = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed", "unexpected pos")
_NO_MEMORY = ("out of memory", "DefaultCPUAllocator: can't allocate memory", "ALLOC_FAILED", "Cannot allocate memory")


class NotFinite(RuntimeError):
    """Training gave NaN or infinity."""


def explain(error: BaseException, folder: Path | None = None) -> str:
    """One line: what happened and, where it is known, the next step.

    Args:
        error: what ended the cell.
        folder: of the run, whose file system is meant where no space is left.
    """
    chain = list(_chain(error))
    text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if isinstance(error, NotFinite | RequestError):
        return str(error)
    if any(map(_no_space, chain)):
        return (
            f"no space left on the disk{_room(folder)}; make room and give the same command again, it goes on ({text})"
        )
    if any(isinstance(e, OSError) and e.errno in (errno.EROFS, errno.EACCES, errno.EPERM) for e in chain):
        return f"not writable: {text}; make it so, or choose another folder with --out"
    if any(map(_no_memory, chain)):
        return (
            "out of memory; set a smaller data.batch_size or a smaller backbone (that is another run), share the batch "
            f"out over more --devices, or run fewer --jobs side by side ({text})"
        )
    return text


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _no_space(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # torch's and safetensors' own writers tell it in words
    return any(words in str(error) for words in _NO_SPACE)


def _no_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(words in str(error) for words in _NO_MEMORY)


def _room(folder: Path | None) -> str:
    if folder is None or not folder.exists():
        return ""
    usage = shutil.disk_usage(folder)
    return f" of {folder}: {usage.free / 2**20:,.0f} of {usage.total / 2**20:,.0f} MiB are free"
