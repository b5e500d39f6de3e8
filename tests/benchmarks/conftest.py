"""A cell small enough for a test, and a launch into a temporary folder."""

from pathlib import Path

import pytest

from disentangle_bench.benchmarks.launchers.base import Launch
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.planning.suite import choose

MEASURES = ["linear@1", "knn@1"]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(out=tmp_path / "runs", command="bench run", jobs=1, threads=1)


@pytest.fixture
def cell() -> Cell:
    """SimCLR on the digits, 3 epochs of 2 steps."""
    return make_cell("simclr")


def make_cell(method: str, *settings: str, seed: int = 0, dataset: str = "digits") -> Cell:
    assignments = ["budget.epochs=3", "data.batch_size=512", *settings]
    suite = choose("smoke", method, dataset, str(seed), assignments)
    suite.measures = MEASURES
    (cell,) = plan(suite)
    return cell
