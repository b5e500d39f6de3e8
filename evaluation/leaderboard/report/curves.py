"""Learning curves of a run, from the CSV files that its attempts left."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

POINTS = 200
"""Steps of a logged value that a picture shows."""


def read(run: Path) -> pd.DataFrame:
    """Values that a run logged while it trained: columns `step`, `name`, `value`, sorted by name and step.

    A run that was interrupted has several attempts; where two logged the same step, the later one counts. Values that
    are no finite numbers are left out, files that can't be read too. A run without logs gives an empty frame.
    """
    import numpy as np
    import pandas as pd

    values: dict[tuple[str, int], float] = {}
    for file in sorted(run.glob("logs/attempt_*/metrics.csv"), key=_attempt):
        try:
            table = pd.read_csv(file, on_bad_lines="skip")
        except (OSError, ValueError):  # pandas' own errors are ValueErrors
            continue
        if "step" not in table:
            continue
        table = table.apply(pd.to_numeric, errors="coerce").replace([np.inf, -np.inf], np.nan)
        table = table.dropna(subset=["step"])
        for name in table.columns.difference(["step", "epoch"]):
            if "@" in str(name):  # a protocol's figure, logged when the run ended
                continue
            seen = table[["step", name]].dropna()
            values |= {(str(name), int(step)): float(value) for step, value in seen.to_numpy()}
    lines = [(step, name, value) for (name, step), value in sorted(values.items())]
    return pd.DataFrame.from_records(lines, columns=["step", "name", "value"])


def thin(curve: pd.DataFrame, points: int = POINTS) -> pd.DataFrame:
    """At most `points` lines a name, evenly picked, and the last one."""
    import pandas as pd

    kept = [part.iloc[:: math.ceil(len(part) / points)] for _, part in curve.groupby("name")]
    kept += [part.tail(1) for _, part in curve.groupby("name")]
    return pd.concat(kept).drop_duplicates(["name", "step"]).sort_values(["name", "step"]) if kept else curve


def _attempt(file: Path) -> int:
    number = file.parent.name.removeprefix("attempt_")
    return int(number) if number.isdigit() else -1
