"""Files of claims: what papers say, as comparisons between rows of a suite's table."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from jsonargparse.typing import NonNegativeInt

from disentangle_bench.benchmarks.errors import RequestError, unknown
from disentangle_bench.benchmarks.planning import options, suite
from disentangle_bench.evaluation.leaderboard.claims import Claim, Side
from disentangle_bench.evaluation.leaderboard.frame import COST

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
    seeds: list[NonNegativeInt]
    claims: list[dict[str, Any]]


def names() -> list[str]:
    """Files of claims that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(chosen: list[str]) -> list[Claim]:
    """Claims by their own names, by a file's name, or from YAML files; all that ship with the package if none is named.

    Raises:
        RequestError: there is none of that name, or a file says something wrong; the message names file and claim.
    """
    shipped = {name: _file(FOLDER / f"{name}.yaml") for name in names()}
    known = {claim.name: claim for claims in shipped.values() for claim in claims}
    found: dict[str, Claim] = {}
    for name in chosen or list(shipped):
        if name in shipped:
            picked = shipped[name]
        elif name in known:
            picked = [known[name]]
        elif name.endswith((".yaml", ".yml")):
            picked = _file(Path(name))
        else:
            raise unknown("claim", name, [*shipped, *known])
        found |= {claim.name: claim for claim in picked}
    return list(found.values())


def check(claim: Claim, rows: set[tuple[str, str]]) -> None:
    """Raise RequestError unless rows (data set, label), measures and scores of a claim are there.

    Args:
        claim: to check.
        rows: of the table of its suite.
    """
    from disentangle_bench.evaluation.protocol import MEASURES

    for side in (claim.a, claim.b):
        where = f"claim {claim.name}: "
        if side.row and (claim.dataset, side.row) not in rows:
            raise RequestError(where + str(unknown("row", side.row, {label for _, label in rows})))
        measure, score, _ = claim.figure(side)
        if measure == COST:
            continue
        if measure not in MEASURES:
            raise RequestError(where + str(unknown("measure", measure, MEASURES)))
        if score not in MEASURES[measure].scores:
            raise RequestError(where + str(unknown("score", score, MEASURES[measure].scores)))
        if side.row and measure not in suite.read(claim.suite).measures:
            raise RequestError(f"{where}suite {claim.suite} does not take {measure}")


def _file(path: Path) -> list[Claim]:
    """The claims of one file, every key and value checked."""
    where = f"claims file {path}"
    content = suite.content_of(path, where)
    file = _made(File, content, where)
    found: list[Claim] = []
    for number, given in enumerate(file.claims, 1):
        at = f"{where}, claim {given.get('name', number)}"
        sides = {key: asdict(_made(Side, given.get(key), f"{at}, {key}")) for key in ("a", "b")}
        own = {"paper": file.paper, "suite": file.suite, "seeds": file.seeds}
        found.append(_made(Claim, own | given | sides, at))
    names_found = [claim.name for claim in found]
    if twice := [name for name in names_found if names_found.count(name) > 1]:
        raise RequestError(f"{where}: two claims are called {twice[0]!r}")
    return found


def _made(cls: Any, given: Any, where: str) -> Any:
    """An instance of a dataclass from plain values."""
    if not isinstance(given, dict):
        raise RequestError(f"{where}: a mapping was expected, got {given!r}")
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in needed if name not in given]:
        raise RequestError(f"{where}: `{missing[0]}` is missing")
    try:
        return cls(**options.instantiate(cls, options.resolve(cls, given, where)))
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, RequestError) else RequestError(f"{where}: {error}") from error
