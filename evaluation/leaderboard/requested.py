"""The table that a request ends with: its own runs among all that they can be compared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from disentangle_bench.evaluation.leaderboard.frame import budget_of

if TYPE_CHECKING:
    import pandas as pd

    from disentangle_bench.evaluation.records import Record

K = TypeVar("K")
MARK = " *"
"""After the name of a row of the request itself."""


def comparable(found: Mapping[K, Record], hashes: Collection[str]) -> dict[K, Record]:
    """The runs of a request and all others on the same data set that were allowed the same.

    Args:
        found: path -> record.
        hashes: of the request's cells.
    """
    asked = {_place(record) for record in found.values() if record["cell"]["hash"] in hashes}
    return {path: record for path, record in found.items() if _place(record) in asked}


def _place(record: Record) -> tuple[str, str]:
    return record["cell"]["dataset"], budget_of(record)


def marked(frame: pd.DataFrame, hashes: Collection[str]) -> pd.DataFrame:
    """A `leaderboard` frame with `MARK` behind the names of rows and curves that some of the cells stand in.

    Args:
        frame: of the leaderboard.
        hashes: of the request's cells.

    Returns:
        The frame itself, if they stand in all of its rows.
    """
    rows = list(zip(frame["dataset"], frame["method"], strict=True))
    own = {row for row, runs in zip(rows, frame["runs"], strict=True) if not {*runs}.isdisjoint(hashes)}
    if own == {*rows}:
        return frame

    def name(row: tuple[str, str]) -> str:
        return f"{row[1]}{MARK}" if row in own else row[1]

    shown = frame.assign(method=list(map(name, rows)))
    dials = []
    for curve in frame.attrs.get("dials", ()):  # which look their figures up in the frame, by the names of its rows
        names = {at: name((curve.dataset, row)) for at, row in curve.rows.items()}
        mark = "" if names == curve.rows else MARK
        dials.append(replace(curve, method=f"{curve.method}{mark}", rows=names))
    shown.attrs = frame.attrs | {"dials": dials}
    return shown
