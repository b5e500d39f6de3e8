"""Where a cell is judged: on the device that it is launched on, not on the one that Lightning leaves it on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution import build, distributed, run_cell
from disentangle_bench.benchmarks.execution import measure as measuring
from disentangle_bench.benchmarks.execution.costs import Cost
from disentangle_bench.benchmarks.execution.pretrained import evaluate
from disentangle_bench.benchmarks.execution.train import Trained
from disentangle_bench.benchmarks.launchers.base import prepare
from disentangle_bench.benchmarks.planning.suite import choose
from disentangle_bench.benchmarks.runs.folder import CellLaunch, ExitStatus, RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.evaluation import features
from disentangle_bench.evaluation.metrics.invariance import adversaries
from tests.benchmarks.conftest import make_cell
from tests.pretended_device import Pretended, to_cuda

MEASURES = ["linear@1", "knn@1", "mlp@1", "leakage@4", "uniformity@1", "finetune@1"]


@pytest.mark.parametrize("measure", MEASURES)
def test_all_that_judges_computes_on_the_device_of_the_launch(measure, launch, monkeypatch):
    cell = replace(make_cell("simclr", dataset="colored_digits"), measures=[measure])
    data = build.build_data(cell)
    for name, split in data.splits.items():
        data.splits[name] = split.select(np.arange(60))
    method = build.build_method(cell, data)
    monkeypatch.setattr(nn.Module, "to", to_cuda)
    monkeypatch.setattr(adversaries, "EPOCHS", 1)
    monkeypatch.setattr(adversaries, "STEPS", 1)
    run = RunFolder(cell.folder(launch.out))
    run.path.mkdir(parents=True)
    with Pretended() as mode:
        method.to(torch.device("cuda", 0))
        measuring.encode_splits(method, data, run, "e")
        encoded = mode.products.copy()
        found = measuring.measure(cell, method, data, run, "e", ProgressFile(run))
    assert all(row["scores"] for row in found.rows), found.rows
    assert 0 < encoded["cuda"] < mode.products["cuda"]
    assert mode.products["cpu"] == 0


def test_the_pretended_device_tells_what_goes_wrong():
    with Pretended():
        there, here = torch.ones(2, 2).to("cuda"), torch.ones(2, 2)
        assert (there + 1).device.type == there.cpu().to("cuda:0").device.type == "cuda"
        assert there.cpu().device.type == here.device.type == "cpu"
        with pytest.raises(AssertionError, match=r"matmul.* of tensors on two devices"):
            there @ here
        with pytest.raises(AssertionError, match="numpy of a tensor on the device"):
            there.numpy()


def test_a_process_computes_on_its_own_of_the_cells_devices(monkeypatch):
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    gpus = CellLaunch(command="", accelerator="gpu", devices=2, device_ids=(2, 3))
    assert distributed.device_of(CellLaunch(command="")) == torch.device("cpu")
    assert distributed.device_of(gpus) == torch.device("cuda", 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.device_of(gpus) == torch.device("cuda", 3)
    assert distributed.device_of(replace(gpus, device_ids=())) == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("told", "rank"),
    [
        ({}, 0),
        ({"RANK": 5, "LOCAL_RANK": 1, "SLURM_PROCID": 0}, 5),
        ({"LOCAL_RANK": 1, "SLURM_PROCID": 0}, 1),
        ({"NODE_RANK": 1, "LOCAL_RANK": 0}, 1),
        ({"NODE_RANK": 1, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2}, 3),
        ({"SLURM_PROCID": 2}, 2),
    ],
)
def test_a_process_knows_its_number_whoever_started_it(told, rank, monkeypatch):
    """Torchrun's word goes first, then that of Lightning, whose children on the second machine are not the first."""
    for name in ("RANK", "NODE_RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, number in told.items():
        monkeypatch.setenv(name, str(number))
    assert distributed.rank() == rank


@pytest.mark.parametrize(
    ("devices", "there", "told"), [(1, 0, "1 GPU, and torch finds none on"), (2, 1, "2 GPUs, and torch finds 1 on")]
)
def test_a_run_for_a_gpu_where_there_is_none_says_what_to_set(launch, cell, monkeypatch, devices, there, told):
    """Before its data are read: where jobs are given in from, nobody could know."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: there > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: there)
    monkeypatch.setattr(run_cell, "build_data", None)
    run = prepare(cell, replace(launch, accelerator="gpu", devices=devices))
    assert run_cell.main(run) == ExitStatus.FAILED
    failure = run.state().failure
    assert failure is not None
    assert failure.reason.startswith(f"the run computes on {told}")
    assert "--set resources.gpus_per_node=0" in failure.reason


class Stop(Exception):
    """Nothing after this matters here."""


def test_a_run_and_an_evaluation_judge_where_they_are_launched(launch, cell, monkeypatch):
    seen = []

    def judge(network):
        seen.append(features.device_of(network).type)
        raise Stop

    monkeypatch.setattr(run_cell, "measure", lambda cell, method, *_: judge(method))
    monkeypatch.setattr(evaluate, "encode", lambda encoder, *_: judge(encoder))
    for part in (run_cell, evaluate):
        monkeypatch.setattr(part, "device_of", lambda launch: torch.device("meta"))
    monkeypatch.setattr(run_cell, "_trained_before", lambda *_: Trained("e", 0, 0, Cost()))
    monkeypatch.setattr(evaluate, "state_hash", lambda state: "e")
    monkeypatch.setattr(evaluate, "_announce", lambda *_: None)  # times a batch
    with pytest.raises(Stop):
        run_cell.run_cell(prepare(cell, launch))
    given = evaluate.GivenEncoder("timm:resnet18", untrained=True)
    with pytest.raises(RequestError, match="Stop"):  # raised in a file of tests: code that isn't the package's
        evaluate.measure_encoder(given, choose("smoke", None, "digits", None, []), launch.out)
    assert seen == ["meta", "meta"]
