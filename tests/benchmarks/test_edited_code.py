"""Somebody's own code that was edited never gives the figures of the code before under its name without a word."""

import sys
from functools import partial

import pytest
import torch

from disentangle_bench.benchmarks import own_code
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.planning import lookup
from disentangle_bench.evaluation.protocol import MEASURES
from disentangle_bench.evaluation.records import find_records
from disentangle_bench.evaluation.verify import verify
from disentangle_bench.registry import imported

ENCODER = """
import torch, yaml
from torch import nn
from disentangle_bench.methods.base import Method

@torch.no_grad()
def make():
    from imp_parts.net import body
    return body()

class Mine(nn.Module):
    pass
"""
MEASURE = """
from disentangle_bench.evaluation.measures.base import Measure, Score, each

depth = Measure(
    name="imp_depth", version=1, targets=each("content"), splits="test", source="a test", aspect="content",
    scores={"top1": Score("up", 0, 1, "none", unit="percent")}, run=lambda space, target: {"top1": 0.5},
)
unused = 0
"""
NET = """
from torch import nn
from . import sizes
from .inner.deep import kernel

def body():
    return nn.Sequential(nn.Conv2d(3, sizes.width, kernel), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
FILES = {
    "imp_encoder.py": ENCODER,
    "imp_parts/__init__.py": "",
    "imp_parts/net.py": NET,
    "imp_parts/sizes.py": "width = 8",
    "imp_parts/inner/deep.py": "from ..sizes import width\nkernel = 3",
    "imp_parts/unused.py": "",
    "yaml.py": "raise RuntimeError('a library goes first')",
}
READ = {"imp_encoder.py", "imp_parts/__init__.py", "imp_parts/net.py", "imp_parts/sizes.py", "imp_parts/inner/deep.py"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an encoder that takes four files to make, two of which are for something else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    own_code.allow(tmp_path)
    yield tmp_path
    forget()
    for title in ("imp_depth@1", "imp_depth@2"):
        MEASURES.pop(title, None)


def forget():
    for name in [name for name in sys.modules if name.startswith("imp_")]:
        del sys.modules[name]


def test_imports_are_followed_within_the_folder_of_the_file(folder):
    found = own_code.with_imports("imp_encoder", folder / "imp_encoder.py")
    assert found == {folder / name for name in READ}
    assert own_code.with_imports("imp_parts.inner.deep", folder / "imp_parts/inner/deep.py") == {
        folder / "imp_parts" / name for name in ("__init__.py", "sizes.py", "inner/deep.py")
    }, "also from a package's inside"


def test_of_an_installed_package_its_own_files_only(tmp_path):
    site = tmp_path / "site-packages"
    for name, text in FILES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    assert own_code.with_imports("imp_encoder", site / "imp_encoder.py") == {site / "imp_encoder.py"}
    inner = own_code.with_imports("imp_parts.net", site / "imp_parts/net.py")
    assert inner == {site / name for name in READ - {"imp_encoder.py"}}


def test_the_file_is_that_of_what_was_written_down(folder):
    """Not that of a decorator or of `partial`, and not those of the libraries that a class derives from."""
    make, mine = (imported(f"imp_encoder.{name}", "encoder") for name in ("make", "Mine"))
    first = lookup.source_hash(make)
    assert [name for name, _ in lookup.own_texts(make)] == [
        "imp_encoder.py",
        "__init__.py",
        "deep.py",
        "net.py",
        "sizes.py",
    ]
    for other in (make.__wrapped__, partial(make), torch.no_grad()(make), mine, mine()):
        assert lookup.source_hash(other) == first
    (folder / "imp_parts" / "sizes.py").write_text("width = 9")
    assert lookup.source_hash(make) != first


def test_an_encoder_whose_imported_file_was_edited_is_judged_again(folder, capsys):
    """Also where its weights are the same ones: its figures are others."""
    request = ["eval", "--encoder", "imp_encoder.make", "--dataset", "digits", "--measures", "knn", "--out", "runs"]
    figures = []
    for activation in ("nn.ReLU()", "nn.Softplus()"):
        (folder / "imp_parts" / "net.py").write_text(
            NET.replace("nn.ReLU()", activation).replace("def body():", "def body():\n    torch.manual_seed(0)")
            + "\nimport torch\n"
        )
        forget()
        assert main(request) == 0, capsys.readouterr().err
        records = find_records(folder / "runs")[0]
        assert activation in "".join(path.read_text() for path in (folder / "runs").rglob("own_code.py"))
        figures.append(len(records))
    assert figures == [1, 2]


def test_a_measure_that_was_edited_under_its_version_is_told_of(folder, capsys):
    """And what its figures were measured with stays beside the record when others are added."""
    request = ["run", "--suite", "smoke", "--dataset", "digits", "--method", "pixels", "--out", "runs", "--measures"]
    told = "imp_depth@1: edited since 1 of the runs in runs were measured with it, whose figures stay"

    def run(measures: str, text: str) -> str:
        (folder / "imp_measure.py").write_text(text)
        forget()
        MEASURES.pop("imp_depth@1", None)
        assert main([*request, measures]) == 0
        (kept,) = (folder / "runs").rglob("own_code.py")
        assert MEASURE.strip() in kept.read_text()
        return capsys.readouterr().err

    assert told not in run("imp_measure.depth", MEASURE)
    assert told not in run("imp_measure.depth", MEASURE)
    edited = MEASURE.replace("0.5", "0.25")
    assert told in run("imp_measure.depth", edited)
    assert told not in run("knn", edited), "which isn't asked for it"
    assert told in run("imp_measure.depth", MEASURE.replace("unused = 0", "")), "a line at the end that was taken out"
    assert "imp_depth" not in run("imp_measure.depth", edited.replace("version=1", "version=2")).split("done")[0]
    assert edited.replace("version=1", "version=2").strip() in next((folder / "runs").rglob("own_code.py")).read_text()
    assert main(["leaderboard", "--out", "runs", "--board", "board"]) == 0
    assert not verify(folder / "board").findings
