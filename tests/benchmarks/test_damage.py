"""Full disks, damaged files and hostile ones: nothing valid is lost, the reason is said, the next run goes on."""

import json
import logging
import os
import pickle
import random
import shutil
import subprocess
from multiprocessing import forkserver
from pathlib import Path

import pytest
import torch

from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.checkpoint_io import CheckpointFiles, newest_intact
from disentangle_bench.benchmarks.execution.failures import explain, explain_here
from disentangle_bench.benchmarks.launchers import local
from disentangle_bench.benchmarks.launchers.base import Launch
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.evaluation.records import BadRecord, read_record
from disentangle_bench.files import digest
from tests.benchmarks.conftest import make_cell, reason_of


def save(folder: Path, step: int, **content) -> Path:
    path = folder / f"step={step}.ckpt"
    tensors = {"state_dict": {"w": torch.arange(1000.0) + step}}
    CheckpointFiles("abc").save_checkpoint({"global_step": step, "epoch": 0, **tensors, **content}, path)
    return path


def sign(path: Path) -> None:
    """What somebody who can write the folder can do: a checksum that fits."""
    note = json.loads(path.with_suffix(".json").read_text()) | {"sha256": digest(path)}
    path.with_suffix(".json").write_text(json.dumps(note))


def test_the_last_two_are_kept(tmp_path):
    for step in (5, 10, 200):
        save(tmp_path, step)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step=10.ckpt", "step=10.json", "step=200.ckpt", "step=200.json"]
    assert newest_intact(tmp_path, "abc").name == "step=200.ckpt"
    with pytest.raises(RequestError, match="another configuration"):
        newest_intact(tmp_path, "def")


def test_a_checkpoint_cut_short_anywhere_is_passed_over(tmp_path, caplog):
    older, newer = save(tmp_path, 1), save(tmp_path, 2)
    whole, draw = newer.read_bytes(), random.Random(0)
    for signed in (False, True):
        for length in [0, *(draw.randrange(len(whole)) for _ in range(9))]:
            newer.write_bytes(whole[:length])
            if signed:
                sign(newer)
            caplog.clear()
            assert newest_intact(tmp_path, "abc") == older, length
            assert "step=2.ckpt is passed over" in caplog.text
    newer.write_bytes(whole)
    sign(newer)
    assert newest_intact(tmp_path, "abc") == newer


def test_damage_in_the_middle_and_a_lost_checksum_are_seen(tmp_path):
    older, newer = save(tmp_path, 1), save(tmp_path, 2)
    content = bytearray(newer.read_bytes())
    content[len(content) // 2] ^= 1
    newer.write_bytes(content)
    assert newest_intact(tmp_path, "abc") == older
    for note in ("", "[]", "{"):
        older.with_suffix(".json").write_text(note)
        assert newest_intact(tmp_path, "abc") is None


class Evil:
    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_hostile_checkpoint_is_refused_and_not_run(writer, tmp_path, caplog):
    older, newer, mark = save(tmp_path, 1), save(tmp_path, 2), tmp_path / "was-run"
    content = {"state_dict": {}, "evil": Evil(mark)}
    if writer == "torch":
        torch.save(content, newer)
    else:
        newer.write_bytes(pickle.dumps(content))
    sign(newer)
    with caplog.at_level(logging.WARNING):
        assert newest_intact(tmp_path, "abc") == older
    assert "step=2.ckpt is passed over" in caplog.text
    with pytest.raises(Exception, match=r"[Ww]eights.only|magic"):
        CheckpointFiles("abc").load_checkpoint(newer)
    assert not mark.exists()
    torch.load(newer, weights_only=False) if writer == "torch" else pickle.loads(newer.read_bytes())
    assert mark.exists(), "it would have been run: the test shows something"


def test_what_cannot_be_read_back_never_replaces_the_last_good_one(tmp_path, monkeypatch):
    older = save(tmp_path, 1)

    def truncated(checkpoint, file):
        file.write(b"PK\x03\x04 a disk that says it has written")

    monkeypatch.setattr(torch, "save", truncated)
    with pytest.raises(Exception, match="archive"):
        save(tmp_path, 2)
    assert newest_intact(tmp_path, "abc") == older
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step=1.ckpt", "step=1.json"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB, for as long as the test."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_leaves_the_last_checkpoint(small_disk):
    older = save(small_disk, 1)
    (small_disk / "filler").write_bytes(b"0" * (3 << 20))
    with pytest.raises((RuntimeError, OSError)) as caught:
        save(small_disk, 2, more=torch.zeros(500_000))
    said = explain(caught.value, small_disk)
    assert said.startswith(f"no space left on the disk of {small_disk}: 1 of 4 MiB are free; make room and give")
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "step=1.ckpt", "step=1.json"]
    assert newest_intact(small_disk, "abc") == older
    (small_disk / "filler").unlink()
    assert newest_intact(small_disk, "abc") == older
    assert newest_intact(small_disk, "abc") != save(small_disk, 2)


def test_of_a_copy_the_disk_is_meant_that_it_should_come_to(tmp_path):
    into = tmp_path / "into"
    into.mkdir()
    copied = OSError(28, "No space left on device", "/usr/from", None, str(into / "file"))
    folders = shutil.Error([("/usr/from", str(into / "file"), str(copied))])
    for error in (copied, folders):
        assert explain_here(error).startswith(f"no space left on the disk of {into}: ")


def test_full_and_read_only_disks_are_said_and_the_next_run_goes_on(small_disk, tmp_path):
    cell = make_cell("supervised", "budget.epochs=1")
    folder = cell.folder(small_disk)
    launch = Launch(out=small_disk, command="bench run", threads=1)
    filler = small_disk / "filler"
    filler.write_bytes(b"0" * (3 << 20))
    failed = reason_of(launchers.run("local", [cell], launch), cell)
    assert f"no space left on the disk of {folder}: 1 of 4 MiB are free" in failed
    assert not list(folder.rglob("*.tmp"))
    assert not (folder / "result.json").exists()

    filler.unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    failed = reason_of(launchers.run("local", [cell], launch), cell)
    assert f"not writable: OSError: [Errno 30] Read-only file system: '{folder}{os.sep}" in failed
    subprocess.run(["mount", "-o", "remount,rw,size=40m", str(small_disk)], check=True)
    assert launchers.run("local", [cell], launch).complete == [cell]


def test_a_cell_starts_without_the_socket_of_the_fork_server(tmp_path, monkeypatch, capsys):
    """What cleans up old temporary files may take it while a long board is at work."""
    local._tell_slow_starts.cache_clear()
    local.warm_up()
    monkeypatch.setattr(forkserver._forkserver, "_forkserver_address", str(tmp_path / "gone"))
    monkeypatch.setattr(local, "Subprocess", lambda run: f"a command for {run.path}")
    cell, launch = make_cell("random_init"), Launch(out=tmp_path, command="bench run", threads=1)
    for _ in range(2):
        assert local.start(cell, launch) == f"a command for {cell.folder(tmp_path)}"
    assert capsys.readouterr().err.count("cells start some seconds later each") == 1


@pytest.mark.parametrize("kind", [local.Forked, local.Subprocess])
def test_a_process_that_has_ended_since_it_was_looked_at_is_passed_over(kind, monkeypatch):
    """An error would keep the launcher from asking the other cells to save."""
    monkeypatch.setattr(kind, "exitcode", lambda process: None)
    process = kind.__new__(kind)
    process.pid = 2**30  # beyond the largest number that Linux gives
    process.stop()
    process.kill()


def test_a_record_cut_short_is_said_and_measured_again(tmp_path):
    cell = make_cell("random_init")
    launch = Launch(out=tmp_path, command="bench run", threads=1)
    assert launchers.run("local", [cell], launch).complete == [cell]
    path = cell.folder(tmp_path) / "result.json"
    whole = read_record(path)
    for length in (0, 1, path.stat().st_size // 2, path.stat().st_size - 2):
        damaged = tmp_path / "damaged.json"
        damaged.write_bytes(path.read_bytes()[:length])
        with pytest.raises(BadRecord, match=r"damaged\.json: not readable as JSON"):
            read_record(damaged)
    path.write_bytes(path.read_bytes()[:1000])
    assert not RunFolder(cell.folder(tmp_path)).is_complete(cell.measures)
    assert launchers.run("local", [cell], launch).complete == [cell]
    scores = [[(row["space"], row["scores"]) for row in r["metrics"]] for r in (whole, read_record(path))]
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory; run fewer --jobs side by side, set a smaller data.batch_size"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory; "),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory; "),
        (RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed. "), "out of memory; "),
        (
            RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)"),
            "no room in /dev/shm for the processes that make batches; give it more",
        ),
        (OSError(28, "No space left on device"), "no space left on the disk; make room"),
        (OSError(27, "File too large"), "a file would grow larger than it may (`ulimit -f`); raise that"),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), "no space left on the disk; make room"),
        (PermissionError(13, "Permission denied", "/x"), "not writable: PermissionError: [Errno 13]"),
        (RuntimeError("size mismatch\nfor x"), "RuntimeError: size mismatch"),
    ],
)
def test_explanations_say_what_to_do(error, said):
    """Also where a library's own error hides the system's."""
    hiding = ValueError("could not")
    hiding.__context__ = error
    if isinstance(error, OSError | MemoryError):
        assert explain(hiding).startswith(said.partition(":")[0])
    assert explain(error).startswith(said)
    assert "\n" not in explain(error)
