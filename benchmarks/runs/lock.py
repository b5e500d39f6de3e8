"""Who is at a cell: an operating system's lock on a file in its folder, free as soon as the holding process is dead.

It is `flock`. Over NFS Linux passes it on to the server, so that it holds between machines, unless the file system was
mounted with `nolock` or `local_lock`; Lustre wants the mount option `flock`. Where there is no such lock at all, taking
one fails rather than pretending (no marker files, which a killed process would leave behind).
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from disentangle_bench.benchmarks.planning.cell import LOCK


class Taken(Exception):
    """Another process holds the lock."""


class _Replaced(Exception):
    """The file that was locked is no longer the one of that name."""


@contextmanager
def hold(folder: Path, seconds: float = 1.0) -> Iterator[None]:
    """Hold the lock of a folder; its file is there only as long.

    Args:
        folder: of the cell.
        seconds: to wait for it: longer than somebody who only looks (see `holder`) has it.

    Raises:
        Taken: another process has it.
    """
    path = folder / LOCK
    while True:
        lock = FileLock(path, timeout=seconds, on_acquired=partial(_sign, path))
        try:
            lock.acquire()
            break
        except Timeout:
            raise Taken(folder) from None
        except _Replaced:
            continue
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: whoever has it open already sees in `_sign` that it is gone
        lock.release()


def _sign(path: Path, descriptor: int) -> None:
    """Make sure that the locked file is the one others would find, and write into it who has it."""
    try:
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise _Replaced
    except FileNotFoundError:
        raise _Replaced from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)


def holder(folder: Path) -> dict[str, Any] | None:
    """Host and pid of the process that holds the lock of a folder (empty if it hasn't signed yet), or None."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: those who look don't see each other
        return None
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
    return signature(folder)


def signature(folder: Path) -> dict[str, Any]:
    """Host and pid of the last process that held the lock and didn't put it back, else empty."""
    try:
        return json.loads((folder / LOCK).read_text())
    except (OSError, ValueError):
        return {}
