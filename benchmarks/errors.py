"""What can be wrong with a request, as opposed to a run."""

import re
from collections.abc import Iterable

from disentangle_bench.registry import nearest


class RequestError(ValueError):
    """The request itself is wrong: one line that says what, where, and what would be right. Exit code 2."""


def wrong_value(message: str) -> str:
    """Jsonargparse's message on an option's value, without the types of Python: `--devices abc: a whole number ...`."""
    text = " ".join(message.split())
    found = re.match(r'Parser key "(\w+)": (.*)[.]? (?:Given|Got) value: (.*)', text)
    if found is None:
        return message
    if choice := re.search(r"typing\.Literal\[(.*?)\]", found[2]):
        wanted = f"one of {choice[1].replace(chr(39), '')}"
    elif number := re.search(r"<class '(int|float)'>", found[2]):
        wanted = {"int": "a whole number", "float": "a number"}[number[1]]
    else:
        return message
    return f"--{found[1].replace('_', '-')} {found[3]}: expected {wanted}"


def unknown(kind: str, name: str, known: Iterable[str]) -> RequestError:
    """The error for a name that does not exist, with the nearest ones that do."""
    return RequestError(f"unknown {kind} {name!r:.200}{nearest(name, known)}")
