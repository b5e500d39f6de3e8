"""Image files in folders: find them, tell whether they changed, decode them."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from disentangle_bench.datamodules.errors import DataCorrupt
from disentangle_bench.datamodules.storage import decode
from disentangle_bench.datamodules.storage.decode import UnreadableImage
from disentangle_bench.datamodules.storage.on_demand import OnDemand
from disentangle_bench.json_files import read_json, write_json

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2")
)
MOST_BYTES = 1 << 28
"""No image file is larger."""
THREADED_SIZE = 96
"""From this edge on decoding an image outweighs Python's lock, and threads help; below they get in each other's way."""


@dataclass(frozen=True)
class Listing:
    """Image files, sorted by name, the same on every machine.

    Attributes:
        root: folder that the names are relative to.
        names: path of each file below `root`, with forward slashes.
        stamps: int64 [N, 2], size in bytes and time of last change (ns) of each.
        ignored: how many other files there are.
    """

    root: Path
    names: list[str]
    stamps: np.ndarray
    ignored: int = 0

    def __len__(self) -> int:
        return len(self.names)

    @property
    def identity(self) -> str:
        """Hash of names, sizes and times: another one means that files were added, removed or changed."""
        digest = hashlib.blake2b("\0".join(self.names).encode("utf-8", "surrogateescape"), digest_size=16)
        digest.update(np.ascontiguousarray(self.stamps).data)
        return digest.hexdigest()

    def tops(self, depth: int = 1) -> np.ndarray:
        """The `depth`-th folder of each file's path, e.g. its class; an empty string where the path is shorter."""
        parts = (name.split("/") for name in self.names)
        return np.array([p[depth - 1] if len(p) > depth else "" for p in parts], dtype=object)

    def select(self, keep: np.ndarray) -> Listing:
        """The files at these positions (int) or where this is true (bool)."""
        positions = np.flatnonzero(keep) if keep.dtype == bool else keep
        return Listing(self.root, [self.names[i] for i in positions], self.stamps[positions], self.ignored)


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted((e.name for e in entries if e.is_dir() and not e.name.startswith(".")), key=_order)


def scan(root: Path, folders: Iterable[str] = ("",)) -> Listing:
    """All image files at any depth below these folders of `root`.

    Hidden files and files that don't look like images by their extension are left out (the latter are counted).
    Links are followed, those to nothing left out; a folder that is its own ancestor by way of a link is entered once.

    Raises:
        DataCorrupt: something that looks like an image by its name is a pipe or a device.
    """
    found: list[tuple[str, int, int]] = []
    ignored = 0
    for folder in folders:
        above = frozenset(_identity(path) for path in (root, *(root / folder).parents) if path.is_relative_to(root))
        for name, entry in _walk(root / folder, folder, above if folder else frozenset()):
            if os.path.splitext(name)[1].lower() in EXTENSIONS:  # noqa: PTH122  # a Path a file costs seconds
                status = entry.stat()
                found.append((name, status.st_size, status.st_mtime_ns))
            else:
                ignored += 1
    found.sort(key=lambda item: _order(item[0]))
    stamps = np.array([item[1:] for item in found], np.int64).reshape(-1, 2)
    return Listing(root, [item[0] for item in found], stamps, ignored)


def listing_of(root: Path, names: list[str]) -> Listing:
    """These files of `root`, in this order, for data sets that come with a list.

    Raises:
        DataCorrupt: a file on the list is missing, no regular file, or not below `root`.
    """
    for name in names:
        if name.startswith("/") or ".." in name.split("/"):
            raise DataCorrupt(f"{root}: the list of this data set names {name!r}, which is not below it; get it again")
    try:
        statuses = [os.stat(f"{root}/{name}") for name in names]  # noqa: PTH116  # a Path a file costs seconds
    except FileNotFoundError as error:
        raise DataCorrupt(f"{error.filename} is missing, though the list of this data set names it") from error
    for name, status in zip(names, statuses, strict=True):
        if not stat.S_ISREG(status.st_mode):
            raise DataCorrupt(f"{root}/{name}: a folder, a pipe or a device, where an image should be")
    stamps = np.array([(status.st_size, status.st_mtime_ns) for status in statuses], np.int64).reshape(-1, 2)
    return Listing(root, names, stamps)


def _order(name: str) -> str:
    """Sort key: composed Unicode, since file systems differ in how they store an accent."""
    return unicodedata.normalize("NFC", name)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _walk(path: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    here = _identity(path)
    if here in above:  # a link to a folder that we are inside of
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = f"{prefix}/{entry.name}" if prefix else entry.name
            if entry.is_dir():
                yield from _walk(Path(entry.path), name, above | {here})
            elif entry.is_file():
                yield name, entry
            elif os.path.splitext(name)[1].lower() in EXTENSIONS and os.path.exists(entry.path):  # noqa: PTH110, PTH122
                raise DataCorrupt(f"{entry.path}: a pipe or a device, where an image should be")


class FileImages(OnDemand):
    """Image files as an array of decoded images.

    Args:
        listing: the files.
        size: edge of the decoded images.
    """

    def __init__(self, listing: Listing, size: int) -> None:
        self.root, self.size = str(listing.root), size
        self.names = np.array([name.encode("utf-8", "surrogateescape") for name in listing.names])
        self.shape = (len(listing), 3, size, size)  # names in one block of memory: forked workers share it

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Decoded images.

        Raises:
            DataCorrupt: a file cannot be decoded; the message names it.
        """
        out = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for i, row in enumerate(rows):
            try:
                out[i] = self._decode(int(row), self._read(row))
            except (UnreadableImage, OSError) as error:
                raise DataCorrupt(f"{self._path(row)}: {error}") from error
        return out

    def fill(self, out: np.ndarray) -> dict[str, Any]:
        """Decode all into `out`; those that cannot be read stay black and are listed.

        Returns:
            `digest`, hash of the files' bytes; `unreadable`, [row, file name, reason] of each that could not be read.
        """
        hashes = np.zeros((len(self), 16), np.uint8)
        unreadable: list[tuple[int, str, str]] = []

        def one(row: int) -> None:
            try:
                data = self._read(row)
                hashes[row] = np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), np.uint8)
                out[row] = self._decode(row, data)
            except (UnreadableImage, OSError) as error:
                unreadable.append((row, self.names[row].decode("utf-8", "backslashreplace"), str(error)))

        if self.size < THREADED_SIZE:
            for row in self._progress(range(len(self)), "decoding"):
                one(row)
        else:
            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                for _ in self._progress(pool.map(one, range(len(self))), "decoding"):
                    pass
        return {"digest": self._digest(hashes), "unreadable": sorted(unreadable)}

    def digest(self) -> str:
        """The hash that `fill` gives, from the files alone (reads each of them once)."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            hashes = pool.map(lambda row: hashlib.blake2b(self._read(row), digest_size=16).digest(), range(len(self)))
            shown = self._progress(hashes, "reading files for the fingerprint")
            return self._digest(np.frombuffer(b"".join(shown), np.uint8).reshape(-1, 16))

    def _progress(self, steps: Iterable[Any], what: str) -> Iterable[Any]:
        """Shows on a terminal how far a long task is."""
        return tqdm(steps, f"{what}, {self.root}", len(self), delay=2, disable=None, leave=False)

    def _digest(self, hashes: np.ndarray) -> str:
        options = f"{type(self).__name__} {decode.PRINTED} {self.size}"
        return hashlib.blake2b(options.encode() + hashes.tobytes(), digest_size=16).hexdigest()

    def shorter_side(self, row: int) -> int:
        """Edge of the largest centre square of this file's image; raises UnreadableImage."""
        return decode.shorter_side(self._read(row))

    def _decode(self, row: int, data: bytes) -> np.ndarray:
        """uint8 [3, size, size] from a file's bytes; raises UnreadableImage."""
        return decode.decode(data, self.size)

    def _path(self, row: int) -> str:
        return f"{self.root}/{os.fsdecode(bytes(self.names[row]))}"

    def _read(self, row: int) -> bytes:
        with open(self._path(row), "rb") as file:  # noqa: PTH123  # a Path a file costs seconds
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UnreadableImage(f"larger than {MOST_BYTES >> 20} MB")
        return data


def known_digest(images: FileImages, folder: Path, identity: str) -> str:
    """`images.digest()`, kept in `folder` so that files are read for it once and not at every start."""
    path = folder / "digest.json"
    try:
        kept = read_json(path)
        if kept["identity"] == identity:
            return str(kept["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or not what we wrote: computed again
    digest = images.digest()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"identity": identity, "digest": digest})
    return digest
