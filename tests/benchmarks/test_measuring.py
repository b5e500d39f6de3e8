"""More measures for runs that are complete: nothing is trained or measured twice."""

import os
import shutil
from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file

from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.execution import build, run_cell
from disentangle_bench.benchmarks.execution import measure as measuring
from disentangle_bench.benchmarks.execution.pretrained.forecast import spaces_of
from disentangle_bench.benchmarks.execution.train import Trained
from disentangle_bench.benchmarks.launchers.base import prepare
from disentangle_bench.benchmarks.runs import feature_cache, lock
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.benchmarks.runs.weights import state_hash
from disentangle_bench.evaluation.records import digest_of_file, read_record
from disentangle_bench.json_files import read, write_json
from disentangle_bench.methods.pretrained.encoder import Encoder


@pytest.fixture
def trained(launch, cell):
    outcome = launchers.run("local", [cell], launch)
    assert not outcome.failed, outcome.failed
    return cell, RunFolder(cell.folder(launch.out))


def test_what_a_record_lacks_is_added_without_training_or_measuring_again(trained, launch, monkeypatch):
    cell, run = trained
    before = read_record(run.record)
    assert before["provenance"]["device"] == "cpu"
    more = replace(cell, measures=["kmeans@2", "linear@1"])
    assert more.hash == cell.hash
    assert not run.is_complete(more.measures)
    measured = []
    original = measuring.protocol.evaluate

    def evaluate(bank, targets, measures, *rest):
        measured.extend(measures)
        return original(bank, targets, measures, *rest)

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(measuring.protocol, "evaluate", evaluate)
    monkeypatch.setattr(run_cell, "train", refuse)
    monkeypatch.setattr(measuring.features, "_encode_part", refuse)
    prepare(more, launch)
    run_cell.run_cell(run)
    after = read_record(run.record)
    assert measured == ["kmeans@2"]
    assert after["config"]["measures"] == ["linear@1", "knn@1", "kmeans@2"]
    assert after["metrics"][: len(before["metrics"])] == before["metrics"]
    assert {row["measure"] for row in after["metrics"]} == {"linear@1", "knn@1", "kmeans@2"}
    assert after["provenance"]["earlier"][0]["measures"] == ["knn@1", "linear@1"]
    assert after["cost"]["eval_seconds"] > before["cost"]["eval_seconds"]
    assert run.is_complete(cell.measures)
    assert run.is_complete(more.measures)

    prepare(replace(cell, measures=["kmeans@2", "linear@1", "silhouette@1"]), launch)
    with monkeypatch.context() as patch:
        patch.setattr(measuring.artefacts, "write", Mock(side_effect=KeyboardInterrupt))  # what comes after measuring
        with pytest.raises(KeyboardInterrupt):
            run_cell.run_cell(run)
    assert read_record(run.record) == after
    assert digest_of_file(run.outcomes) == after["outcomes"], "the one still fits the other"
    assert measured.pop() == "silhouette@1"
    after["provenance"]["encoder"] = "of other weights"
    write_json(run.record, after)
    data, encoder = build.build_data(more), read(Trained, run.trained).encoder
    found = measuring.measure(more, build.build_method(more, data), data, run, encoder, ProgressFile(run))
    assert measured[1:] == ["kmeans@2", "linear@1"]  # nothing is taken over from another encoder
    assert not found.earlier


def test_features_are_kept_while_there_is_room_oldest_out_first(tmp_path, monkeypatch):
    runs = [tmp_path / "digits" / "simclr" / name for name in ("old", "busy", "new")]
    runs[0].parent.mkdir(parents=True)
    (runs[0].parent / "notes.txt").touch()  # of somebody's own, beside the runs
    for age, run in enumerate(runs):
        (run / "features").mkdir(parents=True)
        (run / "features" / "x.f32").write_bytes(bytes(1000))
        os.utime(run / "features", (age, age))
    monkeypatch.setenv(feature_cache.LIMIT, "0.000003")
    feature_cache.prune(tmp_path)
    assert all((run / "features").exists() for run in runs)
    monkeypatch.setenv(feature_cache.LIMIT, "0.0000025")
    with lock.hold(runs[0] / ".lock"):
        feature_cache.prune(tmp_path)
    assert [(run / "features").exists() for run in runs] == [True, False, True]
    (runs[1] / "features").mkdir()
    (runs[1] / "features" / "x.f32").write_bytes(bytes(1000))
    os.utime(runs[1] / "features", (1, 1))
    feature_cache.prune(tmp_path)
    assert [(run / "features").exists() for run in runs] == [False, True, True]
    monkeypatch.setenv(feature_cache.LIMIT, "0.0000001")
    with lock.hold(runs[1] / ".lock"):
        feature_cache.prune(tmp_path)
    assert [(run / "features").exists() for run in runs] == [False, True, False]
    shutil.rmtree(tmp_path / "digits")
    feature_cache.prune(tmp_path)


@pytest.mark.parametrize("name", ["method.safetensors", "encoder.safetensors"])
def test_damaged_weights_are_made_anew(trained, launch, name):
    cell, run = trained
    file, content = run.path / name, (run.path / name).read_bytes()
    before = state_hash(load_file(file))
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    more = replace(cell, measures=["kmeans@2", "linear@1", "knn@1"])
    assert launchers.run("local", [more], launch).complete == [more]
    assert state_hash(load_file(file)) == before
    assert file.stat().st_mode & 0o777 == run.record.stat().st_mode & 0o777
    assert not run.log.stat().st_mode & 0o111


def test_the_hash_of_weights_is_of_their_names_shapes_kinds_and_values():
    one = {"a": torch.arange(4.0), "b": torch.zeros(2)}
    others = [
        {"a": one["a"], "c": one["b"]},
        {"a": one["a"].view(2, 2), "b": one["b"]},
        {"a": one["a"].view(torch.int32), "b": one["b"]},
        {"a": one["a"] + torch.tensor([0, 0, 0, 1]), "b": one["b"]},
    ]
    assert state_hash(dict(reversed(one.items()))) == state_hash(one)
    assert len({state_hash(state) for state in (one, *others)}) == 5


class SeesHowMany(torch.nn.Module):
    """Tells how many images it was given at a time; their pixels are never made."""

    def __init__(self):
        super().__init__()
        self.given: list[int] = []

    def embed(self, image):
        self.given.append(len(image))
        return {"features": torch.ones(len(image), 2)}


@pytest.mark.parametrize(("edge", "most"), [(416, 512), (4096, 4)])
def test_large_images_are_encoded_as_many_at_a_time_as_memory_holds(cell, launch, monkeypatch, edge, most):
    """A batch of 512 at 4096 pixels takes 34 GB for each grey channel, and the system kills without a word."""
    data, seen = build.build_data(cell), SeesHowMany()
    encoder = Encoder(seen, image_shape=(1, edge, edge), mean=(0,), std=(1,))
    monkeypatch.setattr(encoder, "embed", seen.embed)
    run = RunFolder(cell.folder(launch.out))
    run.path.mkdir(parents=True)
    measuring.encode_splits(encoder, data, run, "e")
    measuring.as_network(encoder, data).encode_once("k", torch.zeros(600, 1, 8, 8, dtype=torch.uint8))
    assert max(seen.given) == most
    seen.given.clear()
    spaces_of(encoder, data)
    assert max(seen.given) == min(most, 32)
