"""Progress of a running cell: one small file, replaced as it goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from disentangle_bench.benchmarks.runs.folder import Progress, RunFolder
from disentangle_bench.files import write_file


class ProgressFile:
    """Writes the progress file of a run, at most twice a second within a phase.

    Args:
        run: its folder.
    """

    def __init__(self, run: RunFolder):
        self.run, self.since = run, time.time()
        self._written = 0.0

    def update(self, phase: str, done: int = 0, total: int = 0, note: Callable[[], str] = str) -> None:
        """Say where the run is: `done` of `total` steps of a phase (total 0: unknown).

        `note` is asked only when something is written: a loss on a GPU would have to be waited for each time.
        """
        now = time.monotonic()
        if now - self._written < 0.5 and 0 < done < total:
            return
        self._written = now
        self._write(Progress(phase, done, total, note(), self.since))

    def stopped(self, reason: str) -> None:
        """Leave word that the run ended because it was asked to."""
        self._write(replace(self.run.read_progress(), stopped=reason))

    def _write(self, progress: Progress) -> None:
        write_file(self.run.progress, json.dumps(asdict(progress)), synced=False)
