"""What is known by name: built in, registered by a decorator, offered by an installed package, or named by its path."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """`: did you mean ...?` with the most similar names, or all of them if none is similar."""
    known = sorted(set(known))
    return similar(name, known) or f": known are {', '.join(known) or 'none'}"


def similar(name: str, known: Iterable[str]) -> str:
    """`: did you mean ...?` with the most similar names; empty if none is similar."""
    near = get_close_matches(name[:200], sorted(set(known)), n=3, cutoff=0.5)
    return f": did you mean {' or '.join(near)}?" if near else ""


def dotted(path: str) -> str:
    """The one form that the path of somebody's own is kept and shown in: `my_file:MyName` is `my_file.MyName`.

    What is no such path, as `timm:resnet18,checkpoint=a.pth`, stays as it is.
    """
    return path.replace(":", ".") if re.fullmatch(r"[^\W\d][\w.]*:[^\W\d][\w.]*", path) else path


class Registry(Generic[T]):
    """Classes of one kind by name; importing one waits until it is asked for.

    Args:
        kind: for messages, such as `method`.
        package: where the built-in ones are; other packages offer theirs by entry points of a group of that name.
        base: `module:Class`, within the package, that all of them derive from.
        built_in: name -> `module:Class` within the package.
    """

    def __init__(self, kind: str, package: str, base: str, built_in: Mapping[str, str]):
        self.kind, self.package, self.base, self.built_in = kind, package, f"{package}.{base}", built_in
        self._registered: dict[str, type[T]] = {}

    def register(self, cls: type[T]) -> type[T]:
        """Class decorator: makes a class of your own known under its `name`."""
        self._registered[cls.name] = cls  # type: ignore[attr-defined]
        return cls

    def available(self) -> list[str]:
        """All names, sorted: built in, registered, and from installed packages."""
        return sorted({*self.built_in, *self._registered, *(entry.name for entry in entry_points(group=self.package))})

    def find(self, name: str) -> type[T]:
        """The class behind a name, or behind a path: `my_file.MyMethod`, or `my_file:MyMethod`.

        Raises:
            LookupError: there is none, importing it failed, or it is something else.
        """
        if name in self._registered:
            return self._registered[name]
        if name in self.built_in:
            return resolve_name(f"{self.package}.{self.built_in[name]}")
        for entry in entry_points(group=self.package, name=name):
            return self._checked(name, entry.value)
        if "." in name or ":" in name:
            return self._checked(name, name)
        raise LookupError(f"no {self.kind} {name!r:.200}{nearest(name, self.available())}")

    def attribute(self, name: str, attribute: str) -> Any:
        """What a class declares as a plain value; of one that comes with the package without importing it.

        Raises:
            LookupError: there is no such class.
        """
        if name in self.built_in and name not in self._registered:
            found = getattr(declared(f"{self.package}.{self.built_in[name]}"), attribute, NOT_PLAIN)
            if found is not NOT_PLAIN:
                return found
        return getattr(self.find(name), attribute)

    def _checked(self, name: str, path: str) -> type[T]:
        """Somebody else's class, if it is what it should be."""
        found = imported(path, self.kind, name)
        if not (inspect.isclass(found) and issubclass(found, resolve_name(self.base))):  # base: seconds of imports
            what = f"class {found.__name__}" if inspect.isclass(found) else type(found).__name__
            raise LookupError(
                f"{name!r} is no {self.kind}: expected a class derived from "
                f"{self.base.replace(':', '.')}, found a {what}"
            )
        missing = [word for word in ("name", "source") if not isinstance(getattr(found, word, None), str)]
        if missing:
            raise LookupError(f"{name!r} says no `{missing[0]}`: a text, as an attribute of the class")
        return found  # type: ignore[return-value]


def module_of(path: str) -> str:
    """The module's name in `my_file.MyMethod` or `my_file:MyMethod`."""
    return path.partition(":")[0] if ":" in path else path.rpartition(".")[0]


def imported(path: str, kind: str, name: str = "") -> Any:
    """What lies at a path, `my_file.MyMethod` or `my_file:MyMethod`; whatever goes wrong there is told as one line.

    Args:
        path: of it.
        kind: what it should be, for the message.
        name: that it goes by, where it isn't the path.

    Raises:
        LookupError: there is nothing, or importing it failed.
    """
    module = module_of(path)
    attribute = path[len(module) + 1 :]
    if not module or not attribute:
        raise LookupError(f"no {kind} at {name or path!r}: one of your own is written my_file.MyName")
    try:
        return resolve_name(f"{module}:{attribute}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a file may raise anything, `sys.exit` included
        raise LookupError(f"no {kind} at {name or path!r}: {_reason(error, module, attribute)}") from error


def _reason(error: BaseException, module: str, attribute: str) -> str:
    """Why there is nothing at a path: no such file, no such thing in it, or its code failed."""
    if "/" in module or module.endswith(".py") or attribute == "py":
        return "write it as Python imports it, my_file.MyName, from the folder that holds my_file.py"
    if wrong := [part for part in (*module.split("."), *attribute.split(".")) if not part.isidentifier()]:
        return f"Python imports no {wrong[0]!r}: names of files and classes are letters, digits and _ (rename the file)"
    absent = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    if absent and f"{module}.".startswith(f"{absent}."):
        package, _, last = absent.rpartition(".")
        if found := sys.modules.get(package):  # which may be another one than the user means
            where = getattr(found, "__file__", None) or ", ".join(getattr(found, "__path__", [package]))
            return f"no module {last!r} in {where}"
        return f"there is no {absent}.py in {Path.cwd()}, and no package of that name"
    found, part = sys.modules.get(module), attribute.partition(".")[0]
    if isinstance(error, AttributeError) and found is not None and not hasattr(found, part):
        there = {name: value for name, value in vars(found).items() if not name.startswith("_")}
        own = sorted(name for name, value in there.items() if _made_in(module, value))
        near = get_close_matches(part, own, n=3, cutoff=0.5) or own[:20]
        hint = f"did you mean {' or '.join(near)}?" if near else "nothing is defined there"
        return f"no {part!r} in {getattr(found, '__file__', None) or f'the module {module}'}: {hint}"
    return f"importing it ended with {type(error).__name__}: {error}"


def _made_in(module: str, value: object) -> bool:
    """Whether a class or function is defined in a module, or is an instance; what is imported has a name of its own."""
    if hasattr(value, "__name__"):
        return getattr(value, "__module__", "") == module
    return type(value).__module__ != "__future__"


@cache
def declared(path: str) -> type:
    """A stand-in for a class of this package, with the plain values and docstring that stand in its file.

    Importing a method or data set takes seconds; what a list of them shows is there without. It inherits as the class
    does; attributes that are no plain values are `NOT_PLAIN`.

    Args:
        path: `module:Class`; the class may also be one that the module imports from within the package.
    """
    module, _, name = path.partition(":")
    body = _parsed(module).body
    node = next((one for one in body if isinstance(one, ast.ClassDef) and one.name == name), None)
    if node is None:
        sources = [one for one in body if isinstance(one, ast.ImportFrom) and name in {a.name for a in one.names}]
        ours = [one.module for one in sources if one.module and one.module.startswith(f"{_PACKAGE}.")]
        return declared(f"{ours[0]}:{name}") if ours else object
    own: dict[str, Any] = {"__doc__": ast.get_docstring(node)}
    for line in node.body:
        target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
        value = getattr(line, "value", None)
        if isinstance(target, ast.Name) and value is not None and not target.id.startswith("__"):
            own[target.id] = _plain(value)
    bases = [declared(f"{module}:{base.id}") for base in node.bases if isinstance(base, ast.Name)]
    return type(name, tuple(dict.fromkeys(base for base in bases if base is not object)), own)


NOT_PLAIN = object()
"""Stands for a value that only the class itself knows."""


def _plain(value: ast.expr) -> Any:
    """What Python's literals say, and `frozenset({...})` of some."""
    try:
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "frozenset":
            return frozenset(*map(ast.literal_eval, value.args))
        return ast.literal_eval(value)
    except ValueError:
        return NOT_PLAIN


_PACKAGE = __name__.partition(".")[0]


@cache
def _parsed(module: str) -> ast.Module:
    place = Path(__file__).parent.joinpath(*module.split(".")[1:])
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def offered(group: str) -> dict[str, object]:
    """What installed packages offer under a group of entry points, loaded, by name; what doesn't load is told."""
    found = {}
    for entry in entry_points(group=group):
        try:
            found[entry.name] = imported(entry.value, f"entry of {group}", entry.name)
        except LookupError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    return found
