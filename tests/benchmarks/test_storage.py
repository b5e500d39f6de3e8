"""Room: what runs take, what can be given back, and folders brought together."""

import os
import shutil
from pathlib import Path

import pytest

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.launchers import slurm_queue
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs import cleanup, lock
from disentangle_bench.benchmarks.runs.folder import CellLaunch, RunConfig, RunFolder
from disentangle_bench.evaluation.records import FILE, find_records, read_record, seal
from disentangle_bench.json_files import write_json
from tests.evaluation.leaderboard.conftest import make_record

KEPT = {FILE, "outcomes.npz", "config.json", "log.txt"}


def make_run(out, seed=0, top1=0.9, complete=True):
    record = make_record(seed=seed, top1=top1)
    run = RunFolder(out / "digits" / "simclr" / record["cell"]["hash"])
    for path in (run.outcomes, run.config, run.log, run.weights, run.encoder, run.features / "test" / "x.f32"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1_000_000))
    if complete:
        write_json(run.record, seal(record, run.outcomes))
    return run


def files(run):
    return {path.name for path in run.path.iterdir()} if run.path.exists() else set()


def test_du_says_what_takes_room(tmp_path, capsys):
    make_run(tmp_path)
    make_run(tmp_path, seed=1)
    assert main(["du", "--out", str(tmp_path)]) == 0
    header, _, row, total, _, clean = capsys.readouterr().out.splitlines()
    told = dict(zip(header.split()[4:], row.split()[3:], strict=True))
    assert row.split()[:3] == ["digits", "simclr", "2"]
    assert told == {
        "records": "2.0",
        "weights": "4.0",
        "features": "2.0",
        "other": "4.0",
        "all": "12.0",
    }
    assert total.split()[1:] == row.split()[2:]
    assert clean == f"MB; `bench clean --out {tmp_path}` gives back 2.0 of them"


def test_clean_gives_back_features_then_weights_and_never_a_record(tmp_path, capsys):
    run, unfinished = make_run(tmp_path), make_run(tmp_path, seed=1, complete=False)
    before = files(unfinished)
    assert main(["clean", "--out", str(tmp_path), "--dry-run"]) == 0
    assert "1.0 MB  would be given back" in capsys.readouterr().out
    assert run.features.exists()
    main(["clean", "--out", str(tmp_path)])
    assert files(run) == KEPT | {run.weights.name, run.encoder.name}
    main(["clean", "--out", str(tmp_path), "--weights"])
    assert files(run) == KEPT
    assert files(unfinished) == before
    cell = Cell("digits", "simclr", 1, {}, {}, {"epochs": 1}, "32-true", ["linear@1"])
    unfinished.write_config(RunConfig(cell, CellLaunch("bench run")))
    unfinished.fail("no reason")
    main(["clean", "--out", str(tmp_path)])
    assert files(unfinished) >= before
    main(["clean", "--out", str(tmp_path), "--failed"])
    assert not unfinished.path.exists()
    assert files(run) == KEPT


def test_clean_leaves_alone_what_somebody_is_at(tmp_path, capsys):
    run = make_run(tmp_path)
    with lock.hold(run.lock):
        main(["clean", "--out", str(tmp_path)])
    assert run.features.exists()
    assert "0.0 MB  given back" in capsys.readouterr().out


def test_clean_leaves_a_run_whose_job_waits(tmp_path, monkeypatch):
    """Preempted without a word, and given in again by the cluster itself: only the queue knows of it."""
    run = make_run(tmp_path, complete=False)
    cell = Cell("digits", "simclr", 0, {}, {}, {"epochs": 1}, "32-true", ["linear@1"])
    run.write_config(RunConfig(cell, CellLaunch("bench run")))
    slurm_queue.note_job(run, "12_3")
    for queue, stays in (({"12_3": "PENDING: Priority"}, True), (None, True), ({}, False)):
        monkeypatch.setattr(slurm_queue, "ask_queue", lambda needed, queue=queue: slurm_queue.Queue(queue))
        assert main(["clean", "--failed", "--out", str(tmp_path)]) == 0
        assert run.config.exists() == stays


def test_a_complete_run_keeps_no_word_of_its_attempts_and_what_is_being_written(tmp_path):
    """A launcher may write beside it, without the run's lock; what a killed process was writing goes."""
    run = make_run(tmp_path)
    before = files(run)
    run.checkpoints.mkdir()
    for path in (run.checkpoints / "last.ckpt", run.progress, run.failure, run.job):
        path.touch()
    dead, alive, foreign = (f".job.json.{pid}.tmp" for pid in (f"{2**22 + 1}-1", f"{os.getpid()}-1", "x"))
    for name in (dead, alive, foreign):
        (run.path / name).touch()
    cleanup.clear(run)
    assert files(run) == before | {alive}


def test_merge_copies_what_is_complete_and_keeps_what_is_there(tmp_path, capsys):
    here, there = tmp_path / "here", tmp_path / "there"
    mine = make_run(here)
    for seed in (0, 1):
        make_run(there, seed=seed)
    make_run(there, seed=2, complete=False)
    started = make_run(here, seed=1, complete=False)
    shutil.rmtree(started.features)
    assert main(["merge", str(there), "--out", str(here)]) == 0
    assert capsys.readouterr().out == "1 copied, 1 already there, 1 left out, not complete\n"
    assert read_record(started.record)["cell"]["seed"] == 1
    assert started.weights.exists()
    assert not started.features.exists(), "they take most of the room, and can be encoded again"
    changed = make_run(tmp_path / "changed", top1=0.2)
    assert changed.hash == mine.hash
    assert main(["merge", str(tmp_path / "changed"), "--out", str(here)]) == 1
    assert f"{changed.path}: there is another record of this cell, which stays" in capsys.readouterr().err
    assert read_record(mine.record)["metrics"][0]["scores"]["top1"] == 0.9


def test_merge_asks_for_figures_not_for_seconds(tmp_path, capsys):
    """The same cell on two machines took another time, and may have been asked for more on one of them."""
    make_run(tmp_path / "here")
    there = make_run(tmp_path / "there")
    record = read_record(there.record)
    record["metrics"][0]["seconds"] += 1
    record["metrics"].append({**record["metrics"][0], "measure": "knn@1"})
    record["config"]["measures"] = ["linear@1", "knn@1"]
    write_json(there.record, seal(record, there.outcomes))
    for folder, out in (("here", "there"), ("there", "here")):
        assert main(["merge", str(tmp_path / folder), "--out", str(tmp_path / out)]) == 0
        assert capsys.readouterr().out == "1 already there\n"


def test_merge_takes_a_board_too(tmp_path, capsys):
    make_run(tmp_path / "there")
    assert main(["leaderboard", "--out", str(tmp_path / "there"), "--board", str(tmp_path / "board")]) == 0
    other = make_run(tmp_path / "here", complete=False)
    assert other.weights.exists()
    capsys.readouterr()
    assert main(["merge", str(tmp_path / "board"), "--out", str(tmp_path / "here")]) == 0
    assert capsys.readouterr().out == "1 copied\n"
    assert not other.weights.exists(), "of an unfinished run here, and not those of the record"


def test_merge_killed_before_the_end_leaves_no_record(tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    make_run(tmp_path / "there")
    monkeypatch.setattr("shutil.copyfile", killed)
    assert main(["merge", str(tmp_path / "there"), "--out", str(tmp_path / "here")]) == 130
    assert not list((tmp_path / "here").rglob(FILE))


@pytest.mark.parametrize("folders", [[], ["nowhere"], ["same"]])
def test_merge_of_nothing_is_a_wrong_request(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "same")
    assert main(["merge", *folders, "--out", "same"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("level", ["runs/digits", "."])
def test_merge_of_a_folder_above_or_below_names_the_right_one(level, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs")
    assert main(["merge", level, "--out", "elsewhere"]) == 2
    assert capsys.readouterr().err.endswith(f"which seems to be {tmp_path / 'runs'}\n")
    assert not Path("elsewhere").exists()


def test_a_data_set_that_lies_on_another_disk_is_read_through_its_link_once(tmp_path, capsys):
    make_run(tmp_path / "disk")
    for link in ("digits", "again"):
        (tmp_path / "runs").mkdir(exist_ok=True)
        (tmp_path / "runs" / link).symlink_to(tmp_path / "disk" / "digits")
    assert main(["leaderboard", "--out", str(tmp_path / "runs")]) == 0
    assert "| simclr " in capsys.readouterr().out
    found, problems = find_records(tmp_path / "runs")
    assert (len(found), problems) == (1, [])
    assert main(["merge", str(tmp_path / "runs"), "--out", str(tmp_path / "copy")]) == 0
