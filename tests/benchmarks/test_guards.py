"""A run whose loss is NaN ends with a reason, leaves what a replay needs, and the replay names the operation."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from disentangle_bench.benchmarks import launchers, machine
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.execution.callbacks import SAVE_SECONDS
from disentangle_bench.benchmarks.execution.checkpoint_io import newest_intact
from disentangle_bench.benchmarks.execution.nonfinite import Finding, Operations
from disentangle_bench.benchmarks.launchers.base import prepare
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.planning.suite import choose
from disentangle_bench.json_files import write_json
from tests.benchmarks.conftest import reason_of

METHODS = """
from torch import nn

from disentangle_bench.methods.base import Method


class Exploding(Method):
    source = "a method that goes wrong at its eighth step"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = nn.Linear(self.num_features, 1)

    def training_step(self, batch, batch_idx):
        (view,) = self.views(batch, 1)
        out = self.head(self.backbone(view)).square().mean()
        return self.explode(out) if self.global_step == 7 else out


class Forward(Exploding):
    name = "forward"

    def explode(self, out):
        return out + (out - out).log() - (out - out).log()


class Backward(Exploding):
    name = "backward"

    def explode(self, out):
        return out + (out - out).sqrt()  # 0, with an infinite slope that out feels twice, once negative
"""
CASES = {
    "Forward": (
        "the loss is NaN or infinite at step 7",
        "forward pass of the method itself: torch.Tensor.sub gave NaN",
    ),
    "Backward": (
        "weights are NaN or infinite at step 7",
        "backward pass: Function 'MeanBackward0' returned nan values",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_that_goes_wrong_is_stopped_and_replayed(name, launch, tmp_path, monkeypatch, capsys):
    (tmp_path / "exploding.py").write_text(METHODS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(SAVE_SECONDS, "0")
    reason, cause = CASES[name]
    assignments = ["budget.epochs=2", "data.batch_size=250"]
    suite = choose("smoke", f"exploding.{name}", "digits", "0", assignments)
    suite.measures = ["knn@1"]
    (cell,) = plan(suite)
    folder = cell.folder(launch.out)

    failed = reason_of(launchers.run("local", [cell], launch), cell)
    assert failed.startswith(f"{reason} (epoch 1); `bench replay {folder}` finds where it began")
    told = json.loads((folder / "not_finite.json").read_text())
    assert (told["step"], told["epoch"]) == (7, 1)
    assert newest_intact(folder / "checkpoints", cell.hash).name == "step=7.ckpt", "none that holds NaN"

    before = sorted(folder.rglob("*"))
    assert main(["replay", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "from step=7.ckpt to step 7" in said
    assert f"step 7: {cause}" in said
    if name == "Forward":
        assert "exploding.py:" in said
        assert f"positions in the training split): {', '.join(map(str, told['index']))}\n" in said
        assert len(told["index"]) == 250
    assert "their pixels: smallest 0, largest 255, mean" in said
    assert sorted(folder.rglob("*")) == before


MADE = {
    "torch.Tensor.log": lambda x: x.flatten().log(),
    "torch.Tensor.log_": lambda x: x.flatten().log_(),
    "torch.log": lambda x: torch.log(x, out=x),
}


@pytest.mark.parametrize("name", MADE)
def test_the_operation_that_makes_a_nan_is_named(name):
    told = f"forward pass of the method itself: {re.escape(name)} gave NaN"
    with pytest.raises(Finding, match=told), Operations(0, []):
        MADE[name](-torch.ones(2, 3))


@pytest.mark.parametrize("context", [torch.enable_grad, torch.inference_mode])
def test_views_of_memory_that_nothing_was_written_to_yet_are_no_finding(context, monkeypatch):
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # torch fills what it leaves uninitialised with NaN then
    try:
        with Operations(0, []), context():
            rows = torch.empty(2, 3)
            assert rows.numpy().sum() != 0
            rows.flatten().numpy()[:] = 1
            assert rows.sum() == 6
    finally:
        torch.use_deterministic_algorithms(deterministic)


def refused(capsys, folder: Path) -> str:
    """The line that `bench replay` says of a folder."""
    assert main(["replay", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_only_a_run_that_went_wrong_is_replayed_where_it_can_be(cell, launch, tmp_path, monkeypatch, capsys):
    assert "no run that ended by a NaN or infinite value" in refused(capsys, tmp_path)
    run = prepare(cell, replace(launch, accelerator="gpu"))
    write_json(run.not_finite, {"step": 1, "epoch": 0, "what": "loss"})
    monkeypatch.setattr(machine, "find_devices", lambda: ("cpu", 2))
    assert "it computed on a GPU, and torch finds none here: replay it where there is one" in refused(capsys, run.path)
