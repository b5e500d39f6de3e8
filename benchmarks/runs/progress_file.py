"""What a running cell tells whoever watches: one small file, replaced as it goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from disentangle_bench.benchmarks import signals as stopping
from disentangle_bench.benchmarks.planning.cell import STATUS

NOTHING = {"phase": "starting", "done": 0, "total": 0, "note": ""}


class Status:
    """Writes `status.json` of a run's folder, at most twice a second.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path):
        self.path, self.since = folder / STATUS, time.time()
        self._written = 0.0

    def tell(self, phase: str, done: int = 0, total: int = 0, note: str = "") -> None:
        """Say where the run is: `done` of `total` steps of a phase (total 0: unknown).

        Raises:
            Interrupted: the process was asked to stop, and here it may.
        """
        stopping.check()
        now = time.monotonic()
        if now - self._written < 0.5 and 0 < done < total:
            return
        self._written = now
        self._write({"phase": phase, "done": done, "total": total, "note": note, "since": self.since})

    def stopped(self, reason: str) -> None:
        """Leave word that the run ended because it was asked to."""
        self._write(read_status(self.path.parent) | {"stopped": reason})

    def _write(self, content: dict[str, Any]) -> None:
        beside = self.path.with_suffix(".tmp")
        beside.write_text(json.dumps(content))
        beside.replace(self.path)

    def wrap(self, batches: Iterable, phase: str) -> Iterator:
        """Iterate over batches and tell how far it got."""
        total = len(batches)  # type: ignore[arg-type]
        for done, batch in enumerate(batches):
            self.tell(phase, done, total)
            yield batch


def read_status(folder: Path) -> dict[str, Any]:
    """The last thing a run told; phase `starting` if it hasn't yet."""
    try:
        return NOTHING | json.loads((folder / STATUS).read_text())
    except (OSError, ValueError):
        return NOTHING
