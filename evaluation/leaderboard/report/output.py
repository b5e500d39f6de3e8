"""The folder of a report: files under names that no record can choose, within a limit of size."""

from __future__ import annotations

import shutil
from pathlib import Path

from disentangle_bench.files import file_name, write_file

FILES = "report_files"
LIMIT = 18 * 2**20
"""Bytes of pictures and tables; the page itself comes on top."""


class Output:
    """Files beside the page; they take the place of an earlier report's by `exchange`, or are gone after the block.

    Args:
        folder: of the report; its files lie in `<folder>/report_files`.
        limit: bytes; files beyond it are left out and counted in `left_out`.
    """

    def __init__(self, folder: Path, limit: int = LIMIT):
        self.folder, self.limit = folder, limit
        self.size, self.left_out = 0, 0
        self._names: set[str] = set()
        self._staged = folder / f".{FILES}.tmp"
        shutil.rmtree(self._staged, ignore_errors=True)
        self._staged.mkdir(parents=True)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._staged, ignore_errors=True)

    def exchange(self) -> None:
        """Put the files in their place."""
        shutil.rmtree(self.folder / FILES, ignore_errors=True)
        self._staged.rename(self.folder / FILES)

    def add(self, name: str, content: bytes | str) -> str | None:
        """Write a file.

        Args:
            name: any text with an ending, such as `digits points.svg`.
            content: of the file.

        Returns:
            Its address relative to the page, or None where it didn't fit.
        """
        data = content.encode() if isinstance(content, str) else content
        if self.size + len(data) > self.limit:
            self.left_out += 1
            return None
        stem, _, ending = name.rpartition(".")
        unique = file_name("-".join(stem.split()), f".{ending}", self._names)
        self._names.add(unique)
        write_file(self._staged / unique, data, synced=False)
        self.size += len(data)
        return f"{FILES}/{unique}"
