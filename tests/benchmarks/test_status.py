"""`bench status` and `bench cancel`: the living are told from the dead, whoever started them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from disentangle_bench.benchmarks import signals
from disentangle_bench.benchmarks.__main__ import COMMANDS, main
from disentangle_bench.benchmarks.launchers.base import ExitReport, Scheduler, prepare
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.files import replacing
from tests.benchmarks.conftest import make_cell

SLOW = """
import time
from disentangle_bench.methods.base import Method

class Slow(Method):
    name = "slow"
    source = "a method whose batches take a minute"

    def training_step(self, batch, batch_idx):
        time.sleep(60)
        return self.backbone(self.views(batch, 1)[0]).mean()
"""


@pytest.fixture
def folders(launch):
    """Five cells of one folder, none of which has started."""
    return [prepare(make_cell("random_init", seed=seed), launch).path for seed in range(5)]


def states(out, capsys):
    assert main(["status", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    rows = {line.split("seed ")[1][0]: line.split()[0] for line in printed.splitlines() if "seed " in line[:40]}
    return rows, printed


def test_a_cell_that_has_said_nothing_yet_has_no_age(launch, capsys):
    run = prepare(make_cell("random_init"), launch)
    with lock.hold(run.lock):
        rows, printed = states(launch.out, capsys)
    assert rows == {"0": "running"}
    assert " d " not in printed, "since 1970"


def test_states_of_cells(folders, launch, capsys):
    for folder in folders[1:]:
        (folder / "log.txt").touch()
    ProgressFile(RunFolder(folders[1])).update("train", 3, 10, lambda: "loss 1.000")
    ProgressFile(RunFolder(folders[2])).update("train", 5, 10)
    ProgressFile(RunFolder(folders[2])).stopped("SIGTERM")
    (folders[3] / "failure.json").write_text(json.dumps({"reason": "no room left", "time": time.time()}))
    (folders[3] / "log.txt").write_text("".join(f"line {n}\n" for n in range(20)))
    with lock.hold(folders[4] / ".lock"):
        ProgressFile(RunFolder(folders[4])).update("train", 7, 10)
        rows, printed = states(launch.out, capsys)
        assert rows == {"0": "queued", "1": "stale", "2": "stopped", "3": "failed", "4": "running"}
        assert printed.count(f"pid {os.getpid()}") == 2, (
            "of the one that runs, and of the launcher of the one that waits"
        )
        assert "train 7/10" in printed
        assert "train 5/10" in printed, "how far it was when it was stopped"
        assert "train 3/10, loss 1.000" in printed
        assert "no room left" in printed
        assert "| line 19" in printed
        assert "| line 9\n" not in printed, "the end of the log is enough"
        assert "seed 1: its process ended without a word" in printed
        assert "asked to by SIGTERM" in printed
        assert "| (nothing in it)" in printed
    commands = ["bench run --out 'a b'", "bench run --out 'a b'", "bench $(a) ; b", "rm -r c", "bench '"]
    for folder, command in zip(folders, commands, strict=True):
        config = json.loads((folder / "config.json").read_text())
        config["launch"] |= {"command": command, "launcher": config["launch"]["launcher"] | {"pid": 2**22 + 1}}
        (folder / "config.json").write_text(json.dumps(config))  # nobody has a number as high as that
    rows, printed = states(launch.out, capsys)
    assert (rows["0"], rows["4"]) == ("not", "stale"), "not started, and not running any more"
    assert "seed 1: its process and the command that started it ended without a word" in printed
    quoted = ["bench '$(a)' ';' b", "bench run --out 'a b'"]
    assert printed.endswith("\n  ".join(["goes on from where it was with", *quoted]) + "\n"), "of no other program"
    config = json.loads((folders[0] / "config.json").read_text())
    config["launch"]["launcher"]["host"] = "another"
    (folders[0] / "config.json").write_text(json.dumps(config))
    rows, printed = states(launch.out, capsys)
    assert rows["0"] == "queued", "whether a process of another machine lives can't be told from here"
    assert f"another pid {2**22 + 1}" in printed
    assert not list(launch.out.rglob(".lock")), "looking leaves nothing behind"


def test_cells_of_one_title_say_what_they_differ_in_and_where_they_lie(launch, capsys):
    old, new = (prepare(make_cell("random_init", f"budget.epochs={n}"), launch).path for n in (1, 2))
    _, printed = states(launch.out, capsys)
    for path, epochs in ((old, 1), (new, 2)):
        (row,) = (line for line in printed.splitlines() if path.name in line)
        assert f"seed 0 (epochs={epochs})" in row
    assert f"remove its folder: {launch.out}/DATASET/METHOD/RUN" in printed
    shutil.rmtree(old)
    _, printed = states(launch.out, capsys)
    assert "epochs=" not in printed
    assert "remove" not in printed


def test_nothing_to_show_or_to_cancel(tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    assert main(["status", *out]) == 0
    assert "no cells under" in capsys.readouterr().out
    assert main(["cancel", *out]) == 0
    assert "nothing is running or queued" in capsys.readouterr().out
    assert main(["cancel", "simclr", *out]) == 2
    assert "cancel simclr: no such cell is running or queued" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["status", "cancel", "du", "clean"])
def test_a_folder_that_was_named_has_to_be_there(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([command, "--out", "mistyped"]) == 2
    assert capsys.readouterr().err.startswith("bench: --out mistyped: no such folder, name ")
    (tmp_path / "file").touch()
    assert main([command, "--out", "file"]) == 2
    assert capsys.readouterr().err.startswith("bench: --out file: not a folder, name ")
    assert main([command]) == 0, "before the first run there is no results/runs, which is no mistake"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.fixture
def slow_run(tmp_path):
    """A `bench run` of two cells, one after the other, whose first batch takes a minute."""
    (tmp_path / "slow.py").write_text(SLOW)
    command = ["run", "--suite", "smoke", "--method", "slow.Slow", "--dataset", "digits", "--seeds", "0,1"]
    run = subprocess.Popen(
        [sys.executable, "-m", "disentangle_bench.benchmarks", *command, "--out", "runs", "--jobs", "1"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    yield run
    run.kill()  # where the test failed; its cells go with it
    run.wait()


def test_cancel_ends_a_run_and_a_second_ctrl_c_kills_at_once(slow_run, tmp_path, capsys):
    """Cancelling asks the launcher, which waits for its cell's batch; another Ctrl-C doesn't wait."""
    out, run = tmp_path / "runs", slow_run
    wait_for(lambda: any(lock.signature(path).pid for path in out.rglob(".lock")), run)
    (path,) = out.rglob(".lock")
    cell = lock.signature(path).pid
    assert os.getpgid(cell) != os.getpgid(run.pid), "a signal to the launcher's group would reach the cell past it"
    wait_for(lambda: any(out.rglob("attempt_0")), run)
    assert main(["cancel", "seed 1", "--out", str(out)]) == 1
    assert "seed 1 waits for its turn in `bench run`" in capsys.readouterr().err
    assert main(["cancel", "--out", str(out)]) == 0
    assert "asked to stop: digits/slow.Slow seed 0" in capsys.readouterr().out
    time.sleep(1)
    assert run.poll() is None, "it waits for the end of the batch"
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "the same command goes on from here" in error
    assert lock.holder(path) is None
    with pytest.raises(ProcessLookupError):
        os.kill(cell, 0)
    assert not list(out.rglob("failure.json"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_command_that_is_stopped_tidies_up_and_promises_nothing(number, tmp_path, monkeypatch, capsys):
    """One that computes anew does not go on from anywhere."""

    def command() -> int:
        """Stopped while it writes."""
        with replacing(tmp_path / "page.html"):
            signal.raise_signal(number)
        return 0

    monkeypatch.setitem(COMMANDS, "report", command)
    before = {one: signal.signal(one, signal.SIG_DFL) for one in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored behind a shell's `&`
    try:
        assert main(["report"]) == 130
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert capsys.readouterr().err == "bench: interrupted\n"
    assert not list(tmp_path.iterdir())


def test_signals_wait_while_deferred(monkeypatch):
    monkeypatch.setattr(signals, "_received", None)
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    seen = []

    @signals.deferred()
    def work():
        os.kill(os.getpid(), signal.SIGUSR2)
        seen.append(signals.requested())

    try:
        signals.install()
        with pytest.raises(signals.Interrupted):
            work()
        assert seen == ["SIGUSR2"], "it was raised within"
        monkeypatch.setattr(signals, "_received", None)
        with pytest.raises(signals.Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # the second one must not cut the cleaning up short
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_cell_that_was_stopped_before_it_was_awake_is_no_riddle(launch, capsys):
    """Ctrl-C while its process still imports: nobody is there to leave word but the launcher."""

    class Asleep:
        ended = False

        def poll(self):
            return ExitReport(-signal.SIGTERM) if self.ended else None

        def stop(self):
            self.ended = True

        kill = stop

    class Starter:
        slots, stop_seconds = 1, 5

        @property
        def poll_seconds(self):
            raise KeyboardInterrupt

        def start(self, cell, slot):
            prepare(cell, launch).log.touch()
            return Asleep()

    cell = make_cell("random_init")
    with pytest.raises(KeyboardInterrupt):
        Scheduler([cell], launch, Starter(), 0).run()
    told = capsys.readouterr()
    assert "stopping 1 cell, to be gone on with later; Ctrl-C again kills at once" in told.err
    rows, printed = states(launch.out, capsys)
    assert rows == {"0": "stopped"}
    assert "its launcher, which was interrupted" in printed
