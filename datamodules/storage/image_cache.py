"""Decoded images on disk: one memory map that all workers and ranks share, made once.

A folder holds `images-<checksum>.npy` (uint8 [N, C, H, W]) and `meta.json`. The latter is written last and
atomically, so a folder without it is an unfinished one; it says what the images were made from, their shape, and
a checksum. A file that is cut short, altered or made from other data is never used: it is made anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from filelock import FileLock

from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.files import file_name, write_file
from disentangle_bench.json_files import read_json, write_json

log = logging.getLogger(__name__)
FORMAT = 1
ENVIRONMENT = "DISENTANGLE_BENCH_CACHE"
CHUNK = 1 << 23


class SharedImages:
    """uint8 [N, C, H, W] in a file, mapped read-only; another process that is sent it maps the same file.

    An array would be sent as a copy of all images where worker processes are spawned and not forked.
    """

    def __init__(self, path: Path):
        self.path = path
        self._array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        self.shape, self.dtype = self._array.shape, self._array.dtype

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._array[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype, copy=copy)

    def __reduce__(self) -> tuple[type[SharedImages], tuple[Path]]:
        return SharedImages, (self.path,)


@dataclass(frozen=True)
class Stored:
    """Decoded images.

    Attributes:
        images: uint8 [N, C, H, W], a read-only memory map.
        checksum: hash of them all.
        notes: what the function that made them had to say (JSON values).
    """

    images: SharedImages
    checksum: str
    notes: dict[str, Any]


def cache_folder(option: str | Path | None = None) -> Path:
    """The folder of decoded images: the option, else `$DISENTANGLE_BENCH_CACHE`, else `~/.cache/disentangle-bench`."""
    return Path(option or os.environ.get(ENVIRONMENT) or "~/.cache/disentangle-bench").expanduser()


def key_of(**what: Any) -> str:
    """Short name for a set of options: 16 hexadecimal digits."""
    return hashlib.blake2b(json.dumps(what, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()


def open_or_build(
    folder: Path, identity: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], dict[str, Any]]
) -> Stored:
    """The images of this folder, if they were made from `identity`; otherwise make them, once for all processes.

    Args:
        folder: the cache folder of one data set and one set of options.
        identity: what the images are made from (hash of names, sizes and times, options); another one means that
            what lies there belongs to other data.
        shape: (N, C, H, W).
        fill: writes all images into the uint8 array of that shape that it is given; returns notes to keep. What it
            raises is passed on and leaves nothing behind.

    Raises:
        DataMismatch: the folder cannot be written, or the disk is full.
    """
    stored = _open(folder, identity, shape)
    if stored is None:
        with _explained(folder, shape):
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / "lock")
            lock.acquire()
        try:
            stored = _open(folder, identity, shape)  # another process may have been faster
            if stored is None:
                _build(folder, identity, shape, fill)
                stored = _open(folder, identity, shape)
        finally:
            lock.release()
    if stored is None:
        raise DataMismatch(f"decoded images do not read back from {folder}: is that disk sound?")
    return stored


@contextmanager
def _explained(folder: Path, shape: tuple[int, ...]) -> Iterator[None]:
    """Say what failed and what to do where the folder cannot be written."""
    try:
        yield
    except OSError as error:
        size = np.prod(shape, dtype=np.int64) / 1e9
        raise DataMismatch(
            f"cannot keep {size:.2f} GB of decoded images in {folder}: {error.strerror or error}; "
            f"choose another place with ${ENVIRONMENT}"
        ) from error


def _open(folder: Path, identity: str, shape: tuple[int, ...]) -> Stored | None:
    """The images, or None where there are none that can be used (the reason is logged)."""
    try:
        meta = read_json(folder / "meta.json")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s: unreadable (%s); making the images again", folder / "meta.json", error)
        return None
    try:
        if (meta["format"], meta["identity"], tuple(meta["shape"])) != (FORMAT, identity, shape):
            log.info("%s: made from other data; making the images again", folder)
            return None
        images = SharedImages(folder / meta["file"])
        if images.shape != shape or images.dtype != np.uint8:
            raise ValueError(f"holds {images.dtype} {images.shape}")
        with _once_a_machine(images.path) as known:
            if not known and checksum(np.asarray(images)) != meta["checksum"]:
                raise ValueError("wrong checksum")
        return Stored(images, meta["checksum"], meta["notes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s: damaged (%s); making the images again", folder, error)
        return None


def _build(folder: Path, identity: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], dict[str, Any]]) -> None:
    with _explained(folder, shape):
        handle, name = tempfile.mkstemp(dir=folder, prefix="unfinished-", suffix=".npy")
    try:
        with os.fdopen(handle, "r+b") as file:
            with _explained(folder, shape):
                images = np.lib.format.open_memmap(name, "w+", np.uint8, tuple(int(n) for n in shape))
                if hasattr(os, "posix_fallocate"):  # a full disk is an error now rather than a bus error later
                    os.posix_fallocate(file.fileno(), 0, Path(name).stat().st_size)
            notes = fill(np.asarray(images))
            images.flush()
            os.fsync(file.fileno())
            digest = checksum(np.asarray(images))
        target = folder / f"images-{digest[:16]}.npy"
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    meta = {"format": FORMAT, "identity": identity, "shape": shape, "checksum": digest, "file": target.name}
    with _explained(folder, shape):
        write_json(folder / "meta.json", meta | {"notes": notes})
    for left in (*folder.glob("images-*.npy"), *folder.glob("unfinished-*.npy")):
        if left != target:  # of other data, or of a process that was killed: the lock is ours, nobody is writing
            left.unlink(missing_ok=True)


def checksum(images: np.ndarray) -> str:
    """Hash of an array's bytes, in parallel: hash of the hashes of its 8 MiB pieces."""
    flat = np.ascontiguousarray(images).reshape(-1).data
    pieces = [flat[start : start + CHUNK] for start in range(0, len(flat), CHUNK)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        hashes = pool.map(lambda piece: hashlib.blake2b(piece, digest_size=16).digest(), pieces)
        return hashlib.blake2b(b"".join(hashes), digest_size=16).hexdigest()


@contextmanager
def _once_a_machine(path: Path) -> Iterator[bool]:
    """Yield true if a process that still lives on this machine has verified the file as it is; else the block verifies.

    So a launcher, its cells and their ranks read the file once, not each of them. Any write to the file, even one that
    resets its modification time, changes its time of status change (ctime), which can't be set.
    """
    note = path.with_name(file_name(f"{platform.node() or 'machine'}", ".verified"))
    try:
        lock = FileLock(note.with_suffix(".verifying"))
        lock.acquire()
    except OSError:  # a folder that may only be read
        yield False
        return
    try:
        status, own = path.stat(), psutil.Process()
        found = [path.name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        try:
            *before, pid, began = read_json(note)
            known = before == found and psutil.Process(pid).create_time() == began
        except (OSError, ValueError, TypeError, psutil.Error):
            known = False
        yield known
        if not known:
            with suppress(OSError):
                write_file(note, json.dumps([*found, own.pid, own.create_time()]), synced=False)
    finally:
        lock.release()
