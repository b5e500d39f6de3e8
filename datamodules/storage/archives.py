"""Unpack an archive safely, once."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from filelock import FileLock

from disentangle_bench.datamodules.errors import DataCorrupt
from disentangle_bench.datamodules.storage.image_cache import key_of

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def is_archive(path: Path) -> bool:
    """Whether a path is a file that `unpacked` can open, going by its name."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def unpacked(archive: Path, below: Path) -> Path:
    """The folder with an archive's content, unpacked at the first call and again when the archive changes.

    Args:
        archive: a .zip or .tar file, the latter compressed or not.
        below: folder to keep it in, under a name made of the archive's path, size and time.

    Raises:
        DataCorrupt: the archive is cut short or damaged, or has members that would land outside its folder (nothing
            is unpacked then).
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
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise DataCorrupt(f"{archive}: cut short or damaged ({error}); get it again") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            _refuse_strangers(archive, packed.namelist())
            packed.extractall(folder)
    else:
        with tarfile.open(archive) as packed_tar:
            _refuse_strangers(archive, packed_tar.getnames())
            packed_tar.extractall(folder, filter="data")  # refuses links and devices that lead outside, too


def _refuse_strangers(archive: Path, names: list[str]) -> None:
    for name in names:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise DataCorrupt(f"{archive}: member {name!r} would be written outside of its folder; nothing unpacked")
