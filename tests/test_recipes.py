"""docs/recipes.md: its programs and commands do what it says, on encoders that are made here."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.evaluation.metrics.invariance import adversaries

TEXT = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text()
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
SMALL = ["--measures", "knn", "--out", "runs", "--set", "data.train_images=200", "--set", "data.batch_size=64"]
"""What a test needs for want of time: one measure, few images."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the reader works, with the files that the page takes for granted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(adversaries, "STEPS", 30)
    for name, program in PROGRAMS.items():
        (tmp_path / name).write_text(program)
    yield tmp_path
    for name in PROGRAMS:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_nothing_of_the_page_is_left_out():
    assert set(PROGRAMS) == {
        *("my_network.py", "write_features.py", "use_it.py", "train.py", "watch.py", "metrics.py"),
    }
    assert len(COMMANDS) == 4
    assert len([line for line in PROGRAMS["train.py"].splitlines() if line.strip()]) <= 10, "ten lines"
    with_data_of_ones_own = TEXT.count("```python title") + TEXT.count("```console")
    assert TEXT.count("```") == 2 * (len(PROGRAMS) + TEXT.count("```sh") + with_data_of_ones_own)
    assert with_data_of_ones_own == 2


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_encoders_are_judged(folder, capsys, monkeypatch):
    network = timm.create_model("resnet18", num_classes=0)
    sequence = nn.Sequential(*list(network.children())[:-1])
    torch.save({"state_dict": {f"backbone.{k}": v for k, v in sequence.state_dict().items()}}, "lightly.ckpt")
    exec(compile(PROGRAMS["my_network.py"], "my_network.py", "exec"), made := {})
    torch.jit.trace(made["make"]().eval(), torch.zeros(1, 3, 16, 16)).save("exported.ts")
    program = PROGRAMS["write_features.py"].replace("image_size=16", "image_size=16, train_images=200")
    exec(compile(program, "write_features.py", "exec"), {})
    for command, label in zip(COMMANDS, ("mine", "SimCLR by lightly", "exported.ts", "theirs"), strict=True):
        words = shlex.split(command)
        assert words[:2] == ["bench", "eval"]
        assert main([*words[1:], *SMALL]) == 0
        assert f"| {label}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["train.py", "watch.py", "metrics.py"])
def test_programs_run(folder, name, capsys, monkeypatch):
    program = PROGRAMS[name].replace("max_epochs=1", "max_epochs=1, limit_train_batches=1")
    program = program.replace("images=200", "images=60")  # for want of time
    exec(compile(program, name, "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert {"train.py": "torch.Size([64, 256])", "watch.py": "online/leakage", "metrics.py": "tensor("}[name] in printed


def test_an_encoder_of_a_run_is_used(folder, tmp_path, monkeypatch, capsys):
    from disentangle_bench.benchmarks.execution import build
    from disentangle_bench.benchmarks.execution.train import _note
    from disentangle_bench.benchmarks.runs.weights import save_weights
    from tests.benchmarks.conftest import make_cell

    cell = make_cell("random_init")
    method = build.build_method(cell, build.build_data(cell))
    save_weights(method, tmp_path / "method.safetensors", _note(cell, method, 0, whole=True))
    monkeypatch.setattr(sys, "argv", ["use_it.py", "."])
    exec(compile(PROGRAMS["use_it.py"], "use_it.py", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip() == "torch.Size([8, 256])"
