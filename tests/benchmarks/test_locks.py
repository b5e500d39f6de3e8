"""The lock of a cell: one holder at a time, no file left, free when its holder is dead."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from disentangle_bench.benchmarks.runs import lock

TURNS, PROCESSES = 100, 4


def count_up(folder: Path) -> None:
    """Read a number and write the next one, many times: turns that overlap lose some."""
    counter = folder.parent / "counter"
    for _ in range(TURNS):
        with lock.hold(folder / ".lock", seconds=60):
            counter.write_text(str(int(counter.read_text()) + 1))


def hold_for_ever(folder: Path) -> None:
    with lock.hold(folder / ".lock"):
        time.sleep(600)


def test_turns_do_not_overlap_though_the_file_is_removed_after_each(tmp_path):
    folder = tmp_path / "cell"
    folder.mkdir()
    (tmp_path / "counter").write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=count_up, args=(folder,)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert int((tmp_path / "counter").read_text()) == TURNS * PROCESSES
    assert not list(folder.iterdir())


def test_lock_goes_with_whatever_ends_the_work(tmp_path):
    path = tmp_path / ".lock"

    @lock.hold(path)
    def fail():
        assert lock.holder(path) == lock.ProcessId.this()
        with pytest.raises(lock.Taken), lock.hold(path, seconds=0):
            pass
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())


def test_lock_of_a_killed_process_is_free(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=hold_for_ever, args=(tmp_path,))
    process.start()
    path = tmp_path / ".lock"
    while not lock.holder(path) or not lock.signature(path).pid:  # held and signed
        assert process.is_alive()
        time.sleep(0.01)
    assert lock.holder(path).pid == process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert lock.holder(path) is None
    assert lock.signature(path).pid == process.pid, "whose it was can still be told"
    with lock.hold(path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_is_signed_afresh_over_a_longer_name(tmp_path):
    """Of a killed process on a machine with a long name, whose file was left."""
    path = tmp_path / ".lock"
    path.write_text(json.dumps(asdict(lock.ProcessId("a" * 100, 2**22, 1.5))))
    with lock.hold(path):
        assert lock.holder(path) == lock.ProcessId.this()


def test_looking_does_not_get_in_the_way(tmp_path):
    assert lock.holder(tmp_path / ".lock") is None
    assert not list(tmp_path.iterdir())
