"""Unpack an archive safely, once, and read a packed file without more of it than should be there."""

from __future__ import annotations

import errno
import gzip
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from filelock import FileLock

from disentangle_bench.datamodules.errors import DataCorrupt, DataMismatch
from disentangle_bench.datamodules.storage.image_cache import key_of

MOST_EXPANSION, LARGEST_UNCHECKED = 100, 1 << 28
"""An archive of images hardly shrinks: one that unpacks to more than so many times its size is a trap, unless small."""
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def is_archive(path: Path) -> bool:
    """True if a path is a file with an archive's suffix, which `unpacked` can open."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def unpacked(archive: Path, below: Path) -> Path:
    """The folder with an archive's content, unpacked at the first call and again when the archive changes.

    Args:
        archive: a .zip or .tar file, the latter compressed or not.
        below: folder to keep it in, under a name made of the archive's path, size and time.

    Raises:
        DataCorrupt: the archive is cut short or damaged, needs a password, is compressed in a way that Python can't
            read, or has members that would land outside its folder (nothing is unpacked then).
    """
    status = archive.stat()
    key = key_of(path=archive.resolve(), size=status.st_size, time=status.st_mtime_ns)
    folder = below / f"{archive.name.split('.')[0]}-{key}"
    if folder.is_dir():
        return folder
    below.mkdir(parents=True, exist_ok=True)
    with FileLock(below / f"{folder.name}.lock"):
        if folder.is_dir():
            return folder
        unfinished = Path(tempfile.mkdtemp(dir=below, prefix="unfinished-"))
        try:
            _unpack(archive, unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(folder)
        except tarfile.FilterError as error:
            raise DataCorrupt(f"{archive}: {error}: outside of its folder; nothing unpacked") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise DataMismatch(
                    f"cannot unpack {archive} into {below}: {error.strerror}; make room there"
                ) from error
            raise DataCorrupt(f"{archive}: cut short or damaged ({error}); get it again") from error
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
            raise DataCorrupt(f"{archive}: cut short or damaged ({error}); get it again") from error
        except RuntimeError as error:  # what zipfile says of a password, or of a compression that it doesn't know
            raise DataCorrupt(f"{archive}: {error}; unpack it yourself and name its folder") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            _refuse_strangers(archive, packed.namelist())
            _refuse_bombs(archive, sum(member.file_size for member in packed.infolist()))
            packed.extractall(folder)
    else:
        with tarfile.open(archive) as packed_tar:
            _refuse_strangers(archive, packed_tar.getnames())
            _refuse_bombs(archive, sum(member.size for member in packed_tar.getmembers()))
            packed_tar.extractall(folder, filter="data")  # refuses links and devices that lead outside, too


def _refuse_bombs(archive: Path, size: int) -> None:
    """Raise DataCorrupt if the members, which never unpack to more than the archive says, are too large together."""
    packed = archive.stat().st_size
    if size > max(LARGEST_UNCHECKED, MOST_EXPANSION * packed):
        raise DataCorrupt(
            f"{archive}: would unpack to {size / 1e9:.1f} GB, {size // max(1, packed)} times its size: no archive of "
            "images is like that; nothing unpacked"
        )


def read_unpacked(path: Path, at_most: int) -> bytes:
    """The content of a file, which may be gzip-ed (`.gz`); of a longer one, `at_most` + 1 bytes.

    Raises:
        DataCorrupt: it is cut short or damaged.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(at_most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataCorrupt(f"{path}: cut short or damaged ({error}); get it again") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        DataCorrupt: it is missing, no regular file, too large for a table of a data set, or not UTF-8.
    """
    if not path.is_file():
        raise DataCorrupt(f"{path}: missing, or not a regular file; get it again")
    data = read_unpacked(path, LARGEST_UNCHECKED)
    if len(data) > LARGEST_UNCHECKED:
        raise DataCorrupt(f"{path}: more than {LARGEST_UNCHECKED >> 20} MB, which no list of images has; get it again")
    try:
        return data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataCorrupt(f"{path}: not UTF-8 text ({error}); get it again") from error


def _refuse_strangers(archive: Path, names: list[str]) -> None:
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise DataCorrupt(f"{archive}: member {name!r} would be written outside of its folder; nothing unpacked")
