"""What is given to SLURM and asked of it, with stand-ins for its commands (test_slurm.py has the real ones)."""

import json
import os
import sys
from types import SimpleNamespace

import pytest

from disentangle_bench.benchmarks import machine
from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.failures import LESS_MEMORY
from disentangle_bench.benchmarks.launchers import slurm_queue
from disentangle_bench.benchmarks.launchers.base import ExitReport, prepare
from disentangle_bench.benchmarks.runs import lock
from disentangle_bench.benchmarks.runs.folder import ExitStatus, RunFolder

REQUEST = ["run", "--suite", "smoke", "--method", "random_init", "--dataset", "digits", "--launcher", "slurm"]
COMMANDS = {
    "sbatch": 'cp "$1" "$SLURM_STUB/submitted-$(ls "$SLURM_STUB" | grep -c submitted)"; echo "Submitted batch job 42"',
    "squeue": 'cat "$SLURM_STUB/queue"',
    "scancel": 'echo "$@" > "$SLURM_STUB/cancelled"',
    "srun": "",
    "scontrol": 'echo "JobId=42 JobState=OUT_OF_MEMORY ExitCode=0:125"',
}

OUT_OF_MEMORY = f"OUT_OF_MEMORY, exit code 0:125; give it more, --set resources.mem_gb=GIGABYTES, or {LESS_MEMORY}"


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A folder that holds what the stand-ins were given, and `queue`, which squeue prints."""
    folder, binaries = tmp_path / "stub", tmp_path / "bin"
    for made in (folder, binaries):
        made.mkdir()
    (folder / "queue").touch()
    for name, script in COMMANDS.items():
        (binaries / name).write_text(f"#!/bin/sh\n{script}\n")
        (binaries / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(binaries), prepend=":")
    monkeypatch.setenv("SLURM_STUB", str(folder))
    return folder


def test_jobs_are_given_in_once_and_can_be_followed_and_cancelled(stub, tmp_path, capsys):
    from submitit.core.utils import DelayedSubmission

    out = ["--out", str(tmp_path / "runs")]
    resources = ["timeout_min=60", "partition=long", "account=lab", "constraint=avx512", "mem_gb=8", "cpus_per_task=2"]
    resources += ["sbatch.mail-type=END", "sbatch.exclusive=true"]
    given = [word for one in [*resources, "max_parallel=1"] for word in ("--set", f"resources.{one}")]
    given += ["--set", "resources.gpus_per_node=0", "--set", "resources.max_requeues=7"]
    assert main([*REQUEST, *out, "--seeds", "0,1", *given, "--detach"]) == 0
    script = (stub / "submitted-0").read_text()
    for line in ("time=60", "partition=long", "account=lab", "constraint=avx512", "mem=8GB", "cpus-per-task=2"):
        assert f"#SBATCH --{line}" in script
    assert "#SBATCH --mail-type=END" in script
    assert "#SBATCH --exclusive\n" in script
    for line in ("array=0-1%1", "nodes=1", "ntasks-per-node=1", "signal=USR2@90"):
        assert f"#SBATCH --{line}" in script
    assert "gpus" not in script
    assert script.index("\nunset RANK\n") < script.index("\nsrun "), "of whatever gave it in"
    (pickled,) = (tmp_path / "runs" / ".jobs").glob("42_0_submitted.pkl")
    assert DelayedSubmission.load(pickled)._timeout_countdown == 7
    (command,) = [line for line in script.splitlines() if line.startswith("srun")]
    assert "--cpus-per-task=2" in command

    (stub / "queue").write_text("42_0|PENDING|Priority|\n42_1|RUNNING|None|node7\n7|RUNNING|None|node8\n")
    capsys.readouterr()
    assert main([*REQUEST, *out, "--seeds", "0,1", "--set", "resources.timeout_min=90", "--detach"]) == 0
    assert "0 jobs submitted, 2 were on their way already" in capsys.readouterr().err
    assert not (stub / "submitted-1").exists()
    assert main(["status", *out]) == 0
    printed = capsys.readouterr().out
    assert "PENDING: Priority" in printed
    assert "1 running, 1 queued" in printed
    assert main(["cancel", "seed 0", *out]) == 0
    assert (stub / "cancelled").read_text() == "42_0\n"

    (stub / "queue").write_text("")
    slurm_queue.log_of(tmp_path / "runs", "42_1").write_text("srun: error: no such node\n")
    assert main(["status", *out]) == 0
    printed = capsys.readouterr().out
    assert f"job 42_1 ended without a word ({OUT_OF_MEMORY})" in printed
    assert "| srun: error: no such node" in printed, "what its job said, since the cell has no log"
    first, _ = RunFolder.all_in(tmp_path / "runs")
    with lock.hold(first.lock):
        assert main([*REQUEST, *out, "--seeds", "0,1", "--detach"]) == 0
    assert "1 jobs submitted, 1 were on their way already" in capsys.readouterr().err, "one is run here"
    assert main([*REQUEST, *out, "--seeds", "0,1", "--detach"]) == 0
    assert "2 jobs submitted" in capsys.readouterr().err


def test_what_one_array_does_not_hold_goes_into_several(stub, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("disentangle_bench.benchmarks.launchers.slurm_submission.MOST_JOBS", 2)
    few = ["--set", "resources.max_parallel=3", "--set", "resources.gpus_per_node=0"]
    assert main([*REQUEST, "--out", str(tmp_path / "runs"), "--seeds", "0-3", *few, "--detach"]) == 0
    assert "4 jobs submitted" in capsys.readouterr().err
    scripts = [(stub / f"submitted-{number}").read_text() for number in (0, 1)]
    assert all("#SBATCH --array=0-1%1\n" in script for script in scripts), "three at once, shared by two arrays"
    assert not (stub / "submitted-2").exists()


def test_tuning_leaves_its_jobs_to_the_cluster_too(stub, tmp_path, capsys):
    asked = ["tune", "--suite", "smoke", "--method", "simclr", "--set", "tune.draws=2", "--launcher", "slurm"]
    asked += ["--to", str(tmp_path / "choice.json"), "--out", str(tmp_path / "runs"), "--detach"]
    assert main([*asked, "--devices", "2", "--set", "resources.gpus_per_node=0"]) == 0
    told = capsys.readouterr()
    assert "2 jobs submitted" in told.err
    assert "2 of 2 runs are still on their way; the same command chooses once they are there" in told.out
    assert "--ntasks-per-node=2" in (stub / "submitted-0").read_text()
    assert not (tmp_path / "choice.json").exists()


def test_files_of_a_job_stay_as_long_as_it_is_queued_or_its_cell_names_it(cell, launch):
    """One that was given in this moment is named by no cell yet, and would start without what it is to do."""
    slurm_queue.note_job(prepare(cell, launch), "12_0")
    folder = slurm_queue.folder_of(launch.out)
    slurm_queue.sweep(launch.out, {})  # where another launcher has removed the empty folder
    folder.mkdir()
    for job in ("12_0", "42_1", "7"):
        (folder / f"{job}_submitted.pkl").touch()
    slurm_queue.sweep(launch.out, {"42_1": "PENDING: Priority"})
    assert {path.name for path in folder.iterdir()} == {"12_0_submitted.pkl", "42_1_submitted.pkl"}


def test_what_a_shell_says_of_squeue_hides_no_job(stub, tmp_path, monkeypatch):
    """A user who has it list running jobs only, or a site that greets, must not have jobs given in twice."""
    hiding = 'echo "Welcome"; test -z "$SQUEUE_STATES" && echo "42|PENDING|Priority"; true'
    (tmp_path / "bin" / "squeue").write_text(f"#!/bin/sh\n{hiding}\n")
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    assert slurm_queue.jobs() == {"42": "PENDING: Priority"}


def test_several_gpus_and_machines(stub, tmp_path):
    gpus = ["--devices", "4", "--nodes", "2", "--set", "resources.gpus_per_node=4", "--set", "precision=bf16"]
    assert main([*REQUEST, *gpus, "--out", str(tmp_path / "runs"), "--detach"]) == 0
    script = (stub / "submitted-0").read_text()
    for line in ("nodes=2", "ntasks-per-node=4", "gpus-per-node=4"):
        assert f"#SBATCH --{line}\n" in script
    (config,) = (tmp_path / "runs").rglob("config.json")
    launch = json.loads(config.read_text())["launch"]
    assert (launch["accelerator"], launch["devices"], launch["nodes"]) == ("gpu", 4, 2)


def test_jobs_given_in_from_within_a_job_inherit_nothing_of_it(stub, tmp_path, monkeypatch):
    """Else srun refuses the memory of the one beside that of the other. What a user says to sbatch stays."""
    environment = tmp_path / "environment"
    (tmp_path / "bin" / "sbatch").write_text(f'#!/bin/sh\nenv > {environment}; echo "Submitted batch job 42"\n')
    given = {"SLURM_JOB_ID": "7", "SLURM_MEM_PER_CPU": "4000", "SUBMITIT_EXECUTOR": "slurm"}
    for name, value in (given | {"SLURM_CONF": "theirs.conf", "SBATCH_ACCOUNT": "lab"}).items():
        monkeypatch.setenv(name, value)
    request = [*REQUEST, "--out", str(tmp_path / "runs"), "--detach"]
    assert main(request) == 0
    seen = dict(line.split("=", 1) for line in environment.read_text().splitlines() if "=" in line)
    assert not given.keys() & seen.keys()
    assert (seen["SLURM_CONF"], seen["SBATCH_ACCOUNT"]) == ("theirs.conf", "lab")
    assert os.environ["SLURM_JOB_ID"] == "7"


def test_a_job_records_the_commit_of_the_code_that_it_loads(stub, tmp_path, monkeypatch, capfd):
    """Code may have changed while it waited in the queue."""
    from disentangle_bench.benchmarks.execution import record, run_cell
    from disentangle_bench.benchmarks.launchers import slurm_job as cluster

    assert main([*REQUEST, "--out", str(tmp_path / "runs"), "--detach"]) == 0
    (config,) = (tmp_path / "runs").rglob("config.json")
    told = []

    def stop(*given):
        told.append(given[0].git)
        raise RequestError("seen")

    monkeypatch.setattr(record, "git_state", lambda: {"commit": "later", "dirty": False})
    monkeypatch.setattr(run_cell, "require_gpus", stop)
    monkeypatch.setattr(cluster.os, "dup2", lambda *_: None)
    monkeypatch.setattr(cluster.signals, "install", lambda: None)
    monkeypatch.setattr(cluster.submitit, "JobEnvironment", lambda: SimpleNamespace(global_rank=0, job_id="42"))
    with pytest.raises(SystemExit):
        cluster.CellJob(config.parent)()
    assert told == [{"commit": "later", "dirty": False}]
    assert capfd.readouterr().err.splitlines()[-1] == "seen", "what says all in a line has no traceback in the log"


@pytest.mark.parametrize("seeds", ["0", "0,1"])
def test_a_dry_run_shows_the_batch_file(stub, tmp_path, capsys, seeds):
    request = [*REQUEST, "--seeds", seeds, "--set", "resources.mem_gb=7", "--out", str(tmp_path / "runs")]
    assert main([*request, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    assert main([*request, "--detach"]) == 0
    assert (stub / "submitted-0").read_text().strip() in shown


def shown_by(capsys, tmp_path, *given: str) -> set[str]:
    """Options for sbatch in the batch file of a dry run."""
    assert main([*REQUEST, *given, "--out", str(tmp_path / "runs"), "--dry-run"]) == 0
    assert not (tmp_path / "runs").exists()
    lines = capsys.readouterr().out.splitlines()
    return {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}


def test_a_dry_run_needs_no_cluster_and_jobs_ask_for_what_they_compute_with(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    plain = shown_by(capsys, tmp_path)
    assert {"gpus-per-node=1", "cpus-per-task=1", "ntasks-per-node=1"} <= plain, "the suite computes with one thread"
    assert {"gpus-per-node=2", "ntasks-per-node=2"} <= shown_by(capsys, tmp_path, "--devices", "2")
    assert not [one for one in shown_by(capsys, tmp_path, "--set", "resources.gpus_per_node=0") if "gpus" in one]
    theirs = shown_by(capsys, tmp_path, "--set", "resources.sbatch.gres=gpu:a100:1")
    assert {one for one in theirs if "gpu" in one} == {"gres=gpu:a100:1"}
    key = ["--set", "resources.sbatch.wckey=their_project"]
    assert not [one for one in plain if one.startswith("wckey")], "a site that checks them refuses one that nobody has"
    assert "wckey=their_project" in shown_by(capsys, tmp_path, *key)
    twice = ["--set", "resources.sbatch.cpus-per-task=3", "--set", "resources.sbatch.job-name=mine"]
    named = {one for one in shown_by(capsys, tmp_path, *twice) if one.startswith(("cpus", "job"))}
    assert named == {"cpus-per-task=3", "job-name=mine"}, "of two lines sbatch takes the second"
    assert "cpus-per-task=4" in shown_by(capsys, tmp_path, "--set", "data.num_workers=3")
    assert "cpus-per-task=4" in shown_by(capsys, tmp_path, "--set", "threads=null")
    own = shown_by(capsys, tmp_path, "--set", "data.num_workers=3", "--set", "resources.cpus_per_task=2")
    assert "cpus-per-task=2" in own


def test_images_that_are_made_on_demand_have_a_core_for_each_process_that_makes_them(cell, monkeypatch):
    from disentangle_bench.benchmarks.launchers.slurm_submission import cores_for

    assert cores_for([cell], 2) == 2
    monkeypatch.setattr(
        "disentangle_bench.benchmarks.launchers.slurm_submission.setup_data",
        lambda *_: SimpleNamespace(splits={"train": SimpleNamespace(images=SimpleNamespace(on_demand=True))}),
    )
    assert cores_for([cell], 2) == 9


def test_resources_change_neither_hash_nor_plan(stub, tmp_path):
    for minutes in (30, 60):
        main([*REQUEST, "--set", f"resources.timeout_min={minutes}", "--out", str(tmp_path / "runs"), "--detach"])
    assert len(list((tmp_path / "runs").rglob("config.json"))) == 1


@pytest.mark.parametrize(
    ("command", "script", "arguments", "message"),
    [
        ("sbatch", "echo 'sbatch: error: invalid partition specified: none' >&2; exit 1", [], "invalid partition"),
        ("squeue", "echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1", [], "Unable to contact"),
        ("sbatch", None, [], "no sbatch on this machine"),
        (
            "sbatch",
            "echo 'sbatch: error: Invalid generic resource (gres) specification' >&2; exit 1",
            [],
            "a job asks for GPUs unless told otherwise: --set resources.gpus_per_node=0",
        ),
        ("srun", "", ["--jobs", "4"], "a cluster's: --set resources.max_parallel=4"),
        ("srun", "", ["--set", "resources.gpus_per_node=2", "--set", "precision=fp32"], "resources.gpus_per_node is 2"),
        ("srun", "", ["--set", "precision=auto"], "auto can't be told"),
    ],
)
def test_what_stands_in_the_way_is_one_line(stub, tmp_path, monkeypatch, capsys, command, script, arguments, message):
    binary = tmp_path / "bin" / command
    if script is None:
        binary.unlink()
        monkeypatch.setenv("PATH", str(binary.parent))
    else:
        binary.write_text(f"#!/bin/sh\n{script}\n")
    monkeypatch.setattr(machine, "find_devices", lambda: ("cpu", 2))
    assert main([*REQUEST, *arguments, "--out", str(tmp_path / "runs"), "--detach"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1, error
    assert not (tmp_path / "runs").exists()


def test_without_submitit(stub, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "submitit", None)  # as if it weren't installed
    assert main([*REQUEST, "--out", str(tmp_path / "runs")]) == 2
    assert "pip install 'disentangle-bench[slurm]'" in capsys.readouterr().err


def test_job_that_ends_without_a_record_is_a_failure(stub, tmp_path, monkeypatch, capsys):
    """A waiting launcher learns from SLURM how the job ended, and that nothing is to be waited for."""
    from disentangle_bench.benchmarks.launchers import slurm as cluster

    monkeypatch.setattr(cluster, "QUEUE_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.01)
    assert main([*REQUEST, "--out", str(tmp_path / "runs")]) == 1
    assert f"job 42 ended without a record ({OUT_OF_MEMORY})" in capsys.readouterr().err
    assert list((tmp_path / "runs" / ".jobs").glob("42_*")), "what it printed is kept"


def test_a_job_is_over_once_two_answers_of_slurm_lack_it(stub, cell, launch):
    """One may have been given just before the record was written; no answer says nothing."""
    from disentangle_bench.benchmarks.launchers.slurm import JobHandle

    asked = zip(({"42": "RUNNING"}, {}, None, {}, {}), range(1, 6), strict=True)
    queue = SimpleNamespace(queue=lambda: next(asked))
    handle = JobHandle(prepare(cell, launch), "42", cell.measures, queue)
    assert [handle.poll() for _ in range(4)] == [None] * 4
    assert handle.poll() == ExitReport(ExitStatus.FAILED, f"job 42 ended without a record ({OUT_OF_MEMORY})")
