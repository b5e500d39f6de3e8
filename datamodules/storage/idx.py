"""The IDX format of MNIST and its relatives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from disentangle_bench.datamodules.errors import DataCorrupt
from disentangle_bench.datamodules.storage import archives

UNSIGNED_BYTE = 0x08
MOST_BYTES = 1 << 29
"""Ten times the images of MNIST."""


def find(folder: Path, name: str) -> Path | None:
    """The file of this name, or gzip-ed with `.gz` added, in a folder; None if neither is there."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read(path: Path, dimensions: int) -> np.ndarray:
    """Read a file of unsigned bytes, plain or gzip-ed.

    Layout, big-endian: bytes 0, 0, type 0x08, number of dimensions; each dimension as uint32; the values.

    Args:
        path: file.
        dimensions: how many there should be, 3 for images and 1 for labels.

    Returns:
        uint8 array.

    Raises:
        DataCorrupt: the file is cut short or damaged, or its magic number says that it is something else.
    """
    data = archives.read_unpacked(path, MOST_BYTES)
    expected = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if data[:4] != expected:
        raise DataCorrupt(
            f"{path}: magic number is 0x{data[:4].hex()} where an IDX file of {dimensions}-dimensional bytes has "
            f"0x{expected.hex()}; this is another file, get it again"
        )
    start = 4 + 4 * dimensions
    shape = tuple(int(n) for n in np.frombuffer(data[4:start].ljust(4 * dimensions, b"\0"), ">u4"))
    if len(data) > MOST_BYTES:
        raise DataCorrupt(f"{path}: more than {MOST_BYTES >> 20} MB, which no file of this kind has; get it again")
    values = np.frombuffer(data[start:], np.uint8)
    if len(values) != np.prod(shape, dtype=np.int64):
        raise DataCorrupt(f"{path}: holds {len(values)} values, its header promises {shape}; get it again")
    return values.reshape(shape)
