"""Files and their names, for all packages: any text makes a safe name, any file is read within bounds, and what is
written is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import threading
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST_NAME = 80
MOST_FOLDERS = 20_000
"""That are looked into in vain; a run has fewer than ten."""
LARGEST_TEXT = 1 << 26
"""Bytes of a record, a note or a side file; theirs are a thousandth of that."""


def file_name(name: str, ending: str = "", taken: Container[str] = frozenset()) -> str:
    """A name from anywhere (a record, metadata, a class, a space) as the name of one file or folder.

    Itself where that is safe and short (ASCII letters, digits, `_`, `.` and `-`, no leading dot or dash), else what can
    be read of it with its hash: no two names share one.

    Args:
        name: any text.
        ending: of the file, such as `.svg`.
        taken: names that are in use.
    """
    plain, number = f"{name}{ending}", 0
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) and len(name) <= LONGEST_NAME and plain not in taken:
        return plain
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[: LONGEST_NAME - 17]
    while True:
        unique = json.dumps([name, number] if number else name).encode()
        plain = f"{readable}-{hashlib.blake2b(unique, digest_size=8).hexdigest()}{ending}".lstrip("-")
        if plain not in taken:
            return plain
        number += 1


def printable(text: str) -> str:
    """Text as one line that does nothing to a terminal: characters that have no picture are spelled out."""
    return "".join(map(spelled, " ".join(text.split())))


def spelled(character: str) -> str:
    """A character, or its escape sequence if it has no picture."""
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())


class TooManyFolders(OSError):
    """A folder holds so many others that it can't be the one that was meant."""


def find_files(folder: Path, name: str) -> list[Path]:
    """All files of a name under a folder at any depth, each once, sorted.

    Links to folders are followed where runs lie, at DATASET/METHOD/RUN: one of these may be on another disk.

    Raises:
        TooManyFolders: there are more than `MOST_FOLDERS`, and a hundred for each file found.
    """
    found: list[Path] = []
    for count, (place, folders, files) in enumerate(os.walk(folder)):
        if count > MOST_FOLDERS + 100 * len(found):
            raise TooManyFolders(
                f"{folder}: more than {MOST_FOLDERS:,} folders without a {name}; name the folder of the runs itself"
            )
        if name in files or name in folders:  # a folder of that name is told as a bad file
            found.append(Path(place, name))
    if behind_links := set(folder.glob(f"*/*/*/{name}")) - set(found):
        once = {os.path.realpath(path): path for path in [*sorted(behind_links), *found]}
        found = list(once.values())
    return sorted(found)


def read_bytes(path: Path, at_most: int = LARGEST_TEXT) -> bytes:
    """The content of a regular file; a pipe, a device and what is larger than `at_most` bytes are not read.

    Raises:
        OSError: there is none, it may not be read, or it is one of these.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe is told here, not waited for
    except ValueError as error:  # a zero byte in its name
        raise FileNotFoundError(f"{error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(at_most + 1)
    if len(content) > at_most:
        raise OSError(f"more than {at_most:,} bytes")
    return content


def read_text(path: Path, at_most: int = LARGEST_TEXT) -> str:
    """The same as text. Raises OSError, or UnicodeDecodeError if it isn't UTF-8."""
    return read_bytes(path, at_most).decode("utf-8")


def digest(path: Path) -> str:
    """SHA-256 of a regular file as hexadecimal digits. Raises OSError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing, or not a regular file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within it an error of writing names `path`: the system tells what went wrong, and often not where."""
    try:
        yield
    except OSError as error:
        if error.errno and (error.filename is None or Path(str(error.filename)).suffix == ".tmp"):
            error.filename = str(path)
            del error.filename2  # of a replacement, which nobody has asked for
        raise
    except Exception as error:  # a library's own
        error.add_note(f"{path} was being written")
        raise


@contextmanager
def replacing(path: Path, synced: bool = True) -> Iterator[Path]:
    """A name beside `path` to write to: at the end of the block it takes the place of `path`.

    At every moment `path` is absent, the old file or the new one, never a part; an error leaves what was there, and
    names `path`. That also holds for a power cut if it is `synced`.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with writing(path):
            beside.touch()
            mode = stat.S_IMODE(beside.stat().st_mode)
            yield beside
            beside.chmod(mode)  # as the user's umask says, whatever a library made of it
            if synced:
                with beside.open("rb") as file:
                    os.fsync(file.fileno())
            beside.replace(path)
    finally:
        with suppress(OSError):  # gone already, or a disk that takes no change at all
            beside.unlink()


def being_written(path: Path) -> bool:
    """Whether a file is one that `replacing` has named and whose process lives, on this machine."""
    if (found := re.fullmatch(r"\..+\.([0-9]+)-[0-9]+\.tmp", path.name)) is None:
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def write_file(path: Path, content: bytes | str, synced: bool = True) -> None:
    """Write a file, whole or not at all, see `replacing`; one that was removed with its folder doesn't come back."""
    with replacing(path, synced) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
