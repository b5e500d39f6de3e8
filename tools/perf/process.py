"""One measurement in a process of its own: what it measured, its processor seconds and its peak memory."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from typing import Any

Figures = dict[str, float]
"""By name with unit, such as `network ms`; `ratio` is what is compared between machines and days, more being better."""
Entry = Callable[[], Figures]


class NotHereError(Exception):
    """A package that an entry needs isn't installed."""


def in_process(entry: Entry) -> tuple[Figures, float, float]:
    """Figures of an entry, its processor seconds and its peak memory in GB.

    Raises:
        NotHereError: it needs what isn't installed.
        EOFError: it failed.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(entry, sender))
    process.start()
    sender.close()
    try:
        found = receiver.recv()
    finally:
        process.join()
    if isinstance(found, NotHereError):
        raise found
    return found


def _measure(entry: Entry, pipe: Any) -> None:
    try:
        figures = entry()
    except NotHereError as missing:
        pipe.send(missing)
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send((figures, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20))
