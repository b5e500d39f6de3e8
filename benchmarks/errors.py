"""Errors of a request, as opposed to failures of a run."""

from collections.abc import Iterable

from disentangle_bench.registry import nearest


class RequestError(ValueError):
    """The request itself is wrong: one line that says what, where, and what would be right. Exit code 2."""


def unknown(kind: str, name: str, known: Iterable[str]) -> RequestError:
    """The error for a name that does not exist, with the nearest ones that do."""
    return RequestError(f"unknown {kind} {name!r:.200}{nearest(name, known)}")
