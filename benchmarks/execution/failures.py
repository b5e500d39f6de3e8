"""Why a cell failed, in words that say what to do next."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from disentangle_bench.benchmarks import own_code
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.files import existing

_NO_SPACE = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed", "unexpected pos")
_NO_MEMORY = ("out of memory", "DefaultCPUAllocator: can't allocate memory", "ALLOC_FAILED", "Cannot allocate memory")


class NotFinite(RuntimeError):
    """Training gave NaN or infinity."""


def explain(error: BaseException, folder: Path | None = None) -> str:
    """One line: what happened and, where it is known, the next step.

    Args:
        error: what ended the cell.
        folder: of the run, whose file system is meant where no space is left.
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
    if any(map(_no_space, chain)):
        return (
            f"no space left on the disk{_room(folder)}; make room and give the same command again, it goes on ({text})"
        )
    if any(isinstance(e, OSError) and e.errno in (errno.EROFS, errno.EACCES, errno.EPERM) for e in chain):
        return f"not writable: {text}; make it so, or choose another folder with --out"
    if any(map(_no_memory, chain)):
        return (
            "out of memory; set a smaller data.batch_size or a smaller backbone (that is another run), share the batch "
            f"out over more --devices, or run fewer --jobs side by side ({text})"
        )
    return text


def explain_here(error: OSError) -> str:
    """The same of a command that writes a file of its own, such as a table."""
    if not error.filename:
        return explain(error)
    return explain(error, existing(Path(str(error.filename)).absolute().parent))


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
