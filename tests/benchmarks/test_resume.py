"""kill -9 at any moment, then the same command: the record is that of an uninterrupted run, digit for digit."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.execution import callbacks, run_cell
from disentangle_bench.benchmarks.execution.callbacks import SAVE_SECONDS, TrainingProgress
from disentangle_bench.benchmarks.execution.checkpoint_io import newest_intact
from disentangle_bench.benchmarks.execution.costs import Meter
from disentangle_bench.benchmarks.launchers import local
from disentangle_bench.benchmarks.launchers.base import Launch, prepare
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.folder import ExitStatus, RunFolder
from disentangle_bench.evaluation.records import read_record


def finish(cell: Cell, launch: Launch) -> list[dict]:
    outcome = launchers.run("local", [cell], launch)
    assert not outcome.failed, outcome.failed
    rows = read_record(cell.folder(launch.out) / "result.json")["metrics"]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def before_a_checkpoint(folder: Path) -> bool:
    return RunFolder(folder).read_progress().phase == "train" and not list(folder.glob("checkpoints/*.json"))


def in_mid_training(folder: Path) -> bool:
    return bool(list(folder.glob("checkpoints/step=2.json"))) and not (folder / "trained.json").exists()


def in_evaluation(folder: Path) -> bool:
    return (folder / "trained.json").exists()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, cell_for_module):
    launch = Launch(out=tmp_path_factory.mktemp("whole"), command="bench run", threads=1)
    return finish(cell_for_module, launch)


@pytest.fixture(scope="module")
def cell_for_module():
    from tests.benchmarks.conftest import make_cell

    return make_cell("simclr")


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGKILL, before_a_checkpoint),
        (signal.SIGKILL, in_mid_training),
        (signal.SIGKILL, in_evaluation),
        (signal.SIGTERM, before_a_checkpoint),
        (signal.SIGTERM, in_evaluation),
    ],
)
def test_ended_run_goes_on_to_the_same_figures(number, moment, cell_for_module, launch, uninterrupted, monkeypatch):
    if moment is in_mid_training:  # so short a run would else be saved at its end only
        monkeypatch.setenv(SAVE_SECONDS, "0.001")
    cell, folder = cell_for_module, cell_for_module.folder(launch.out)
    process = local.start(cell, launch)
    while not moment(folder):
        assert process.poll() is None, (folder / "log.txt").read_text()
        time.sleep(0.002)
    os.kill(process.pid, number)
    while process.poll() is None:
        time.sleep(0.01)
    if number == signal.SIGTERM:
        assert process.exitcode() == ExitStatus.INTERRUPTED
        assert RunFolder(folder).read_progress().stopped == "SIGTERM"
        assert moment is in_evaluation or list(folder.glob("checkpoints/*.json")), "what was trained is lost"
        assert not (folder / ".lock").exists()
        assert not (folder / "failure.json").exists()
    assert not (folder / "result.json").exists(), "the kill came too late to show anything"
    assert finish(cell, launch) == uninterrupted


def test_another_seed_gives_other_figures(launch, uninterrupted):
    from tests.benchmarks.conftest import make_cell

    assert finish(make_cell("simclr", seed=1), launch) != uninterrupted


def test_locked_cell_is_left_alone(cell, launch):
    from filelock import FileLock

    folder = cell.folder(launch.out)
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        assert run_cell.main(RunFolder(folder)) == ExitStatus.LOCKED


def test_a_run_that_broke_off_goes_on_after_its_last_checkpoint_and_its_costs_add_up(cell, launch, monkeypatch):
    """To train all of it again would give the same figures, and cost what had been trained."""
    steps, streams = [], []

    def follow(callback, trainer, *_):
        steps.append(trainer.global_step)
        if steps == [1, 2, 3, 4]:
            raise RuntimeError("power cut")

    used = {"seconds": 10.0, "cpu_seconds": 8.0, "peak_memory_mb": 30.0, "energy_j": None}
    monkeypatch.setattr(Meter, "read", lambda meter: dict(used))
    monkeypatch.setenv(SAVE_SECONDS, "0")
    monkeypatch.setattr(TrainingProgress, "on_train_batch_end", follow)
    run = prepare(replace(cell, measures=["knn@1"]), launch)
    assert run_cell.main(run) == ExitStatus.FAILED
    saved = torch.load(newest_intact(run.checkpoints, cell.hash), weights_only=True)
    monkeypatch.setattr(TrainingProgress, "on_train_batch_start", lambda *_: streams.append(torch.get_rng_state()))
    assert run_cell.main(run) == ExitStatus.DONE
    assert steps == [1, 2, 3, 4, 4, 5, 6]
    assert torch.equal(streams[0], saved["callbacks"]["GlobalStreams"]["ranks"][0]["torch"])
    cost = read_record(run.record)["cost"]
    assert (cost["train_seconds"], cost["ranks"][0]["cpu_seconds"], cost["images_seen"]) == (20.0, 16.0, 6 * 512)


def test_checkpoints_come_as_often_as_asked_sooner_at_an_epochs_end_and_always_at_the_last(tmp_path, monkeypatch):
    clock, saved = SimpleNamespace(now=0.0, moment=""), []
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: clock.now))
    trainer = SimpleNamespace(is_global_zero=True, is_last_batch=False, global_step=0, current_epoch=0)
    trainer.fit_loop, trainer.lightning_module = SimpleNamespace(done=False), torch.nn.Linear(1, 1)
    trainer.save_checkpoint = lambda path: saved.append((clock.now, clock.moment))
    watch = callbacks.StepCheckpoints(RunFolder(tmp_path), every=20)

    def step(now, last=False, done=False):
        clock.now, trainer.is_last_batch, trainer.fit_loop.done = now, last, done
        trainer.global_step += 1
        clock.moment = "step"
        watch.on_train_batch_end(trainer, None, torch.tensor(1.0), {"index": torch.arange(2)}, 0)
        if last:
            clock.moment = "epoch"
            watch.on_train_epoch_end(trainer, None)

    for now in (10, 19, 20, 39, 40):
        step(now)
    assert saved == [(20, "step"), (40, "step")]
    for now in (44, 46, 50, 80):
        step(now, last=True)
    step(81, last=True, done=True)
    assert saved[2:] == [(46, "epoch"), (80, "epoch"), (81, "epoch")], "where nothing of an epoch is in flight"
