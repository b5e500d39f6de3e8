"""A method of the user's own is found in the folder where `bench` is called, and nothing there is taken for ours."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.machine import find_devices
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.planning.suite import choose
from disentangle_bench.evaluation.protocol import MEASURES
from disentangle_bench.evaluation.records import find_records
from tests.benchmarks.conftest import make_cell, reason_of

DECOYS = ("random", "json", "torch", "yaml", "logging", "methods", "datamodules/__init__", "evaluation", "benchmarks")
MINE = """
from disentangle_bench.methods.base import Method

class MyMethod(Method):
    name = "mine"
    source = "a method of the user's own, in a package that is named as ours"

    def training_step(self, batch, batch_idx):
        return self.backbone(self.views(batch, 1)[0]).square().mean()
"""
SPELLED = """
from disentangle_bench.datamodules.datasets.digits import Digits
from disentangle_bench.evaluation.measures.base import Measure, Score, each
from disentangle_bench.methods.networks.backbones import ConvNet
from disentangle_bench.methods.random_init import RandomInit

class Mine(RandomInit):
    name = source = "spelled"

class Data(Digits):
    name = source = licence = "spelled"

def make(image_shape):
    return ConvNet(image_shape[0])

measure = Measure(
    name="spelled", version=1, targets=each("content"), splits="test", source="a test", aspect="content",
    scores={"top1": Score("up", 0, 1, "none", unit="percent")}, run=lambda space, target: {"top1": 0.5},
)
"""
STEP = "def training_step(self, batch, batch_idx):"
REQUEST = ["run", "--suite", "smoke", "--dataset", "digits", "--measures", "knn", "--set", "data.batch_size=512"]


@pytest.fixture
def folder(tmp_path):
    """A folder whose files are named as libraries and as rooms of this package, and must not be imported."""
    (tmp_path / "methods").mkdir()
    (tmp_path / "datamodules").mkdir()
    for name in DECOYS:
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a decoy was imported: ' + __file__)")
    (tmp_path / "methods" / "__init__.py").touch()
    (tmp_path / "methods" / "mine.py").write_text(MINE)
    return tmp_path


def bench(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """The installed command, in an environment that says nothing of paths."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(Path(sys.executable).parent / "bench"), *REQUEST, *arguments]
    return subprocess.run(command, cwd=folder, env=inherited | environment, capture_output=True, text=True, timeout=240)


@pytest.mark.slow  # whole commands, 40 s
@pytest.mark.parametrize("devices", ["1", "2"])
def test_files_of_the_users_folder_hide_nothing(folder, devices):
    """Nor does a place among others that the user's shell has from somewhere: the curves are there."""
    if find_devices() < ("cpu", int(devices)):
        pytest.skip("one processor only")
    place = {"RANK": "1", "SLURM_PROCID": "1", "LOCAL_RANK": "1"}
    done = bench(folder, "--method", "methods.mine.MyMethod", "--devices", devices, "--out", "runs", **place)
    assert done.returncode == 0, done.stdout + done.stderr + "".join(p.read_text() for p in folder.rglob("log.txt"))
    (record,) = find_records(folder / "runs")[0].values()
    assert record["config"]["source"], "its file's content is part of what decides the result"
    assert record["cost"]["devices"] == len(record["cost"]["ranks"]) == int(devices)
    assert list(folder.rglob("metrics.csv")), "curves"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import sys; sys.exit(0)", "no method at 'broken.MyMethod': importing it ended with SystemExit: 0"),
        ("raise OSError('no licence\\nfound')", "OSError: no licence found"),
        ("def MyMethod(): pass", "is no method: expected a class derived from disentangle_bench.methods.base.Method"),
    ],
)
def test_a_file_that_does_not_run_is_a_wrong_request(content, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    (tmp_path / "broken.py").write_text(content)
    assert main([*REQUEST, "--method", "broken.MyMethod", "--out", "runs"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1, error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("def __init__(self, *, a: int = 1): super().__init__()", "its __init__ must take **kwargs and hand them on"),
        ("def __init__(self, *, a: int = 1, **kwargs): self.a = a", "its __init__ must take **kwargs and hand them on"),
        ("", "has no training_step(self, batch, batch_idx) that returns the loss"),
        (f"{STEP} pass\n    primary_space = 'code'", "primary_space is 'code', but embed returns features"),
        (
            f"{STEP} pass\n    def embed(self, image): return image.float()",
            "an encoder's features are [B, d], these",
        ),
        (f"{STEP} pass\n    def embed(self, image): return {{}}['x']", "its code ended with KeyError: 'x'"),
    ],
)
def test_a_method_that_lacks_what_a_run_needs_is_a_wrong_request(lines, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "lacking", raising=False)
    head = "from disentangle_bench.methods.base import Method\nclass Mine(Method):\n    name = source = 'mine'\n"
    (tmp_path / "lacking.py").write_text(f"{head}    {lines}\n")
    assert main([*REQUEST, "--method", "lacking.Mine", "--out", "runs"]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1, error
    assert error[0].startswith(f"bench: method lacking.Mine: {said}")


def test_a_file_whose_name_python_cannot_import_is_to_be_renamed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-file.py").touch()
    assert main([*REQUEST, "--method", "my-file.Mine", "--out", "runs"]) == 2
    assert "Python imports no 'my-file': names of files and classes are letters, digits" in capsys.readouterr().err


def test_a_file_is_not_yet_a_class(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_file.py").touch()
    assert main([*REQUEST, "--method", "my_file", "--out", "runs"]) == 2
    assert capsys.readouterr().err == "bench: method 'my_file': name the class in my_file.py too, my_file.CLASS\n"


def test_a_colon_makes_the_same_cell(tmp_path, monkeypatch):
    """In every place that names code of one's own: a method, its settings, a backbone, a measure, a data set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "spelled.py").write_text(SPELLED)
    cells = []
    try:
        for mark in (".", ":"):
            MEASURES.pop("spelled@1", None)
            settings = [f"spelled{mark}Mine.lr=0.5", f"method.backbone=spelled{mark}make", "data.batch_size=64"]
            request = choose(
                "smoke", f"spelled{mark}Mine", f"spelled{mark}Data", None, settings, f"spelled{mark}measure"
            )
            cells += plan(request)
    finally:
        sys.modules.pop("spelled", None)
        MEASURES.pop("spelled@1", None)
    first, second = cells
    assert first.hash == second.hash
    assert (first.method, first.dataset, first.imports) == ("spelled.Mine", "spelled.Data", ["spelled.measure"])
    assert second.imports == first.imports
    assert second.options["backbone"] == "spelled.make"
    assert second.options["lr"] == 0.5


LOSSES = """
from disentangle_bench.methods.base import Method

class Mine(Method):
    name = source = "mine"

    def training_step(self, batch, batch_idx):
        out = self.backbone(self.views(batch, 1)[0]).square()
        LOSS
"""


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("out.mean()", "training_step returned nothing: it must return the loss"),
        ("return out.mean(1)", "training_step returned a loss of shape (512,): a number, such as its mean"),
        ("return out.mean().detach()", "a loss that depends on no weight that learns: was it detached?"),
        ("return out @ out", "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        ("return batch['imag']", "no 'imag' in a batch, which holds image, index"),
    ],
)
def test_a_loss_that_is_none_is_told_in_a_line(loss, said, here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "losing", raising=False)
    (tmp_path / "losing.py").write_text(LOSSES.replace("LOSS", loss))
    cell = make_cell("losing.Mine", "budget.epochs=1")
    reason = reason_of(launchers.run("local", [cell], replace(here, code=str(tmp_path))), cell).partition(" (log")[0]
    assert said in reason
    if "training_step" not in said and "weight" not in said:
        assert reason.endswith(" (losing.py, line 9)")
