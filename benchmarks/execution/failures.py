"""Reasons of failures as text that says what to do next."""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from disentangle_bench.benchmarks import own_code
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.files import existing

_NO_SPACE = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed", "unexpected pos")
_NO_MEMORY = (
    *("out of memory", "DefaultCPUAllocator: can't allocate memory", "ALLOC_FAILED", "Cannot allocate memory"),
    "is killed by signal: Killed",  # a process that makes batches
)
_NO_SHARED_MEMORY = ("out of shared memory", "unable to allocate shared memory")
LESS_MEMORY = (
    "set a smaller data.batch_size or a smaller backbone (that is another run), or share the batch out over more "
    "--devices"
)
"""Advice to somebody whose cell ran out of memory."""
FEWER_JOBS = f"run fewer --jobs side by side, {LESS_MEMORY}"
"""The same advice where several cells share the machine."""


class NotFinite(RuntimeError):
    """Training gave NaN or infinity."""


def explain(error: BaseException, folder: Path | None = None, less_memory: str = FEWER_JOBS) -> str:
    """One line: what happened and, where it is known, the next step.

    Args:
        error: what ended the cell.
        folder: of the run, whose file system is meant where no space is left.
        less_memory: what to do where memory ran out.
    """
    chain = list(_chain(error))
    text = "; ".join([f"{type(error).__name__}: {_first_line(error)}", *getattr(error, "__notes__", ())])
    if isinstance(error, NotFinite | RequestError):
        return str(error)
    if place := own_code.place_of(error):
        text += f" ({place})"
    if folder is not None and not folder.exists():
        return f"{folder} was removed while the run was at work; the same command begins it anew ({text})"
    if any(isinstance(e, OSError) and e.errno == errno.EFBIG for e in chain):
        return f"a file would grow larger than it may (`ulimit -f`); raise that, then give the same command ({text})"
    if any(words in str(e) for e in chain for words in _NO_SHARED_MEMORY):
        return (
            "no room in /dev/shm for the processes that make batches; give it more (a container: docker run "
            f"--shm-size=8g), or do without them, --set data.num_workers=0 ({text})"
        )
    if any(map(_no_space, chain)):
        return (
            f"no space left on the disk{_room(folder)}; make room and give the same command again, it goes on ({text})"
        )
    if any(isinstance(e, OSError) and e.errno in (errno.EROFS, errno.EACCES, errno.EPERM) for e in chain):
        return f"not writable: {text}; make it so, or choose another folder with --out"
    if any(map(_no_memory, chain)):
        return f"out of memory; {less_memory} ({text})"
    return text


def explain_signal(number: int) -> str:
    """One line on a process that a signal ended; a system that is out of memory sends SIGKILL."""
    name = signal.Signals(number).name
    if number != signal.SIGKILL:
        return f"killed by {name}"
    return f"killed by {name}, as a system does whose memory is full; in that case {FEWER_JOBS}"


def explain_here(error: OSError) -> str:
    """`explain` for a command that could not write a file of its own, such as a table."""
    file = _written(error)
    return explain(error, existing(Path(file).absolute().parent) if file else None)


def _written(error: OSError) -> str:
    """The file that could not be written: of a copy, where it should have come to."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return str(error.args[0][0][1])
    return str(error.filename2 or error.filename or "")


def _first_line(error: BaseException) -> str:
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return str(error.args[0][0][-1])  # of the files that could not be copied, the first
    return str(error).partition("\n")[0]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _no_space(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # torch's and safetensors' own writers tell it in words, and so does the copying of folders
    return any(words in str(error) for words in _NO_SPACE)


def _no_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(words in str(error) for words in _NO_MEMORY)


def _room(folder: Path | None) -> str:
    if folder is None or not folder.exists():
        return ""
    usage = shutil.disk_usage(folder)
    return f" of {folder}: {usage.free / 2**20:,.0f} of {usage.total / 2**20:,.0f} MiB are free"
