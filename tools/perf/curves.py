"""Scaling curves: processor seconds at growing sizes, and the exponent of the power law that fits: `make scaling`.

Processor time of one thread, so that other work on the machine hardly counts; each point is the least of three.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate
from tqdm import tqdm

from disentangle_bench.evaluation import records
from disentangle_bench.evaluation.leaderboard.summary import leaderboard
from disentangle_bench.evaluation.metrics.probes import linear_probe
from disentangle_bench.methods.networks.backbones import backbone
from disentangle_bench.methods.objectives.contrastive import info_nce
from tools.perf.parts import clusters

BOARD = Path(__file__).parents[2] / "results" / "quick"
Task = Callable[[], object]


def step(images: int, edge: int = 32) -> Task:
    """Forward and backward pass of the convnet."""
    network = backbone("convnet", (3, edge, edge)).to(memory_format=torch.channels_last)
    batch = torch.rand(images, 3, edge, edge)
    return lambda: network(batch).square().mean().backward()


def loss(images: int) -> Task:
    """InfoNCE of two views, 128 wide, and its gradient."""
    views = [torch.nn.functional.normalize(torch.randn(images, 128), dim=1).requires_grad_() for _ in range(2)]
    return lambda: info_nce(views[0], views[1]).backward()


def probe(rows: int, classes: int = 10) -> Task:
    """The linear probe on features 128 wide, with ten strengths to choose from."""
    (x, y), (test_x, test_y) = clusters(rows, 128, classes), clusters(1_000, 128, classes, seed=1)
    return lambda: linear_probe(x, y, test_x, test_y, num_classes=classes, val=(test_x, test_y))


def board(count: int, seeds: int = 10, methods: int = 20) -> Task:
    """The leaderboard's figures from records in memory, copies of the quick suite's without outcomes by image."""
    known = list(records.find_records(BOARD)[0].values())
    made = {}
    for number in range(count):
        (row, seed), here = divmod(number, seeds), methods * seeds
        record = copy.copy(known[row % methods % len(known)])
        record["outcomes"] = None
        cell = {"dataset": f"data_{number // here}", "method": f"method_{row % methods}", "seed": seed}
        record["cell"] = record["cell"] | cell | {"hash": f"{number:016x}", "settings": f"{row % methods:016x}"}  # type: ignore[typeddict-item]
        made[Path(str(number))] = record
    return lambda: leaderboard(made)


CURVES: dict[str, tuple[Callable[[int], Task], tuple[int, ...]]] = {
    "images a batch": (step, (32, 64, 128, 256)),
    "pixels an edge": (lambda edge: step(32, edge), (32, 64, 128)),
    "images a batch, loss alone": (loss, (512, 1024, 2048)),
    "images that a probe learns from": (probe, (2_000, 8_000, 32_000)),
    "classes of a probe": (lambda classes: probe(4_000, classes), (4, 16, 64)),
    "records, ten seeds a method": (board, (1_000, 10_000, 100_000)),
    "seeds a method, 20 methods": (lambda seeds: board(20 * seeds, seeds), (5, 20, 80)),
    "methods of a data set, five seeds": (lambda methods: board(5 * methods, 5, methods), (10, 20, 40)),
}


def seconds(task: Task, times: int = 3) -> float:
    """Least processor time of a task."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        task()
        taken.append(time.process_time() - start)
        if taken[-1] > 10:  # long enough to be exact
            break
    return min(taken)


def exponent(sizes: tuple[int, ...], costs: list[float]) -> float:
    """Slope of the least-squares line through the logarithms: cost grows as size to this power."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def main() -> int:
    """Print a table of the curves that are named, or of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="make scaling", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help=f"curves whose name holds this: {'; '.join(CURVES)}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, (make, sizes) in tqdm(CURVES.items(), desc="scaling", disable=None):
        if options.only is None or options.only in name:
            costs = [seconds(make(size)) for size in sizes]
            points = ", ".join(f"{size:,}: {cost:.2g} s" for size, cost in zip(sizes, costs, strict=True))
            rows.append([name, points, f"{exponent(sizes, costs):.2f}"])
    if not rows:
        sys.exit(f"scaling: no curve's name holds {options.only!r}")
    print(tabulate(rows, ["grows", "processor seconds", "exponent"], tablefmt="pipe", disable_numparse=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
