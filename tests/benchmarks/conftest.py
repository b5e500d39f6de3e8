"""A cell small enough for a test, a launch into a temporary folder, and a folder with a user's network."""

import sys
from pathlib import Path

import pytest

from disentangle_bench.benchmarks.execution import run_cell
from disentangle_bench.benchmarks.execution.pretrained import downloads
from disentangle_bench.benchmarks.launchers import local
from disentangle_bench.benchmarks.launchers.base import ExitReport, Launch, prepare
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.planning.suite import choose
from tests.benchmarks.their_encoders import NETWORK

MEASURES = ["linear@1", "knn@1"]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(out=tmp_path / "runs", command="bench run", jobs=1, threads=1)


class Here:
    """A cell that runs in this process, as the launcher sees it."""

    def __init__(self, cell: Cell, launch: Launch):
        self.status = run_cell.main(prepare(cell, launch))

    def poll(self) -> ExitReport:
        return ExitReport(self.status)


@pytest.fixture
def here(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """A launch whose cells run in this process, where a test can get at them."""
    monkeypatch.setattr(local, "start", lambda cell, launch, slot: Here(cell, launch))
    monkeypatch.setattr(local.Starter, "poll_seconds", 0)
    return launch


@pytest.fixture
def cell() -> Cell:
    """SimCLR on the digits, 3 epochs of 2 steps."""
    return make_cell("simclr")


@pytest.fixture
def users_folder(tmp_path, monkeypatch):
    """Where the user works, with a file of theirs; modules of it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setenv("DISENTANGLE_BENCH_OFFLINE", "1")
    monkeypatch.setattr(downloads.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "their_network.py").write_text(NETWORK)
    yield tmp_path
    sys.modules.pop("their_network", None)


def make_cell(method: str, *settings: str, seed: int = 0, dataset: str = "digits") -> Cell:
    assignments = ["budget.epochs=3", "data.batch_size=512", *settings]
    suite = choose("smoke", method, dataset, str(seed), assignments)
    suite.measures = MEASURES
    (cell,) = plan(suite)
    return cell


def reason_of(outcome, cell) -> str:
    """Why a cell failed."""
    (reason,) = [reason for failed, reason in outcome.failed if failed.hash == cell.hash]
    return reason
