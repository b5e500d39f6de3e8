"""The state of a run from its folder: whatever lies there is named, and takes no other run along."""

import json
import os
import time
from dataclasses import asdict, replace

import psutil
import pytest

from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.launchers import local, run, survey
from disentangle_bench.benchmarks.launchers.base import NO_REASON, ExitReport, prepare
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.folder import CellLaunch, ExitStatus, Progress, RunConfig, RunFolder, State
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.files import LONGEST_NAME, file_name
from disentangle_bench.json_files import BadJson, from_dict, write_json
from tests.benchmarks.conftest import make_cell, reason_of
from tests.evaluation.leaderboard.conftest import make_record

SPOILT = ("", "[", "[]", "3", '"text"', "null", "{}", '{"reason": 3, "time": "now"}', "[" * 20_000)
PROCESS = asdict(lock.ProcessId.this())


@pytest.fixture
def started(cell, launch) -> RunFolder:
    """A run that was begun, and whose process is gone."""
    folder = prepare(cell, launch)
    folder.log.touch()
    return folder


@pytest.mark.parametrize("name", ["config", "failure", "job"])
def test_a_side_file_that_is_not_what_it_should_be_is_unknown_and_named(name, started, launch, capsys):
    path = getattr(started, name)
    for text in SPOILT:
        path.write_text(text)
        found = started.state()
        assert found.state == State.UNKNOWN, text
        assert found.detail.startswith(path.name), text
    path.unlink()
    path.mkdir()
    assert started.state().detail == f"{path.name}: not readable (not a regular file)"
    other = prepare(make_cell("random_init"), launch)
    assert other.state().state == State.QUEUED
    assert main(["status", "--out", str(launch.out)]) == 0
    assert "1 queued, 1 unknown" in capsys.readouterr().out
    with lock.hold(started.lock):
        assert started.state().state == State.RUNNING, "who holds the lock is at it, whatever lies beside"


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "1e999", "true", "null"])
def test_figures_that_are_none_are_unknown(figure, started):
    started.failure.write_text(f'{{"reason": "out of memory", "time": {figure}}}')
    assert started.state().state == State.UNKNOWN
    started.failure.write_text('{"reason": "out of memory", "time": 1.5}')
    assert (started.state().state, started.state().since) == (State.FAILED, 1.5)


def test_progress_that_cannot_be_read_does_not_stop_a_watcher(started):
    for text in SPOILT[:-3]:
        started.progress.write_text(text)
        assert started.read_progress().phase == "starting", text


def test_the_first_word_of_each_phase_is_written_at_once(started, monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    progress = ProgressFile(started)
    for phase in ("train", "measures"):
        progress.update(phase, 0, 10)
        progress.update(phase, 1, 10)
        assert (started.read_progress().phase, started.read_progress().done) == (phase, 0)
    progress.update("measures", 10, 10)
    assert started.read_progress().done == 10


def test_the_cluster_decides_on_its_jobs(started):
    write_json(started.job, {"id": "7_0", "time": time.time(), "cancelled": False})
    answers = {None: State.UNKNOWN, "RUNNING": State.RUNNING, "PENDING: Priority": State.QUEUED, "": State.STALE}
    for said, state in answers.items():
        assert started.state(None if said is None else {"7_0": said} if said else {}).state == state


def test_of_several_things_to_say_the_newest_word_on_the_run_counts(started):
    """Stopped, then failed when it went on, then given to the cluster again, whose word stands while it has the job."""
    assert started.state().state == State.STALE
    write_json(started.progress, asdict(Progress(stopped="Ctrl-C")))
    assert (started.state().state, started.state().detail) == (State.STOPPED, "asked to by Ctrl-C")
    started.fail("out of memory")
    assert (started.state().state, started.state().detail) == (State.FAILED, "out of memory")
    write_json(started.job, {"id": "7_0", "time": time.time(), "cancelled": False})
    assert started.state({"7_0": "PENDING: Priority"}).state == State.QUEUED
    assert started.state({}).state == State.FAILED
    with lock.hold(started.lock):
        assert started.state({"7_0": "PENDING: Priority"}).state == State.RUNNING


def test_a_complete_run_is_complete_whatever_lies_beside_its_record(cell, started):
    record = make_record()
    record["cell"]["hash"], record["config"]["measures"] = started.hash, list(cell.measures)
    write_json(started.record, record)
    started.failure.write_text("[")
    assert started.state().state == State.COMPLETE
    record["config"]["measures"] = []
    write_json(started.record, record)
    assert started.state().state == State.UNKNOWN


def test_configuration_goes_through_json_unchanged(cell, launch):
    config = RunConfig(cell, launch.of_cell(0))
    plain = json.loads(json.dumps(asdict(config)))
    assert from_dict(RunConfig, plain, "config") == config
    with pytest.raises(BadJson, match="config: cell: seed: int expected, got '0'"):
        from_dict(RunConfig, plain | {"cell": plain["cell"] | {"seed": "0"}}, "config")
    with pytest.raises(BadJson, match="launch: devices: int expected, got '2'"):
        from_dict(RunConfig, plain | {"launch": {"command": "", "devices": "2"}}, "config")
    with pytest.raises(BadJson, match="command is missing"):
        from_dict(CellLaunch, {}, "config")


def test_a_record_completes_its_own_cell_alone_and_no_more_measures_than_it_has(started):
    record = make_record()
    assert not started.is_complete(["linear@1"])
    write_json(started.record, record)
    assert not started.is_complete(["linear@1"])  # of another cell
    record["cell"]["hash"] = started.hash
    write_json(started.record, record)
    assert started.is_complete(["linear@1"])
    assert not started.is_complete(["linear@1", "knn@1"])


def test_a_cell_that_waited_is_started_by_the_same_configuration(cell, launch):
    gpus = replace(launch, accelerator="gpu", device_ids=(0, 1))
    written = prepare(cell, gpus).config.stat().st_ino
    assert prepare(cell, gpus).config.stat().st_ino == written
    assert prepare(cell, gpus, slot=1).read_config().launch.device_ids == (1,), "it got another place than the first"


def test_a_number_that_is_another_process_now_is_not_asked_to_stop(started, launch, monkeypatch, capsys):
    """A killed run's number may have been given to somebody else's process since."""
    asked = []
    monkeypatch.setattr(survey.os, "kill", lambda pid, number: asked.append(pid))
    with lock.hold(started.lock):
        started.lock.write_text(json.dumps(PROCESS | {"created": 1.0}))
        assert main(["cancel", "--out", str(launch.out)]) == 1
        assert "cancel it there" in capsys.readouterr().err
        assert not asked
        started.lock.write_text(json.dumps(PROCESS))
        assert main(["cancel", "simclr", "--out", str(launch.out)]) == 0
        assert asked == [os.getpid()]


@pytest.fixture
def clock(monkeypatch):
    """Sets the wall clock by so many seconds, as a running Linux shows it: its own start moves along."""

    def set_by(seconds: float) -> None:
        now, boot, created = time.time, psutil.boot_time, psutil.Process.create_time
        monkeypatch.setattr(time, "time", lambda: now() + seconds)
        monkeypatch.setattr(psutil, "boot_time", lambda: boot() + (seconds if psutil.LINUX else 0))
        monkeypatch.setattr(
            psutil.Process, "create_time", lambda process: created(process) + (seconds if psutil.LINUX else 0)
        )

    return set_by


def test_a_clock_that_is_set_back_changes_no_state(cell, launch, clock, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(survey.os, "kill", lambda pid, number: asked.append(pid))
    waiting = prepare(make_cell("pixels"), launch)
    running = prepare(cell, launch)
    with lock.hold(running.lock):
        ProgressFile(running).update("train", 1, 2)
        clock(-7200)
        assert running.state().state == State.RUNNING
        assert running.state().holder == lock.ProcessId.this()
        assert waiting.state().state == State.QUEUED
        assert survey.report(launch.out).count(" 0 s ") == 2
        with pytest.raises(lock.Taken), lock.hold(running.lock, seconds=0):
            pass
        assert main(["cancel", "simclr", "--out", str(launch.out)]) == 0
        assert asked == [os.getpid()]
    assert "cancel it there" not in capsys.readouterr().err


@pytest.mark.parametrize("reason", ["of today", None])
def test_a_reason_is_of_this_attempt_whatever_the_clock_says(reason, cell, launch, clock, monkeypatch):
    """One of tomorrow, by a clock set back since, is not taken for that of this attempt, which may leave none."""
    prepare(cell, launch).fail("of tomorrow")
    clock(-86400)

    class Failed:
        def __init__(self, run: RunFolder):
            if reason:
                run.fail(reason)

        def poll(self) -> ExitReport:
            return ExitReport(ExitStatus.FAILED)

    monkeypatch.setattr(local, "start", lambda cell, launch, slot: Failed(prepare(cell, launch)))
    assert reason_of(launchers.run("local", [cell], launch), cell) == (reason or NO_REASON)


def test_one_blocked_cell_does_not_stop_the_others(cell, launch):
    other = make_cell("random_init", "budget.epochs=1")
    path = cell.folder(launch.out)
    path.parent.mkdir(parents=True)
    path.write_text("a file where the run's folder should be")
    outcome = run("local", [cell, other], launch)
    assert outcome.complete == [other]
    assert "its folder can't be used" in reason_of(outcome, cell)


def test_file_names_are_safe_short_and_unique():
    for name in ("simclr", "my_file.MyMethod", "a-b"):
        assert file_name(name) == name
    odd = [
        "timm:resnet18",
        "timm/resnet18",
        "..",
        ".hidden",
        "-x",
        "",
        "a" * 300,
        "a" * 301,
        "simclr (digits)",
        "é",
        "a b",
    ]
    made = [file_name(name) for name in odd]
    assert len(set(made)) == len(odd)
    for name in made:
        assert len(name) <= LONGEST_NAME
        assert not set(name) & set("/:() \0")
        assert name[0] not in ".-"
