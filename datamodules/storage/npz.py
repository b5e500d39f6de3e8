"""Members of published .npz files, piece by piece: gigabytes need not pass through memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from disentangle_bench.datamodules.errors import as_published


def read_chunks(
    file: Path, member: str, shape: tuple[int, ...], rows: int = 4096
) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of a uint8 array in a .npz file, in order.

    Args:
        file: the .npz file.
        member: name of the array, without `.npy`.
        shape: that it has to have.
        rows: of one piece.

    Yields:
        which rows, and uint8 [rows, ...] of them.

    Raises:
        DataCorrupt: there is no such array in the file, it is of another shape or type, or the file is damaged.
    """
    with as_published(file), zipfile.ZipFile(file) as archive, archive.open(f"{member}.npy") as unpacked:
        np.lib.format.read_magic(unpacked)
        found, fortran, dtype = np.lib.format.read_array_header_1_0(unpacked)
        if found != shape or fortran or dtype != np.uint8:
            raise ValueError(f"{member} is {dtype} {found}, not uint8 {shape}")
        for start in range(0, shape[0], rows):
            part = (min(rows, shape[0] - start), *shape[1:])
            pixels = np.frombuffer(unpacked.read(int(np.prod(part))), np.uint8)
            yield slice(start, start + part[0]), pixels.reshape(part)
