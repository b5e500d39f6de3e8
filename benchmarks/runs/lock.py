"""Lock of a run: the operating system's, on a file in its folder, free as soon as the holding process is dead.

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
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from disentangle_bench.json_files import BadJson, read


class Taken(Exception):
    """Another process holds the lock."""


class _Replaced(Exception):
    """The file that was locked is no longer the one of that name."""


@dataclass(frozen=True)
class ProcessId:
    """A process of some machine.

    Attributes:
        host: name of the machine.
        pid: its number there.
        created: its start, since numbers are given out again: in seconds of a clock that nobody sets, see `started`;
            0: unknown.
    """

    host: str = "?"
    pid: int = 0
    created: float = 0.0

    @classmethod
    def this(cls) -> ProcessId:
        """The process that calls this."""
        return cls(socket.gethostname(), os.getpid(), started(psutil.Process()))

    @property
    def here(self) -> bool:
        """Whether it is, or was, of this machine."""
        return self.host == socket.gethostname()

    def find(self) -> psutil.Process | None:
        """The living process; None if it is dead, its number is another's now, or it is of another machine."""
        try:
            found = psutil.Process(self.pid) if self.here and self.pid > 0 else None
            return found if found is not None and started(found) == self.created else None
        except psutil.Error:
            return None

    def __str__(self) -> str:
        return f"{self.host} pid {self.pid or '?'}"


def started(process: psutil.Process) -> float:
    """When a process started, the same whenever it is asked: on Linux seconds since the machine's own start.

    Seconds since 1970 are reckoned there from the clock, and a living process would be taken for another one as soon as
    that is set.
    """
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22, the second one is in brackets
    except (OSError, ValueError, IndexError):
        return float(process.create_time())


@contextmanager
def hold(path: Path, seconds: float = 1.0) -> Iterator[None]:
    """Hold a lock; its file is there only as long.

    Args:
        path: of the lock's file.
        seconds: to wait for it: longer than somebody who only looks (see `holder`) has it.

    Raises:
        Taken: another process has it.
    """
    signature = json.dumps(asdict(ProcessId.this())).encode()
    while True:
        lock = FileLock(path, timeout=seconds, on_acquired=partial(_sign, path, signature))
        try:
            lock.acquire()
            break
        except Timeout:
            raise Taken(path) from None
        except _Replaced:
            continue
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: whoever has it open already sees in `_sign` that it is gone
        lock.release()


def _sign(path: Path, signature: bytes, descriptor: int) -> None:
    """Make sure that the locked file is the one others would find, and write into it who has it."""
    try:
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise _Replaced
    except FileNotFoundError:
        raise _Replaced from None
    with suppress(OSError):  # a full disk has no room for who it is: `bench clean` needs the lock to make some
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, signature, 0)


def holder(path: Path) -> ProcessId | None:
    """The process that holds a lock (`ProcessId()` if it hasn't signed yet), or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:  # there is none, or what is there is no file of ours
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: those who look don't see each other
        return None
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
    return signature(path)


def signature(path: Path) -> ProcessId:
    """The last process that held a lock and didn't put it back, `ProcessId()` if it isn't known."""
    try:
        return read(ProcessId, path) or ProcessId()
    except BadJson:
        return ProcessId()
