"""Output to the terminal: printable text only, also where the stream is closed, full or not UTF-8."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TextIO, TypedDict

from disentangle_bench.files import spelled


class Verbosity(IntEnum):
    """How much a command says besides its results and errors."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


verbosity = Verbosity.NORMAL
"""Verbosity of this process, as its command line says."""


class Shape(TypedDict):
    """Shape of standard output: characters in a line, and whether colours are shown."""

    width: int
    colour: bool


class OutputLost(OSError):
    """Standard output takes no more."""


class Plain(io.TextIOBase):
    """A stream whose texts are made printable line by line.

    Args:
        stream: that they go to; what it can't encode is spelled out.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the stream."""
        return self.stream.encoding

    def writable(self) -> bool:
        """True."""
        return True

    def isatty(self) -> bool:
        """Whether the stream is an open terminal."""
        return not self.stream.closed and self.stream.isatty()

    def fileno(self) -> int:
        """File descriptor of the stream."""
        return self.stream.fileno()

    def write(self, text: str) -> int:
        """Write a text. Raises BrokenPipeError if nobody reads any more, OutputLost if it can't be written."""
        with _output_errors():
            return self.stream.write("".join(c if c in "\n\t" else spelled(c) for c in text))

    def flush(self) -> None:
        """Flush the stream; errors as of `write`."""
        with _output_errors():
            self.stream.flush()


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLost(error.errno, error.strerror) from error


@contextmanager
def plain() -> Iterator[None]:
    """Make standard output and error `Plain` within the block; bars, which move the cursor, use `bars()`."""
    for number in range(3):  # what is closed would be the number of the next file that is opened
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    closed = Path(os.devnull).open("w")  # noqa: SIM115  # as long as the process
    sys.stdout, sys.stderr = (Plain(stream or closed) for stream in before)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def bars() -> TextIO:
    """The terminal itself, for what moves the cursor; texts for it go through `files.printable`."""
    return sys.stderr.stream if isinstance(sys.stderr, Plain) else sys.stderr


def hides_bars() -> bool | None:
    """The argument `disable` of tqdm: True if quiet or if the cursor can't be moved; None: if it is no terminal."""
    return True if verbosity == Verbosity.QUIET or _is_dumb() else None


def _is_dumb() -> bool:
    """Whether the terminal understands no escape sequences, as an editor's shell."""
    return os.environ.get("TERM") == "dumb"


def shape() -> Shape:
    """The shape that a table must fit."""
    return {"width": shutil.get_terminal_size().columns, "colour": sys.stdout.isatty() and not _is_dumb()}


def show(coloured: str) -> None:
    """Write text with colours to standard output; every name in it is `files.printable`."""
    stream = sys.stdout.stream if isinstance(sys.stdout, Plain) else sys.stdout
    with _output_errors():
        stream.write(coloured)
