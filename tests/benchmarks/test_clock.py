"""A clock that is set back while cells run: nothing waits for it, and nothing alive is taken for dead."""

import itertools
import time

import psutil

from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.execution import run_cell
from disentangle_bench.benchmarks.launchers import survey
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.folder import State
from tests.benchmarks.conftest import make_cell, reason_of


def test_a_clock_set_back_again_and_again(here, monkeypatch, capfd):
    good, bad = make_cell("pixels"), make_cell("random_init")
    hours, build = itertools.count(), run_cell.build_data

    def fail(cell):
        if cell == bad:
            raise RuntimeError("an odd thing")
        return build(cell)

    monkeypatch.setattr(run_cell, "build_data", fail)
    monkeypatch.setattr(time, "time", lambda: 1.7e9 - 3600.0 * next(hours))
    for _ in range(2):  # what the first attempt left is later than all that the second one does
        outcome = launchers.run("local", [good, bad], here)
        assert outcome.complete == [good]
        assert reason_of(outcome, bad).startswith("RuntimeError: an odd thing")
    assert next(hours) > 2
    (done,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("done")]
    assert 0 <= int(done.split()[-2]) < 60, done
    found = {one.title: (one.found.state, survey._age(one.found.since)) for one in survey.survey(here.out)}
    assert found[bad.title] == (State.FAILED, "0 s"), "it failed later than now is"


def test_a_living_process_stays_the_one_that_it_was(monkeypatch):
    """Linux tells when a process started from when the machine did, and that from the clock."""
    own, begun, boot_time = lock.ProcessId.this(), psutil.Process().create_time(), psutil.boot_time()
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time - 3600)
    if hasattr(psutil, "_pslinux"):
        monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: boot_time - 3600)
        assert psutil.Process().create_time() == begun - 3600, "the test shows something"
    assert own.find() is not None
    assert lock.ProcessId(own.host, own.pid, own.created + 1).find() is None
