"""kill -9 in the middle of an epoch: the run goes on with the next batch, to the same weights and figures."""

import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from disentangle_bench import methods
from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.execution.callbacks import SAVE_SECONDS, GlobalStreams, StepCheckpoints
from disentangle_bench.benchmarks.execution.checkpoint_io import newest_intact
from disentangle_bench.benchmarks.launchers import local
from disentangle_bench.benchmarks.launchers.base import Launch
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.planning.suite import choose
from disentangle_bench.evaluation.records import read_record
from disentangle_bench.methods.simclr import SimCLR

MOST_STEPS_PER_EPOCH = 6
SETTINGS = {
    "simclr": [],
    "ip_irm": ["method.partition_every=1", "method.partition_epochs=2"],
    "contrastive_clustering": ["method.start=0.5"],
    "domain_contrastive": ["data.balance=color"],
}


def make_cell(method: str) -> Cell:
    assignments = ["budget.epochs=2", "data.batch_size=250", *SETTINGS[method]]
    suite = choose("smoke", method, "colored_digits", "0", assignments)
    suite.measures = ["knn@1"]
    (cell,) = plan(suite)
    return cell


def finish(cell: Cell, launch: Launch) -> tuple[list[dict], dict, dict[str, torch.Tensor]]:
    """Scores, counts of what was done, and all weights of a cell that is run to its end."""
    outcome = launchers.run("local", [cell], launch)
    assert not outcome.failed, outcome.failed
    folder = cell.folder(launch.out)
    record = read_record(folder / "result.json")
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in record["metrics"]]
    counts = {key: record["cost"][key] for key in ("images_seen", "forward_passes")}
    return rows, counts | {"encoder": record["provenance"]["encoder"]}, load_file(folder / "method.safetensors")


def saved_steps(folder: Path) -> list[int]:
    return sorted(int(path.stem.partition("=")[2]) for path in folder.glob("checkpoints/step=*.json"))


@pytest.mark.parametrize("method", SETTINGS)
def test_killed_in_mid_epoch_and_resumed_is_as_if_nothing_had_happened(method, launch, tmp_path, monkeypatch):
    cell = make_cell(method)
    straight = finish(cell, Launch(out=tmp_path / "straight", command="bench run", threads=1))

    monkeypatch.setenv(SAVE_SECONDS, "0")  # a checkpoint after every step
    folder = cell.folder(launch.out)
    process = local.start(cell, launch)
    while max(saved_steps(folder), default=0) < MOST_STEPS_PER_EPOCH + 1:  # with partitions, with centres
        assert process.poll() is None, (folder / "log.txt").read_text()
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    while process.poll() is None:
        time.sleep(0.01)
    saved = torch.load(newest_intact(folder / "checkpoints", cell.hash), weights_only=True)
    place = saved["TrainingView"]
    per_epoch = saved["global_step"] - place["batches"]
    assert place["epoch"] == 1
    assert 0 < place["batches"] < per_epoch, "the kill came too late to show anything"

    monkeypatch.setenv(SAVE_SECONDS, "1000")
    rows, counts, weights = finish(cell, launch)
    assert (rows, counts) == straight[:2]
    different = [name for name, tensor in straight[2].items() if not torch.equal(tensor, weights[name])]
    assert different == []


def test_stopped_after_an_epochs_end_a_run_of_so_many_steps_goes_on_with_the_next(here, tmp_path, monkeypatch):
    suite = choose("smoke", "simclr", "colored_digits", "0", ["budget.steps=13", "data.batch_size=250"])
    suite.measures = ["knn@1"]
    (cell,) = plan(suite)
    straight = finish(cell, Launch(out=tmp_path / "straight", command="bench run", threads=1))

    def broken(method, batch, batch_idx):
        if method.global_step == 7:
            raise RuntimeError("stopped")
        return step(method, batch, batch_idx)

    step = SimCLR.training_step
    monkeypatch.setattr(StepCheckpoints, "EPOCH_SECONDS", 0.0)
    monkeypatch.setattr(SimCLR, "training_step", broken)
    assert launchers.run("local", [cell], here).failed
    assert saved_steps(cell.folder(here.out)) == [5], "the end of the first epoch, and nothing later"
    monkeypatch.setattr(SimCLR, "training_step", step)
    rows, counts, weights = finish(cell, here)
    assert (rows, counts) == straight[:2]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in straight[2].items())


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in methods.BUILT_IN if methods.find(name).trains])
def test_every_method_goes_on_from_wherever_it_stopped(method, here, tmp_path, monkeypatch):
    """In mid-epoch, after an epoch's last step, and after the first of an epoch, within a budget of steps."""
    choice = ["budget.steps=8", "data.batch_size=250", *SETTINGS.get(method, [])]
    suite = choose("field", method, "colored_digits", "0", choice)
    suite.measures = ["knn@1"]
    (cell,) = plan(suite)
    rows, counts, weights = finish(cell, replace(here, out=tmp_path / "straight"))

    def stop(callback, trainer, *_):
        if trainer.global_step == last:
            raise RuntimeError("stopped")

    monkeypatch.setattr(StepCheckpoints, "EPOCH_SECONDS", 0.0)
    monkeypatch.setenv(SAVE_SECONDS, "0")
    for last in (3, 5, 6):
        launch = replace(here, out=tmp_path / str(last))
        with monkeypatch.context() as stopping:
            stopping.setattr(StepCheckpoints, "on_train_batch_start", stop)
            assert launchers.run("local", [cell], launch).failed
        assert max(saved_steps(cell.folder(launch.out))) == last
        again = finish(cell, launch)
        assert again[:2] == (rows, counts), f"stopped after step {last}"
        different = [name for name, tensor in weights.items() if not torch.equal(tensor, again[2][name])]
        assert different == [], f"stopped after step {last}"


def test_global_streams_go_on(tmp_path):
    """What draws from them (dropout, other people's code) goes on as well; the state needs no trust to be read."""

    def draw():
        return [*torch.rand(2).tolist(), random.random(), random.gauss(), np.random.rand(), np.random.randn()]  # noqa: NPY002

    random.gauss(), np.random.randn()  # noqa: NPY002  # which draw two, and keep the second
    torch.save(GlobalStreams().state_dict(), tmp_path / "streams.pt")
    expected, elsewhere = draw(), draw()
    resumed = GlobalStreams()
    resumed.load_state_dict(torch.load(tmp_path / "streams.pt", weights_only=True))
    resumed.on_train_start(SimpleNamespace(global_rank=0))
    assert draw() == expected != elsewhere


def test_each_process_goes_on_with_its_own_global_streams():
    """Also where there are more processes than before: they take turns."""
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states += GlobalStreams().state_dict()["ranks"]
    for rank, seed in ((0, 1), (1, 2), (2, 1)):
        resumed = GlobalStreams()
        resumed.load_state_dict({"ranks": states})
        resumed.on_train_start(SimpleNamespace(global_rank=rank))
        assert torch.initial_seed() == seed, rank
