"""What can be wrong with a request, as opposed to a run."""

from collections.abc import Iterable
from difflib import get_close_matches


class RequestError(ValueError):
    """The request itself is wrong: one line that says what, where, and what would be right. Exit code 2."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`: did you mean ...?` with the most similar names, or all of them if none is similar."""
    known = set(known)
    return similar(name, known) or f": known are {', '.join(sorted(known)) or 'none'}"


def similar(name: str, known: Iterable[str]) -> str:
    """`: did you mean ...?` with the most similar names; empty if none is similar."""
    near = get_close_matches(name[:200], sorted(set(known)), n=3, cutoff=0.5)
    return f": did you mean {' or '.join(near)}?" if near else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> RequestError:
    """The error for a name that does not exist, with the nearest ones that do."""
    return RequestError(f"unknown {kind} {name!r:.200}{nearest(name, known)}")
