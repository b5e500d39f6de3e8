"""More measures for runs that are complete: nothing is trained or measured twice."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from disentangle_bench.benchmarks.execution import measure as judging
from disentangle_bench.benchmarks.execution import run_cell as runner
from disentangle_bench.benchmarks.launchers import local as matrix
from disentangle_bench.benchmarks.runs import feature_cache as banks
from disentangle_bench.evaluation.records import read_record, write_json


@pytest.fixture
def trained(launch, cell):
    outcome = matrix.run([cell], launch)
    assert not outcome.failed, outcome.failed
    return cell, cell.folder(launch.out)


def test_what_a_record_lacks_is_added_without_training_or_measuring_again(trained, launch, monkeypatch):
    cell, folder = trained
    before = read_record(folder / "result.json")
    more = replace(cell, measures=["kmeans@1", "linear@1"])
    assert more.hash == cell.hash
    assert not more.complete(launch.out)
    measured = []
    original = judging.protocol.evaluate

    def evaluate(bank, targets, measures, *rest):
        measured.extend(measures)
        return original(bank, targets, measures, *rest)

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(judging.protocol, "evaluate", evaluate)
    monkeypatch.setattr(runner, "train", refuse)
    monkeypatch.setattr(judging.features, "_encode_part", refuse)
    write_json(folder / "config.json", {"cell": more.as_dict(), "launch": settings(launch)})
    runner.run(folder)
    after = read_record(folder / "result.json")
    assert measured == ["kmeans@1"]
    assert after["config"]["measures"] == ["linear@1", "knn@1", "kmeans@1"]
    assert after["metrics"][: len(before["metrics"])] == before["metrics"]
    assert {row["measure"] for row in after["metrics"]} == {"linear@1", "knn@1", "kmeans@1"}
    assert after["provenance"]["earlier"][0]["measures"] == ["knn@1", "linear@1"]
    assert after["cost"]["eval_seconds"] > before["cost"]["eval_seconds"]
    assert cell.complete(launch.out)
    assert more.complete(launch.out)
    after["provenance"]["encoder"] = "of other weights"
    write_json(folder / "result.json", after)
    status = runner.Status(folder)
    data, trained = runner.build_data(more), json.loads((folder / "trained.json").read_text())
    found = judging.judge(more, runner.build_method(more, data), data, folder, trained["encoder"], status)
    assert measured[1:] == ["kmeans@1", "linear@1"]  # nothing is taken over from another encoder
    assert not found.earlier


def settings(launch):
    return {
        "accelerator": "cpu",
        "devices": 1,
        "nodes": 1,
        "device_ids": [],
        "threads": 1,
        "logger": "csv",
        "command": launch.command,
        "git": {"commit": "0" * 40, "dirty": False},
    }


def test_features_are_kept_while_there_is_room_oldest_out_first(tmp_path, monkeypatch):
    runs = [tmp_path / "digits" / "simclr" / name for name in ("old", "busy", "new")]
    for age, run in enumerate(runs):
        (run / "features").mkdir(parents=True)
        (run / "features" / "x.f32").write_bytes(bytes(1000))
        os.utime(run / "features", (age, age))
    monkeypatch.setenv(banks.ROOM, "0.000003")
    banks.prune(tmp_path)
    assert all((run / "features").exists() for run in runs)
    monkeypatch.setenv(banks.ROOM, "0.0000025")
    with banks.locks.hold(runs[0]):
        banks.prune(tmp_path)
    assert [(run / "features").exists() for run in runs] == [True, False, True]
    (runs[1] / "features").mkdir()
    (runs[1] / "features" / "x.f32").write_bytes(bytes(1000))
    os.utime(runs[1] / "features", (1, 1))
    banks.prune(tmp_path)
    assert [(run / "features").exists() for run in runs] == [False, True, True]
    monkeypatch.setenv(banks.ROOM, "0.0000001")
    with banks.locks.hold(runs[1]):
        banks.prune(tmp_path)
    assert [(run / "features").exists() for run in runs] == [False, True, False]
    shutil.rmtree(tmp_path / "digits")
    banks.prune(tmp_path)
