"""A file of the user's own: its method, data set, measure, backbone and views are in every command."""

import os
import re
import subprocess
import sys

import pytest

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution import build
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.evaluation import protocol
from disentangle_bench.evaluation.leaderboard.naming import method_labels
from disentangle_bench.evaluation.records import BadRecord, find_records, read_record
from disentangle_bench.json_files import write_json

MINE = '''
from dataclasses import replace

import numpy as np
from torch import nn

from disentangle_bench.datamodules.base import ImageDataModule, Split
from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import Measure, NO_TARGET, Score, each
from disentangle_bench.methods.base import Method
from disentangle_bench.methods.views import Augmentation

class Stripes(ImageDataModule):
    """Stripes, upright or level, dark or bright."""

    name = "stripes"
    source = "drawn here"
    licence = "none"

    def load(self):
        splits = {}
        for seed, (name, count) in enumerate({"train": 96, "val": 32, "test": 48}.items()):
            draw = np.random.default_rng(seed)
            level, bright = draw.integers(2, size=count), draw.integers(2, size=count)
            stripes = np.zeros((count, 1, 16, 16), np.uint8)
            stripes[level == 0, :, ::4] = 1
            stripes[level == 1, :, :, ::4] = 1
            images = stripes * (80 + 100 * bright)[:, None, None, None] + draw.integers(9, size=stripes.shape)
            splits[name] = Split(images.astype(np.uint8), {"class": level, "brightness": bright})
        return splits, (TargetSpec("class", "class", 2, "content"), TargetSpec("brightness", "class", 2, "domain"))

class Mine(Method):
    """Pulls features to length 1."""

    name = "mine"
    source = "a test"

    def training_step(self, batch, batch_idx):
        return (self.backbone(self.views(batch, 1)[0]).norm(dim=1) - 1).square().mean()

class Turned(Augmentation):
    """Turned by a quarter."""

    def apply(self, images, params, shape=None):
        return super().apply(images, params, shape).rot90(1, (2, 3))

def tiny(image_shape):
    network = nn.Sequential(nn.Conv2d(image_shape[0], 4, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.num_features = 4
    return network

def _length(space):
    return {"length": float(np.linalg.norm(space.x["test"], axis=1).mean())}

length = Measure(
    name="length", version=1, targets=NO_TARGET, splits="test", source="a test", aspect="descriptive",
    scores={"length": Score(None, 0, float("inf"), "none")}, run=_length,
)
unbounded = replace(length, name="unbounded", scores={"length": Score(None, 0, None, "none")})
of_a_target = replace(length, name="of_a_target", targets=each("content"))
misnamed = replace(length, name="misnamed", scores={"width": Score(None, 0, 1, "none")})
too_long = replace(length, name="too_long", scores={"length": Score(None, 0, 1, "none")})
not_a_measure = 3
'''
CHOICES = ["--suite", "smoke", "--dataset", "their_file.Stripes", "--method", "their_file.Mine,random_init"]
SETTINGS = [
    *("--set", "data.batch_size=32", "--set", "method.backbone=their_file.tiny"),
    *("--set", "their_file.Mine.own_views=their_file.Turned", "--measures", "linear,their_file.length"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the user works, after a run of everything that is their own."""
    folder, known = tmp_path_factory.mktemp("theirs"), dict(protocol.MEASURES)
    (folder / "their_file.py").write_text(MINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))
        assert main(["run", *CHOICES, *SETTINGS, "--out", "runs"]) == 0
        yield folder
    sys.modules.pop("their_file", None)
    for title in set(protocol.MEASURES) - set(known):
        del protocol.MEASURES[title]


def test_they_are_in_the_table_by_their_own_names(folder, capsys):
    protocol.MEASURES.pop("length@1")  # as in a process that has never seen the file
    assert main(["leaderboard", "--out", "runs"]) == 0
    table = capsys.readouterr().out
    assert "## stripes" in table
    assert "| mine " in table
    assert "length@1" in table
    assert "their_file" not in re.sub(r"method\.\w+=their_file\.\w+", "", table), "but for the options that were set"
    record = next(r for r in find_records(folder / "runs")[0].values() if "Mine" in r["cell"]["method"])
    assert record["cell"]["dataset"] == "their_file.Stripes", "what it is known by stays the path"
    assert all(row["scores"] for row in record["metrics"])
    assert main(["compare", "mine", "random_init", "--out", "runs", "--allow-underpowered"]) in (0, 3)
    assert "1 figures: 0 worse" in capsys.readouterr().out


def test_they_are_in_the_report(folder):
    assert main(["report", "--out", "runs", "--to", "report"]) == 0
    page = (folder / "report" / "index.html").read_text()
    assert "mine" in page
    assert "length@1" in page
    assert "stripes" in page


def test_they_are_listed_and_shown(folder, capsys):
    for what, name, told in (
        ("methods", "their_file.Mine", "a test"),
        ("datasets", "their_file.Stripes", "drawn here"),
        ("metrics", "their_file.length", "length@1"),
        ("backbones", "their_file.tiny", "features 4"),
        ("views", "their_file.Turned", "Turned by a quarter."),
    ):
        assert main(["list", what, name]) == 0
        assert told in " ".join(capsys.readouterr().out.split())
    assert main(["data", "check", "their_file.Stripes", "--set", "batch_size=32"]) == 0
    for spelled in ("data", "their_file.Stripes", "their_file:Stripes"):
        assert main(["data", "check", "their_file.Stripes", "--set", f"{spelled}.batch_size=32"]) == 0
    assert main(["data", "show", "their_file.Stripes", "--method", "their_file.Mine", "--set", "batch_size=32"]) == 0


def test_an_encoder_is_judged_on_them(folder, capsys):
    (folder / "their_network.py").write_text(
        "from their_file import tiny\n\ndef make():\n    return tiny((1, 16, 16))\n"
    )
    asked = ["--dataset", "their_file.Stripes", "--measures", "their_file.length", "--out", "judged"]
    assert main(["eval", "--encoder", "their_network:make", *asked]) == 0
    assert "length@1" in capsys.readouterr().out


def test_their_code_is_part_of_what_a_run_is(folder):
    """A change anywhere in the file makes another run."""
    from disentangle_bench import methods
    from disentangle_bench.benchmarks.planning import lookup

    mine = lookup.find_class(methods, "method", "their_file.Mine")
    first = lookup.source_hash(mine)
    assert first
    (folder / "their_file.py").write_text(MINE.replace("nn.ReLU()", "nn.GELU()"))
    assert lookup.source_hash(mine) != first
    (folder / "their_file.py").write_text(MINE)
    assert lookup.source_hash(mine) == first
    assert lookup.own_parts({"backbone": "their_file.tiny", "own_views": "their_file.Turned"}, "") != []
    assert lookup.own_parts({"backbone": "resnet18.a1_in1k"}, "") == []


def test_what_they_ran_can_be_read_beside_the_record_and_in_a_board(folder, capsys):
    """And who edits it there is found out."""
    assert main(["leaderboard", "--out", "runs", "--board", "board"]) == 0
    for place in ("runs", "board"):
        kept = sorted((folder / place).rglob("own_code.py"))
        assert len(kept) == 2, "the method's run, and the other one on their data"
        assert {file.read_text() for file in kept} == {f"# ---- their_file.py ----\n{MINE.rstrip()}\n"}
    assert main(["verify", "board"]) == 0
    assert main(["leaderboard", "--out", "runs", "--board", "board"]) == 0, "in place of the last one"
    kept[0].write_text("class Mine: ...")
    capsys.readouterr()
    assert main(["verify", "board"]) == 1
    assert f"{kept[0].relative_to(folder)}: not the code that the record was made with" in capsys.readouterr().out


def test_code_that_changed_since_the_run_was_planned_is_not_run_for_it(folder, monkeypatch):
    config = RunFolder(next(path.parent for path in (folder / "runs").rglob("own_code.py"))).read_config()
    cell = config.cell
    assert MINE.strip() in "".join(build.own_code_of(cell))
    (folder / "their_file.py").write_text(MINE.replace("nn.ReLU()", "nn.GELU()"))
    with pytest.raises(RequestError, match=r"their_file\.py: changed since the run was planned"):
        build.own_code_of(cell)
    (folder / "their_file.py").write_text(MINE)
    monkeypatch.setattr(build, "MOST_CODE", 100)
    left_out = f"# ---- their_file.py ----\n# left out: {len(MINE):,} characters, more than 100\n"
    assert build.own_code_of(cell) == [left_out]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--measures", "their_file.not_a_measure"], "'their_file.not_a_measure' is no measure: expected a"),
        (["--measures", "their_file.lenght"], "their_file.py: did you mean length?"),
        (["--measures", "their_file"], "measure 'their_file': name the measure in their_file.py too, their_file.M"),
        (["--measures", "their_file.unbounded"], "'length': low 0, high None: numbers are expected, inf where there"),
        (["--measures", "their_file.of_a_target"], "TypeError: _length() takes 1 positional argument but 2 were given"),
        (["--measures", "their_file.misnamed"], "misnamed@1 returned length: width is expected"),
        (["--measures", "their_file.too_long"], "outside 0 to 1"),
        (["--set", "method.backbone=their_file.Mine"], "a function that maps an image shape"),
        (["--set", "method.backbone=their_file.absent"], "no backbone at 'their_file.absent'"),
        (["--set", "method.own_views=their_file.Mine"], "own_views 'their_file.Mine': expected a class derived from"),
    ],
)
def test_what_is_none_is_told(folder, arguments, message, capsys):
    capsys.readouterr()
    assert main(["run", "--suite", "smoke", "--method", "simclr", *arguments, "--out", "none"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (folder / "none").exists()


def test_a_record_describes_a_measure_or_is_refused(folder, monkeypatch):
    path = next((folder / "runs").rglob("result.json"))
    record = dict(read_record(path))
    for spoiled in ({"length": {}}, {"length@1": {}}, {"length@1": {"scores": {"a": 3}}}, {"x@y": 1}):
        write_json(folder / "result.json", record | {"config": record["config"] | {"own_measures": spoiled}})
        with pytest.raises(BadRecord, match=r"config\.own_measures"):
            read_record(folder / "result.json")
    (described,) = record["config"]["own_measures"].values()
    length = described["scores"]["length"]
    for bound in (10**400, "0", True):
        spoiled = {"length@1": described | {"scores": {"length": length | {"high": bound}}}}
        write_json(folder / "result.json", record | {"config": record["config"] | {"own_measures": spoiled}})
        with pytest.raises(
            BadRecord, match=r"own_measures.: length@1: score 'length': low 0, high .*numbers are expected"
        ):
            read_record(folder / "result.json")
    other = described | {"scores": {"length": length | {"low": 99.0}}}
    write_json(folder / "result.json", record | {"config": record["config"] | {"own_measures": {"length@1": other}}})
    with pytest.raises(BadRecord, match="what changes a measure raises its version"):
        read_record(folder / "result.json")
    monkeypatch.delitem(protocol.MEASURES, "length@1")  # as in a process that has never seen the file
    with pytest.raises(BadRecord, match=r"length is [\d.]+, outside 99 to inf"):
        read_record(folder / "result.json")
    write_json(folder / "result.json", record | {"config": record["config"] | {"names": {"method": 3}}})
    with pytest.raises(BadRecord, match=r"config\.names"):
        read_record(folder / "result.json")


def test_equal_names_are_told_apart(folder):
    """Two classes of one name on one data set are two methods."""
    record = next(r for r in find_records(folder / "runs")[0].values() if "Mine" in r["cell"]["method"])
    other = record | {"cell": record["cell"] | {"method": "other_file.Mine", "settings": "0123456789abcdef"}}
    assert len(set(method_labels([record, other]).values())) == 2


GROUPS = {
    "methods": "theirs = installed_file:Mine",
    "datamodules": "their_stripes = installed_file:Stripes",
    "measures": "their_length = installed_file:length",
    "backbones": "their_network = installed_file:tiny",
    "views": "their_views = installed_file:Turned",
}


def test_an_installed_package_offers_all_of_it(tmp_path, monkeypatch, capsys):
    """By entry points: each is listed by its name, and a run takes them by it."""
    (tmp_path / "installed_file.py").write_text(MINE)
    info = tmp_path / "installed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1.0\n")
    points = (f"[disentangle_bench.{group}]\n{entry}\n" for group, entry in GROUPS.items())
    (info / "entry_points.txt").write_text("".join(points))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for what, told in (
        ("methods", "theirs"),
        ("datasets", "their_stripes"),
        ("backbones", "their_network  of an installed package"),
        ("views", "their_views"),
    ):
        assert main(["list", what]) == 0
        assert told in capsys.readouterr().out
    taken = ["--method", "theirs", "--dataset", "their_stripes", "--set", "data.batch_size=32"]
    options = ["--set", "method.backbone=their_network", "--set", "method.own_views=their_views"]
    assert main(["run", "--suite", "smoke", *taken, *options, "--dry-run"]) == 0
    assert "their_stripes/theirs seed 0" in capsys.readouterr().out
    code = "from disentangle_bench.evaluation.protocol import MEASURES; print(MEASURES['length@1'].source)"
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    found = subprocess.run([sys.executable, "-c", code], env=paths, capture_output=True, text=True)
    assert found.stdout == "a test\n", found.stderr
