"""`bench verify --retrain`: a run again gives the same figures, and a record that says otherwise is named."""

import shutil

import pytest

from disentangle_bench.benchmarks import launchers
from disentangle_bench.benchmarks.commands import verify
from disentangle_bench.benchmarks.launchers import rerun
from disentangle_bench.benchmarks.launchers.base import Launch, LaunchResult
from disentangle_bench.benchmarks.planning.cell import contradiction
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.evaluation.records import find_records, read_record, seal
from disentangle_bench.json_files import write_json
from tests.benchmarks.conftest import make_cell
from tests.evaluation.leaderboard.conftest import make_record


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunFolder:
    cell = make_cell("random_init", "budget.epochs=1")
    launch = Launch(out=tmp_path_factory.mktemp("runs"), command="bench run")
    assert not launchers.run("local", [cell], launch).failed
    return RunFolder(cell.folder(launch.out))


@pytest.fixture
def run(finished, tmp_path) -> RunFolder:
    shutil.copytree(finished.out, tmp_path / "runs")
    return RunFolder(tmp_path / "runs" / finished.path.relative_to(finished.out))


def test_a_run_again_gives_the_same(run, capsys):
    assert verify.command(str(run.out), retrain=1) == 0
    assert "1 of 1 runs were trained and judged again" in capsys.readouterr().out


def test_how_many_runs_and_how_long_is_told_before_the_first(run, capsys, monkeypatch):
    record = read_record(run.record)
    record["cost"] |= {"train_seconds": 2000.0, "eval_seconds": 700.0}
    write_json(run.record, seal({k: v for k, v in record.items() if k != "digest"}, run.outcomes))

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(rerun, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        rerun.differences(find_records(run.out)[0], 999)
    told = capsys.readouterr().err
    assert told == "bench: 1 of 1 runs are run again, 1 side by side: about 45 min by their recorded costs\n"


def test_a_record_that_no_run_gives_is_named(run):
    record = read_record(run.record)
    (row,) = (row for row in record["metrics"] if row["measure"] == "knn@1")
    row["scores"]["top1"] -= 1 / 360
    record["provenance"]["git"] = {"commit": "0" * 40, "dirty": False}
    write_json(run.record, seal({k: v for k, v in record.items() if k != "digest"}, run.outcomes))
    finding, why = rerun.differences(find_records(run.out)[0], 1)
    figures = row["scores"]["top1"]
    assert f"{run.record}: knn@1 features class top1 is recorded as {figures!r}, the run again gave 0." in finding
    assert "Next: with the recorded code, versions" in finding
    assert f"git differ: commit {'0' * 40} -> " in why


@pytest.mark.parametrize(("part", "name"), [("config", "settings"), ("cell", "seed")])
def test_a_record_of_another_configuration_is_named(part, name, run, capsys):
    """Though it was sealed anew; it isn't run again then."""
    record = read_record(run.record)
    record[part] |= {"options": record["config"]["options"] | {"lr": 9.0}} if part == "config" else {"seed": 5}
    write_json(run.record, seal({k: v for k, v in record.items() if k != "digest"}, run.outcomes))
    assert verify.command(str(run.out)) == 1
    finding, _ = capsys.readouterr().out.splitlines()
    assert finding.startswith(f"{run.record}: ")
    assert f"{name} of its cell is recorded as" in finding or "hash of its cell is recorded as" in finding
    assert "its configuration gives" in finding
    assert finding.endswith(
        "Next: put the record back as it was, or verify it with the version of the suite that made it"
    )
    if part == "config":
        assert rerun.differences(find_records(run.out)[0], 1) == []


def test_a_record_of_an_encoder_from_elsewhere_cannot_be_run_again(run):
    record = read_record(run.record)
    record["config"] = {"dataset": "digits"}
    write_json(run.record, seal({k: v for k, v in record.items() if k != "digest"}, run.outcomes))
    (finding,) = rerun.differences(find_records(run.out)[0], 1)
    assert "method is missing" in finding


def test_a_run_that_fails_when_it_is_run_again_is_named_and_not_counted(run, monkeypatch, capsys):
    monkeypatch.setattr(rerun, "run", lambda name, cells, launch: LaunchResult(failed=[(cells[0], "no room")]))
    (finding,) = rerun.differences(find_records(run.out)[0], 1)
    assert finding.startswith(f"{run.record}: could not be run again: no room. Next: ")
    assert capsys.readouterr().out == "0 of 1 runs were trained and judged again\n"


@pytest.mark.parametrize("name", ["dataset", "method", "seed", "settings", "hash"])
def test_whatever_of_a_cell_is_not_of_its_configuration_is_named(name):
    record = make_record()
    assert contradiction(record) is None
    record["cell"][name] = 5 if name == "seed" else "another"
    assert contradiction(record).startswith(f"{name} of its cell is recorded as {record['cell'][name]!r}, its conf")
