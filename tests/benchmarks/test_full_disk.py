"""A disk that is full at any write, and a folder that is deleted in mid-run: one line, and the rest goes on."""

import errno
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from disentangle_bench import files
from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.launchers import local
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.evaluation import features
from disentangle_bench.evaluation.records import read_record
from tests.benchmarks.conftest import make_cell, reason_of
from tests.evaluation.leaderboard.conftest import make_record, write_run

writing = files.writing


@dataclass
class Disk:
    """A disk without room for files that it hasn't refused before; every other time it then stays full.

    Attributes:
        below: folder that it holds.
        refused: names of files, relative to the folder.
        full: whether it takes nothing at all.
        only: what is in the names of those that it refuses.
    """

    below: Path
    refused: list[str] = field(default_factory=list)
    full: bool = False
    only: str = ""

    @contextmanager
    def writing(self, path: Path):
        """In the place of `files.writing`."""
        with writing(path):
            full_path = path.absolute()
            name = full_path.relative_to(self.below).as_posix() if full_path.is_relative_to(self.below) else None
            if name and (self.full or (name not in self.refused and re.search(self.only, name))):
                if name not in self.refused:
                    self.refused.append(name)
                    self.full = len(self.refused) % 2 == 0
                raise OSError(errno.ENOSPC, "No space left on device")
            yield


def on(disk: Disk, monkeypatch) -> Disk:
    monkeypatch.setattr(files, "writing", disk.writing)
    monkeypatch.setattr(features, "writing", disk.writing)
    return disk


def test_every_file_of_a_run_may_find_the_disk_full(here, monkeypatch):
    cell = replace(make_cell("supervised", "budget.epochs=1", "data.batch_size=1200"), measures=["knn@1"])
    other = replace(make_cell("pixels"), measures=["knn@1"])
    assert launchers.run("local", [cell], replace(here, out=here.out / "undisturbed")).complete == [cell]
    folder = cell.folder(here.out)
    disk = on(Disk(folder, ["failure.json"]), monkeypatch)
    while cell not in (outcome := launchers.run("local", [cell, other], here)).complete:
        name, last = disk.refused[-1], len(disk.refused)
        said = reason_of(outcome, cell)
        assert f"no space left on the disk of {folder}: " in said
        assert str(folder / ("failure.json" if disk.full and name != "config.json" else name)) in said
        assert "\n" not in said
        assert other in outcome.complete
        assert not [path for path in folder.rglob("*") if ".tmp" in path.name]
        assert not (folder / "result.json").exists()
        disk.full = False
        assert last < 50
    assert {"config.json", "status.json", "trained.json", "method.safetensors", "encoder.safetensors"} <= {
        *disk.refused
    }
    assert {"outcomes.npz", "result.json", "artefacts/sample.npz", "checkpoints/step=1.ckpt"} <= {*disk.refused}
    assert any(name.endswith(".f32") for name in disk.refused)
    undisturbed = read_record(cell.folder(here.out / "undisturbed") / "result.json")
    found = read_record(folder / "result.json")
    assert found["provenance"]["encoder"] == undisturbed["provenance"]["encoder"]
    assert [row["scores"] for row in found["metrics"]] == [row["scores"] for row in undisturbed["metrics"]]


@pytest.mark.parametrize("phase", ["load data", "encode"])
def test_a_folder_deleted_in_mid_run_is_said_and_stays_deleted(phase, here, monkeypatch):
    cell = replace(make_cell("supervised", "budget.epochs=1", "data.batch_size=1200"), measures=["knn@1"])
    other = replace(make_cell("pixels"), measures=["knn@1"])
    run, update = RunFolder(cell.folder(here.out)), ProgressFile.update

    def delete(progress, now, *arguments):
        update(progress, now, *arguments)
        if progress.run.path == run.path and now.startswith(phase):
            shutil.rmtree(run.path)

    monkeypatch.setattr(ProgressFile, "update", delete)
    outcome = launchers.run("local", [cell, other], here)
    assert outcome.complete == [other]
    assert reason_of(outcome, cell).startswith(f"{run.path} was removed while the run was at work; ")
    assert not run.path.exists()


def test_all_runs_deleted_in_mid_run(here, monkeypatch, capfd):
    update = ProgressFile.update

    def delete(progress, now, *arguments):
        update(progress, now, *arguments)
        shutil.rmtree(here.out, ignore_errors=True)

    monkeypatch.setattr(ProgressFile, "update", delete)
    monkeypatch.setattr(local, "warm_up", lambda: None)
    request = ["run", "--suite", "smoke", "--method", "pixels", "--dataset", "digits", "--out", str(here.out)]
    assert main(request) == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("bench: ")]
    assert "was removed while the run was at work" in line
    assert not here.out.exists()


@pytest.mark.parametrize(
    ("command", "only"),
    [
        (["leaderboard", "--to", "made/table.csv", "--format", "csv"], ""),
        (["leaderboard", "--board", "made"], ""),
        (["report", "--to", "made"], "index|pareto"),
        (["claims", "--to", "made/claims.md"], ""),
        (["merge", "runs", "--out", "made"], ""),
    ],
)
def test_what_a_command_writes_is_whole_or_not_there(command, only, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "digits" / "simclr", make_record())
    made = tmp_path / "made"

    def contents():
        return {path: path.read_bytes() for path in made.rglob("*") if path.is_file() and path.name != ".lock"}

    options = [] if "merge" in command else ["--out", "runs"]
    disk = on(Disk(made, only=only), monkeypatch)
    before = None
    while main([*command, *options]):
        (line,) = [line for line in capfd.readouterr().err.splitlines() if "Errno" in line]
        assert line.startswith(f"bench: no space left on the disk of {made}")
        assert disk.refused[-1] in line
        assert before in (None, contents()), "nothing of the files has changed"
        before, disk.full = contents(), False
        assert len(disk.refused) < 100
    assert disk.refused
    assert contents() != before
