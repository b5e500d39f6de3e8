"""From names in a request to code: classes, measures, and parts that somebody has written themselves.

Importing a class of ours takes seconds; a wrong name is told without.
"""

from __future__ import annotations

from functools import cache, partial
from inspect import getsourcefile, isclass, isroutine, unwrap
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks import own_code
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.planning.cell import content_hash
from disentangle_bench.evaluation.protocol import MEASURES, newest, register
from disentangle_bench.files import digest
from disentangle_bench.registry import imported, similar

if TYPE_CHECKING:
    from disentangle_bench.benchmarks.planning.suite import Suite

PACKAGE = "disentangle_bench"


def check_names(suite: Suite) -> None:
    """RequestError for a method, data set, measure or addressee of settings that is none; imports none of ours."""
    own_code.allow(Path.cwd())
    known = {"data", "method"}
    wanted = {("method", methods): _methods(suite), ("dataset", datamodules): _datasets(suite)}
    for (kind, registry), names in wanted.items():
        there = set(registry.available())
        for name in dict.fromkeys(names):
            if name not in there:
                find_class(registry, kind, name)
        known |= {*there, *names}
    if wrong := [addressee for addressee in suite.settings if addressee not in known]:
        other = f": expected data, method, or the name of a method or data set, as in method.{wrong[0]:.200}"
        raise RequestError(f"settings: unknown addressee {wrong[0]!r:.200}{similar(wrong[0], known) or other}")
    resolve_measures(suite.measures)


def names_own_code(suite: Suite) -> bool:
    """Whether a suite names methods, data sets or measures of somebody's own by their path, `my_file.MyMethod`."""
    return any(map(_is_path, (*_methods(suite), *_datasets(suite), *suite.measures)))


def _methods(suite: Suite) -> list[str]:
    return [*([] if suite.methods == "all" else suite.methods), *(one.method for one in suite.experiments)]


def _datasets(suite: Suite) -> list[str]:
    return [*suite.datasets, *(one.dataset for one in suite.experiments)]


def _is_path(name: str) -> bool:
    return "." in name or ":" in name


def find_class(registry: Any, kind: str, name: str) -> Any:
    """The class of a name in a registry (`methods` or `datamodules`).

    Raises:
        RequestError: there is none (with the nearest names), or the user's file doesn't run.
    """
    try:
        return registry.find(name)
    except LookupError as error:
        if Path(f"{name}.py").is_file():
            raise RequestError(f"{kind} {name!r}: name the class in {name}.py too, {name}.CLASS") from error
        known = registry.available()
        raise RequestError(str(error)) if _is_path(name) or name in known else unknown(kind, name, known) from error


def own_measures(names: list[str]) -> list[str]:
    """Those of the names of measures that are paths to somebody's own, such as `my_file.depth`."""
    return [name for name in names if _is_path(name)]


def import_measures(paths: list[str]) -> dict[str, str]:
    """Take in measures of somebody's own: path -> title. RequestError for a path at which there is none."""
    try:
        return {path: register(imported(path, "measure"), path) for path in paths}
    except (LookupError, ValueError) as error:
        raise RequestError(str(error)) from error


def resolve_measures(names: list[str]) -> list[str]:
    """Titles of measures; one named without a version is the newest. RequestError for a name that is none."""
    own = import_measures(own_measures(names))
    names = [own.get(name, name) for name in names]
    versions = {title.partition("@")[0]: title for title in newest()}
    for name in names:
        if name not in MEASURES and name not in versions:
            if Path(f"{name}.py").is_file():
                raise RequestError(f"measure {name!r}: name the measure in {name}.py too, {name}.MEASURE")
            raise unknown("measure", name, [*MEASURES, *versions])
    return list(dict.fromkeys(versions.get(name, name) for name in names))


def own_parts(method_options: dict[str, Any], where: str) -> list[Any]:
    """The user's own parts of a method: its backbone, its views."""
    from disentangle_bench.methods.networks.backbones import is_own
    from disentangle_bench.methods.views import views_of

    found: list[Any] = []
    try:
        if is_own(str(method_options.get("backbone", ""))):
            found.append(imported(method_options["backbone"], "backbone"))
            if not (isclass(found[0]) or isroutine(found[0])):
                kind = type(found[0]).__name__
                raise ValueError(f"backbone {method_options['backbone']}: expected a class or a function, got a {kind}")
        if method_options.get("own_views"):
            found.append(type(views_of(method_options["own_views"])))
    except (LookupError, ValueError) as error:
        raise RequestError(f"{where}: {error}") from error
    return found


def source_hash(*parts: Any, weights: Path | None = None) -> str:
    """Hash of the files that these are made by, see `own_texts`, and of one of weights; empty if there are none."""
    contents = [text for _, text in own_texts(*parts)]
    if weights:
        found = weights.stat()
        contents.append(_digest(weights, found.st_mtime_ns, found.st_size))
    return content_hash(contents) if contents else ""


@cache
def _digest(weights: Path, changed: int, size: int) -> str:
    """Digest of a file of weights, computed once while it doesn't change: many cells may start from a large one."""
    return digest(weights)


def initial_weights(method_options: dict[str, Any]) -> Path | None:
    """The file that a method's encoder starts from (option `init`), if one is named and there."""
    init = method_options.get("init")
    return Path(init) if isinstance(init, str) and init != "timm" and Path(init).is_file() else None


def own_texts(*parts: Any) -> list[tuple[str, str]]:
    """(name, content) of the files that classes or functions outside of this package are made by.

    Those that define them and their bases, and what these import from beside them, see `own_code.with_imports`.

    Raises:
        RequestError: one was defined in no file.
    """
    files: set[Path] = set()
    for part in filter(is_outside, map(_definition, parts)):
        bases = takewhile(is_outside, getattr(part, "__mro__", ()))
        try:
            files |= own_code.with_imports(part.__module__, _file_of(part))
            files |= {_file_of(base) for base in bases if not own_code.is_installed(base.__module__)}
        except (TypeError, OSError) as error:
            raise RequestError(
                f"{part.__qualname__}: code needs a file, whose content is part of a run's hash"
            ) from error
    return own_code.texts(files)


def _file_of(part: Any) -> Path:
    if (file := getsourcefile(part)) is None:
        raise OSError
    return Path(file)


def is_outside(part: Any) -> bool:
    return part.__module__.partition(".")[0] != PACKAGE


def _definition(part: Any) -> Any:
    """The class or function that was written down: of a `partial`, a decorated function or an instance, too."""
    while isinstance(part, partial):
        part = part.func
    part = unwrap(part)
    return part if isclass(part) or isroutine(part) else type(part)
