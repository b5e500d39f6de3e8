"""A short run of `make fuzz`, and what the terminal gets."""

import io
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from disentangle_bench import files
from disentangle_bench.benchmarks import terminal
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.runs import cleanup
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.files import file_name, read_bytes, replacing, write_file
from tests.fuzz import COMMAND, Fuzz, fuzz
from tests.hostile_cases import REQUEST
from tests.sandbox import Sandbox, wait


def test_hostile_input_is_refused_in_a_line_and_writes_nothing(tmp_path):
    state = Fuzz(tmp_path)
    fuzz(state, 0, 12)
    assert not state.wrong
    assert state.codes[2], "some of them are refused"


def test_the_sandbox_sees_what_must_not_be(tmp_path):
    sandbox = Sandbox(tmp_path)
    (sandbox.work / "mine.py").write_text("import pathlib; pathlib.Path('../../x').write_text(''); 1/0")
    ended = sandbox.run([*REQUEST[:-4], "--method", "mine.X"])
    assert ended.code == 2
    assert ended.outside == (f"open {tmp_path.parent / 'x'}",)
    assert any(line.startswith("wrote outside") for line in ended.wrong("run"))


def test_threads_of_the_parent_hang_no_request(tmp_path, monkeypatch):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.rand(4_000_000).exp()  # OpenMP's pool is there now, and no fork has it
        ended = Sandbox(tmp_path).run(REQUEST, seconds=4)
    finally:
        torch.set_num_threads(before)
    assert ended.code == 0, ended.err


def test_a_request_that_waits_is_a_hang_and_says_where_it_stood(tmp_path):
    signal.signal(signal.SIGABRT, signal.SIG_DFL)  # as after a test that trained
    sandbox = Sandbox(tmp_path)
    (sandbox.work / "sleeps.py").write_text("import time\ntime.sleep(30)")
    ended = sandbox.run([*REQUEST[:-4], "--method", "sleeps.X"], seconds=2)
    assert ended.code == -signal.SIGABRT
    assert 2 < ended.seconds < 7
    assert 'sleeps.py", line 2' in ended.err


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel doesn't count who waits")
def test_a_busy_machine_is_no_hang():
    core = min(os.sched_getaffinity(0))
    start = time.monotonic()
    busy = [os.fork() for _ in range(2)]
    if 0 in busy:
        os.sched_setaffinity(0, {core})
        while time.process_time() < 0.3:
            pass
        os._exit(0)
    took = [wait(pid, start, 30)[2] for pid in busy]
    assert max(took) < 0.75 * (time.monotonic() - start)


@pytest.mark.parametrize("arguments", [["--sui", "smoke"], ["--out", ""], ["--jobs", "9999999"], ["--out", "a\x1bb"]])
def test_what_cannot_be_meant_is_refused(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main([*REQUEST, *arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "setting",
    ["vicreg.lr=0.1", "method.lr=", "precision=", "data.batch_size=null", "budget.minutes=1e12", "method.init=timm"],
)
def test_settings_that_change_nothing_or_have_no_value_are_refused(setting, capsys):
    assert main([*REQUEST, "--set", setting]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_no_network_is_no_backbone(tmp_path, monkeypatch, capsys):
    (tmp_path / "numbers_only.py").write_text("three = 3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert main([*REQUEST, "--set", "method.backbone=numbers_only.three"]) == 2
    assert "backbone numbers_only.three: expected a class or a function" in capsys.readouterr().err


def test_a_board_that_cannot_be_is_said_in_one_line(tmp_path, capsys):
    (tmp_path / "result.json").write_text("[1]")
    (tmp_path / "file").touch()
    assert main(["leaderboard", "--out", str(tmp_path), "--board", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "command", [["merge", "."], ["leaderboard", "--out", "."], ["report", "--out", "."], ["verify", "."]]
)
def test_a_folder_of_everything_is_no_folder_of_runs(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "MOST_FOLDERS", 20)
    for number in range(30):
        (tmp_path / str(number)).mkdir()
    assert main(command) == 2
    assert "more than 20 folders without a result.json" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 30
    for number in range(30):
        (tmp_path / str(number) / "result.json").touch()
    assert len(files.find_files(tmp_path, "result.json")) == 30, "as many as there are runs"


def test_a_current_folder_that_is_gone_is_said(tmp_path, monkeypatch, capsys):
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(REQUEST) == 2
    assert capsys.readouterr().err == "bench: the current folder is no longer there: change to one that is\n"


def test_the_terminal_gets_text_only():
    raw = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    terminal.Plain(raw).write("\x1b[31m caf\u00e9 \u202e\n")
    raw.flush()
    assert raw.buffer.getvalue() == b"\\x1b[31m caf\\xe9 \\u202e\n"


def test_a_full_terminal_is_said():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([*COMMAND, "list", "suites"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "bench: standard output can't be written: No space left on device\n"


def test_names_are_safe_and_unique():
    odd = ["../x", "/etc", ".", "", "a\x00b", "x" * 300, "\ud800", "a/b", "a-b", "-a", "\u00e9", "a b"]
    names = [file_name(name) for name in odd]
    assert len(set(names)) == len(odd)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") for name in names)
    assert not any(name.startswith((".", "-")) or len(name) > 80 for name in names)
    assert file_name("a", ".svg", {"a.svg"}) not in ("a.svg", file_name("b", ".svg"))


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    write_file(path, "old")

    def fails():
        with replacing(path) as beside:
            beside.write_text("new")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fails()
    assert read_bytes(path) == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_living_process_writes_is_not_taken_for_left(tmp_path):
    run = RunFolder(tmp_path)
    with replacing(run.config) as beside:
        beside.write_text("{}")
        (tmp_path / ".config.json.999999999-1.tmp").touch()
        cleanup.clear_unfinished(run)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
