"""Run `bench` on hostile input in a process of its own, and see what it said, took, wrote and reached for.

The process is forked from this one, where everything is imported already; its current folder, home, caches and
temporary files lie in a sandbox. What Python opens for writing outside of that is noted by an audit hook.

Time is counted from the fork to the end, less what the process stood ready to run while others had the processors: so
that a busy machine makes no hang, and waiting for a lock, a pipe or the network still is one.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from threadpoolctl import threadpool_limits

SECONDS, MEGABYTES = 5.0, 600.0
"""What a request may take; memory beyond what it inherits, which is at least some 400 MB of imports."""
LONGEST = 120.0
"""Seconds by the clock after which one is killed, however busy the machine is."""
PRELOADED = (
    "disentangle_bench.benchmarks.__main__",
    "disentangle_bench.benchmarks.execution.run_cell",
    "disentangle_bench.benchmarks.execution.pretrained.evaluate",
    "disentangle_bench.benchmarks.launchers.survey",
    "disentangle_bench.benchmarks.planning.plan",
    "disentangle_bench.evaluation.leaderboard.report.page",
    "disentangle_bench.evaluation.leaderboard.compare",
    "disentangle_bench.evaluation.verify",
    "disentangle_bench.datamodules.inspection",
)
CODES = {"verify": (0, 1, 2), "cancel": (0, 1, 2), "compare": (0, 2, 3, 4)}
"""Exit codes of a command that isn't running anything; others end with 0 or 2."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir": (0,), "os.remove": (0,), "os.rmdir": (0,), "os.truncate": (0,), "os.chmod": (0,)}
_CHANGES |= {"os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,)}


@dataclass(frozen=True)
class Ended:
    """How a request ended.

    Attributes:
        code: exit code; negative after a signal.
        out: standard output.
        err: standard error.
        seconds: that it took, less those in which it waited for a processor.
        megabytes: its largest memory, less what it inherited.
        changed: paths in the sandbox, relative to it, that are new, gone or other.
        outside: what it changed, or opened to write, outside of the sandbox.
    """

    code: int
    out: str
    err: str
    seconds: float
    megabytes: float
    changed: frozenset[str]
    outside: tuple[str, ...]

    def wrong(self, command: str) -> Iterator[str]:
        """What must not be."""
        if self.seconds > SECONDS:
            yield f"hang: {self.seconds:.1f} s"
        elif self.code not in CODES.get(command, (0, 2)):
            yield f"exit code {self.code}"
        if self.megabytes > MEGABYTES:
            yield f"memory: {self.megabytes:.0f} MB"
        if "Traceback (most recent call last)" in self.out + self.err:
            yield "traceback"
        if self.code == 2 and (self.err.count("\n") != 1 or not self.err.startswith("bench: ")):
            yield f"{self.err.count(chr(10))} lines on standard error"
        if self.code == 2 and self.changed:
            yield f"wrote though refused: {sorted(self.changed)[:3]}"
        if self.outside or any(not name.startswith("work/") for name in self.changed):
            yield f"wrote outside: {[*self.outside, *self.changed][:3]}"
        if any((ord(c) < 32 and c not in "\n\t\r") or 127 <= ord(c) < 160 for c in self.out + self.err):
            yield "control characters on the terminal"


class Sandbox:
    """A folder with all that a request may see of the disk.

    Args:
        folder: empty; the request's current folder is `folder/work`.
    """

    def __init__(self, folder: Path):
        self.folder, self.work = folder.resolve(), folder.resolve() / "work"
        for name in ("work", "home", "tmp", "data"):
            (self.folder / name).mkdir()

    def run(self, arguments: list[str], seconds: float = 2 * SECONDS, **environment: str) -> Ended:
        """Give the request; it is killed after so many seconds, and then says where it stood."""
        for name in PRELOADED:
            importlib.import_module(name)
        gc.freeze()  # what is shared with the children stays so
        before, held = self._look(), psutil.Process().memory_info()
        inherited = (held.rss - held.shared) / 2**20  # where a fork's memory starts: earlier tests took much
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as notes:
            start = time.monotonic()
            pid = os.fork()
            if pid == 0:
                self._child(arguments, environment, out.fileno(), err.fileno(), notes.fileno())
            code, megabytes, took = wait(pid, start, seconds)
            said = [_content(file.fileno()) for file in (out, err, notes)]
        after = self._look()
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        grown = max(0.0, megabytes - inherited)
        return Ended(code, said[0], said[1], took, grown, frozenset(changed), tuple(said[2].splitlines()))

    def _look(self) -> dict[str, tuple[int, int]]:
        """Everything in the sandbox with size and time."""
        found = {}
        for above, folders, files in os.walk(self.folder):
            for name in (*folders, *files):
                path = os.path.join(above, name)  # noqa: PTH118  # names that are no text go through it unharmed
                status = os.lstat(path)
                told = os.path.relpath(path, self.folder).encode(errors="backslashreplace").decode()
                found[told] = (0, 0) if name in folders else (status.st_size, status.st_mtime_ns)
        return found

    def _child(self, arguments: list[str], environment: dict[str, str], out: int, err: int, notes: int) -> None:
        code = 70
        try:
            os.setpgid(0, 0)
            faulthandler.disable()  # its handlers are gone where a trainer of Lightning's put back those that it knew
            faulthandler.enable(file=err, all_threads=False)  # where it stands, when it is stopped
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out, 1)
            os.dup2(err, 2)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace")  # noqa: SIM115
            os.chdir(self.work)
            home = {"HOME": "home", "TMPDIR": "tmp", "DISENTANGLE_BENCH_DATA": "data"}
            home |= {"DISENTANGLE_BENCH_CACHE": "work/cache", "XDG_CACHE_HOME": "home/cache"}
            os.environ.update({name: str(self.folder / path) for name, path in home.items()})
            os.environ.update({"DISENTANGLE_BENCH_OFFLINE": "1", "HF_HUB_OFFLINE": "1"} | environment)
            _forget_threads()
            tempfile.tempdir = None
            sys.addaudithook(_Notes(notes, self.folder))
            from disentangle_bench.benchmarks.__main__ import main

            code = main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)


class _Notes:
    """An audit hook that notes what is changed outside of a folder."""

    def __init__(self, file: int, folder: Path):
        self.file, self.folder = file, str(folder)

    def __call__(self, event: str, arguments: tuple) -> None:
        if event == "open":
            paths = arguments[:1] if isinstance(arguments[2], int) and arguments[2] & _WRITES else ()
        else:
            paths = tuple(arguments[place] for place in _CHANGES.get(event, ()))
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                full = os.path.realpath(os.fsdecode(path))
                if not full.startswith((self.folder, "/dev/", "/proc/")):
                    os.write(self.file, f"{event} {full}\n".encode(errors="backslashreplace"))


def _forget_threads() -> None:
    """Compute in one thread: those of OpenMP's pool stay with the parent, and a fork that counts on them hangs."""
    import torch

    torch.set_num_threads(1)
    threadpool_limits(1)


def wait(pid: int, start: float, seconds: float) -> tuple[int, float, float]:
    """Exit code, largest memory in MB and seconds of a child, which is killed with its group if it takes longer."""
    killed = False
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if not killed and (_taken(pid, start) > seconds or time.monotonic() - start > LONGEST):
            os.kill(pid, signal.SIGABRT)  # it says where it stands
            time.sleep(0.1)
            os.killpg(pid, signal.SIGKILL)
            killed = True
        time.sleep(0.005)
    took = _taken(pid, start)
    _, status, used = os.wait4(pid, 0)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # whatever it started
    return os.waitstatus_to_exitcode(status), used.ru_maxrss / 1024, took


def _taken(pid: int, start: float) -> float:
    """Seconds since the start in which a child ran or waited for something else than a processor.

    The kernel counts the others in /proc/PID/schedstat (nanoseconds run, and ready to run); where it doesn't, none.
    """
    since = time.monotonic() - start
    try:
        return since - int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return since


def _content(file: int) -> str:
    size = os.fstat(file).st_size
    return os.pread(file, size, 0).decode(errors="replace")
