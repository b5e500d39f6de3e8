"""Files of claims: what papers say, as comparisons between rows of a suite's table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from disentangle_bench.benchmarks import own_code
from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.planning import suite
from disentangle_bench.evaluation.leaderboard.claims import Claim, Side
from disentangle_bench.evaluation.leaderboard.frame import COST
from disentangle_bench.json_files import from_dict

FOLDER = Path(__file__).parents[1] / "claims"


@dataclass
class File:
    """One paper's claims.

    Attributes:
        paper: whose.
        suite: whose runs decide, where a claim doesn't say otherwise.
        seeds: of these runs.
        claims: see `evaluation.leaderboard.claims.Claim`.
    """

    paper: str
    suite: str
    seeds: list[int]
    claims: list[Claim]


def names() -> list[str]:
    """Files of claims that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def shipped() -> dict[str, list[Claim]]:
    """Claims that ship with the package, by their files' names; whether their suites have such rows is not asked."""
    return {name: _file(FOLDER / f"{name}.yaml") for name in names()}


def read(chosen: list[str]) -> list[Claim]:
    """Claims by their own names, by a file's name, or from YAML files; all that ship with the package if none is named.

    Raises:
        RequestError: there is none of that name, or two that differ; a file says something wrong, or its suite has no
            such rows, measures or seeds; the message names the claim.
    """
    files = shipped()
    known = {claim.name: claim for claims in files.values() for claim in claims}
    found: dict[str, Claim] = {}
    for name in chosen or list(files):
        if name in files:
            picked = files[name]
        elif name in known:
            picked = [known[name]]
        elif name.endswith((".yaml", ".yml")):
            picked = [replace(claim, file=name) for claim in _file(Path(name))]
        else:
            raise unknown("claim", name, [*files, *known])
        for claim in picked:
            if found.setdefault(claim.name, claim) != claim:
                places = " and ".join(one.file or "the package" for one in (found[claim.name], claim))
                raise RequestError(f"claim {claim.name}: {places} have different claims of this name")
    suites = {name: suite.read(name) for name in dict.fromkeys(claim.suite for claim in found.values())}
    return [_checked(claim, suites[claim.suite]) for claim in found.values()]


def _checked(claim: Claim, of: suite.Suite) -> Claim:
    """The claim with somebody's own named as tables do, for their paths.

    Raises:
        RequestError: its rows, measures or scores are not those of its suite.
    """
    from disentangle_bench import datamodules, methods
    from disentangle_bench.benchmarks.planning.lookup import resolve_measures
    from disentangle_bench.evaluation.protocol import MEASURES

    where = f"claim {claim.name}: "
    own_code.allow(Path.cwd())
    called = _called(methods, "method", methods.available() if of.methods == "all" else of.methods)
    called_data = _called(datamodules, "dataset", [*of.datasets, *(one.dataset for one in of.experiments)])
    measures = resolve_measures(of.measures)
    dataset = called_data.get(claim.dataset, claim.dataset)
    claim = replace(
        claim,
        dataset=dataset,
        a=replace(claim.a, row=called.get(claim.a.row, claim.a.row)),
        b=replace(claim.b, row=called.get(claim.b.row, claim.b.row)),
    )
    rows = set(called.values()) if dataset in [called_data[name] for name in of.datasets] else set()
    rows |= {one.label for one in of.experiments if called_data[one.dataset] == dataset}
    if strangers := set(claim.seeds) - set(of.seeds):
        raise RequestError(f"{where}suite {claim.suite} has no seed {min(strangers)}")
    for side in (claim.a, claim.b):
        if not side.row:
            continue
        if side.row not in rows:
            raise RequestError(where + str(unknown(f"row of {claim.dataset} in suite {claim.suite}", side.row, rows)))
        measure, score, _ = claim.figure(side)
        if measure == COST:
            continue
        if measure not in measures:
            raise RequestError(where + str(unknown(f"measure of suite {claim.suite}", measure, measures)))
        if score not in MEASURES[measure].scores:
            raise RequestError(where + str(unknown("score", score, MEASURES[measure].scores)))
    return claim


def _called(registry: Any, kind: str, listed: Iterable[str]) -> dict[str, str]:
    """Names of methods or data sets in tables, by the names that a suite has for them."""
    from disentangle_bench.benchmarks.planning.lookup import find_class

    return {name: find_class(registry, kind, name).name if "." in name else name for name in listed}


def _file(path: Path) -> list[Claim]:
    """The claims of one file, every key and value checked."""
    where = f"claims file {path}"
    content = suite.content_of(path, where)
    own = {key: content[key] for key in ("paper", "suite", "seeds") if key in content}
    given = content.get("claims")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise RequestError(f"{where}: `claims` must be a list of mappings")
    _only(File, content, where)
    for one in given:
        at = f"{where}, claim {one.get('name')}"
        _only(Claim, one, at)
        for side in ("a", "b"):
            _only(Side, one.get(side), f"{at}, {side}")
    try:
        found = from_dict(File, content | {"claims": [own | one for one in given]}, where).claims
    except ValueError as error:  # BadJson is one
        raise RequestError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
    names_found = [claim.name for claim in found]
    if twice := [name for name in names_found if names_found.count(name) > 1]:
        raise RequestError(f"{where}: two claims are called {twice[0]!r}")
    return found


def _only(cls: type, given: Any, where: str) -> None:
    """Raise RequestError for a key that the dataclass doesn't have."""
    known = [field.name for field in fields(cls) if field.name != "file"]  # type: ignore[arg-type]
    for key in given if isinstance(given, dict) else ():
        if key not in known:
            raise RequestError(f"{where}: {unknown('key', str(key), known)}")
