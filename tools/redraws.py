"""Check the recorded leakage: `python -m tools.redraws RUNS` prints it beside two other estimates, for each space.

`training images`: leakage by adversaries fitted on the method's training images, which are few, and in which class and
colour are correlated. `new draws`: by adversaries fitted on as many images as the suite's probe split has, drawn anew
(training images with replacement, each in a random hue). `rising`: gain by the last doubling of the new draws; above 2
the figure is a lower bound.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.datasets.digits import ColoredDigits
from disentangle_bench.datamodules.splits.colouring import Painted
from disentangle_bench.datamodules.splits.probe import MADE_FROM
from disentangle_bench.evaluation.metrics.invariance.leakage import domain_leakage
from disentangle_bench.methods.pretrained.loading import load_encoder

HUES = 10
WHERE: tuple[tuple[SplitName, SplitName], ...] = (("train", "val"), ("probe", "probe_val"))
"""Splits on which adversaries are fitted, and on which the strongest is selected."""
HEADER = ["method", "seed", "space", "training images", "recorded", "new draws", "rising"]


def redraw(split: Split, count: int, generator: np.random.Generator) -> Split:
    """`count` images of a coloured split, with replacement, each in a hue of its own."""
    grey = split.take(np.arange(len(split))).max(axis=1, keepdims=True)  # one channel of a pure hue is 1
    hues = generator.integers(HUES, size=count)
    return Split(Painted(grey, hues, HUES, generator.integers(len(split), size=count)), {"color": hues})


def rows(runs: Path, seed: int) -> Iterator[list[str | float]]:
    """Rows of the table (see `HEADER`, figures in %): one for each space with a leakage of runs on coloured digits."""
    for path in sorted(runs.glob("colored_digits/*/*/result.json")):
        record = json.loads(path.read_text())
        data = ColoredDigits(**record["config"]["data"])
        data.setup()
        generator = np.random.default_rng(seed)
        splits = dict(data.splits)
        for name, origin in MADE_FROM.items():
            splits[name] = redraw(splits[origin], len(splits[name]), generator)
        encoder = load_encoder(path.parent)
        spaces = {name: _encoded(encoder, split) for name, split in splits.items()}
        hues = {name: split.targets["color"] for name, split in splits.items()}
        for row in record["metrics"]:
            if row["measure"].startswith("leakage@") and row["scores"]:
                x = {name: found[row["space"]] for name, found in spaces.items()}
                old, new = (
                    domain_leakage(
                        x[fit], hues[fit], x["test"], hues["test"], num_domains=HUES, val=(x[pick], hues[pick])
                    )
                    for fit, pick in WHERE
                )
                shares = (old["normalized"], row["scores"]["leakage"], new["normalized"], new["rising"])
                yield [record["cell"]["method"], record["cell"]["seed"], row["space"], *(100 * s for s in shares)]


def _encoded(encoder: torch.nn.Module, split: Split) -> dict[str, np.ndarray]:
    """Space -> float32 [N, d]."""
    images = torch.from_numpy(split.take(np.arange(len(split))))
    with torch.no_grad():
        parts = [encoder(block) for block in images.split(512)]
    return {space: torch.cat([part[space] for part in parts]).float().numpy() for space in parts[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of runs, such as results/runs")
    parser.add_argument("--seed", type=int, default=1, help="of the new draws")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(tabulate(list(rows(arguments.runs, arguments.seed)), HEADER, floatfmt=".1f"))


if __name__ == "__main__":
    main()
