"""A forecast of the time that judging an encoder takes, and its progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import torch
from tqdm import tqdm

from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.execution.measure import images_of
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.evaluation.features import device_of, images_at_once, inference_mode
from disentangle_bench.evaluation.metrics.arrays import not_finite
from disentangle_bench.evaluation.records import find_records
from disentangle_bench.files import printable
from disentangle_bench.methods.pretrained.encoder import Encoder

SAMPLE = 32
"""Images that the encoder's speed is told from."""


def spaces_of(encoder: Encoder, data: ImageDataModule) -> tuple[dict[str, int], float]:
    """Width of each space, and seconds that encoding every split will take, from a batch of its images.

    Raises:
        ValueError: the network doesn't take these images, or returns something else than named spaces, or values that
            aren't finite.
    """
    test = data.splits["test"]
    count = min(SAMPLE, len(test), images_at_once(data.image_shape, encoder.image_shape))
    images = torch.from_numpy(test.take(torch.arange(count).numpy())).to(device_of(encoder))
    with inference_mode(encoder):
        spaces = encoder.embed(images)  # the first pass also chooses algorithms
        for name, values in spaces.items():
            if (wrong := not_finite(values.float().cpu().numpy())) is not None:
                raise ValueError(f"its {name} of image {wrong[1]} of the test split are NaN or infinite")
        took = []
        for _ in range(3):
            start = time.perf_counter()
            encoder.embed(images)[next(iter(spaces))].cpu()
            took.append((time.perf_counter() - start) / len(images))
    origins = images_of(data)
    count = sum(len(split) for name, split in data.splits.items() if name not in origins)
    return {name: int(values.shape[1]) for name, values in spaces.items()}, min(took) * count


def expected_seconds(out: Path, dataset: str, measures: Iterable[str]) -> tuple[dict[str, float], list[str]]:
    """Median seconds a space of each measure in the records of a folder, and the measures that have none there."""
    known: dict[str, dict[tuple[str, str], float]] = {title: {} for title in measures}
    for path, record in find_records(out, deep=False)[0].items():
        if record["cell"]["dataset"] == dataset:
            for row in record["metrics"]:
                if row["measure"] in known and isinstance(row.get("seconds"), int | float):
                    place = (str(path), row["space"])
                    known[row["measure"]][place] = known[row["measure"]].get(place, 0.0) + row["seconds"]
    return {title: median(took.values()) for title, took in known.items() if took}, [t for t in known if not known[t]]


def forecast(out: Path, dataset: str, measures: list[str], spaces: dict[str, int], encoding: float) -> str:
    """A line on the measures, and on the time that they will take."""
    seconds, unknown = expected_seconds(out, dataset, measures)
    widths = ", ".join(f"{name} ({width})" for name, width in spaces.items())
    parts = [f"{len(measures)} measure{'s' * (len(measures) != 1)} in {widths}"]
    if encoding:
        parts.append(f"encoding takes about {duration(encoding)}")
    if seconds:
        slowest = max(seconds, key=lambda title: seconds[title])
        total = sum(seconds.values()) * len(spaces)
        parts.append(
            f"measuring about {duration(total)} going by earlier runs here, most of it {slowest}"
            + (f", and {', '.join(unknown)}, which took none yet" if unknown else "")
        )
    else:
        parts.append(f"how long measuring takes no earlier run here tells ({', '.join(unknown)})")
    return "; ".join(parts)


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class ProgressBar(ProgressFile):
    """Progress in the run's folder, and on the terminal as a bar with the time left."""

    def __init__(self, run: RunFolder):
        super().__init__(run)
        self._phase = ""
        hidden = terminal.hides_bars()
        self._bar = tqdm(file=terminal.bars(), disable=hidden, dynamic_ncols=True, leave=False, unit="batch")

    def update(self, phase: str, done: int = 0, total: int = 0, note: Callable[[], str] = str) -> None:
        """Say where the run is; the time left is that of the phase."""
        super().update(phase, done, total, note)
        if self._bar.disable:
            return
        if self._phase != phase:
            self._phase = phase
            self._bar.reset(total=total or None)
            self._bar.set_description(printable(phase), refresh=False)
        self._bar.n = done
        self._bar.refresh()

    def close(self) -> None:
        """Take the bar off the screen."""
        self._bar.close()
