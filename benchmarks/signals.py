"""Stopping a cell so that nothing is lost: a signal sets a flag, and the cell ends where that leaves all in order.

Loading and judging may be left anywhere: there the signal raises at once. Training may not: within `deferred()` the
signal only sets the flag, and the checkpoint callback, which asks `requested()` after every batch, saves and raises
`Interrupted`. Over several devices the signal may reach some processes only, or each at another batch: they have to
agree before they act on it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR2)
"""The polite kill, a closed terminal, Ctrl-C, and what a cluster sends before it takes the machine away."""

_received: str | None = None
_deferred = False


class Interrupted(BaseException):
    """The cell stops because it was asked to; not an `Exception`, so that nothing on the way takes it for a failure."""


def install() -> None:
    """Have signals ask this process to stop. Called again when training starts, since Lightning puts in its own."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` means it
            signal.signal(number, _note)


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Have SIGTERM and SIGHUP do what Ctrl-C does within the block, so that a command tidies up."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def requested() -> str | None:
    """Name of the signal that first asked this process to stop, or None."""
    return _received


def check() -> None:
    """Raise Interrupted if this process was asked to stop, unless it is within `deferred()`."""
    if _received and not _deferred:
        raise Interrupted(_received)


@contextmanager
def deferred() -> Iterator[None]:
    """Within the block a signal only sets the flag; Interrupted is raised after the block."""
    global _deferred
    _deferred = True
    try:
        yield
    finally:
        _deferred = False
    check()


def _note(number: int, frame: FrameType | None) -> None:
    global _received
    if number == signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C kills at once
    if _received is None:  # once only: a second signal must not cut the cleaning up short
        _received = signal.Signals(number).name
        check()
