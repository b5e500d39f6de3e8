"""The matrix over a real SLURM: a controller and a node of our own on this machine, where SLURM is installed."""

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.launchers import slurm_queue
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.evaluation.records import read_record

DAEMONS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
NO_GPU = ("--set", "resources.gpus_per_node=0")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
AuthInfo=cred_expire=5
KillWait=8
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A running SLURM that this machine's commands talk to."""
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{path}{os.pathsep}/usr/sbin"
    if missing := [name for name in DAEMONS if shutil.which(name) is None]:
        os.environ["PATH"] = path
        pytest.skip(f"no {missing[0]} on this machine (Debian: slurmctld, slurmd, slurm-client)")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    values = {"host": host, "ports": free_ports(), "user": getpass.getuser(), "cpus": os.cpu_count()}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder, **values))
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    node = ("slurmd", "-D", "-N", host)
    daemons = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in (("slurmctld", "-D"), node)]
    try:
        for _ in range(100):
            ready = subprocess.run(["sinfo", "--noheader", "--format=%t"], capture_output=True, text=True).stdout
            if ready.strip() == "idle":
                break
            time.sleep(0.2)
        else:
            logs = "".join(log.read_text()[-500:] for log in folder.glob("*.log"))
            pytest.skip(f"SLURM doesn't start here: {logs}")
        yield folder
    finally:
        subprocess.run(["scancel", f"--user={os.getuid()}", "--signal=KILL"], capture_output=True)
        for daemon in daemons:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=30)
        os.environ["PATH"] = path
        del os.environ["SLURM_CONF"]


def free_ports() -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(condition, seconds: float = 120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, condition
        time.sleep(0.2)
    return found


def job_of(out: Path, method: str) -> str:
    (folder,) = out.glob(f"digits/{method}/*")
    return RunFolder(folder).read_job().id


def figures(out: Path, method: str) -> list[dict]:
    (path,) = out.glob(f"digits/{method}/*/result.json")
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_record(path)["metrics"]]


def trained_steps(out: Path, method: str) -> int:
    (folder,) = out.glob(f"digits/{method}/*")
    try:
        status = json.loads((folder / "status.json").read_text())
    except (OSError, ValueError):
        return 0
    return status["done"] if status["phase"] == "train" else 0


def test_requeued_jobs_end_with_the_figures_of_a_run_here(cluster, tmp_path, capsys):
    """One job is told that its time is up, one is queued again by SLURM itself: both go on to the same figures."""
    request = ["run", "--suite", "smoke", "--method", "simclr,supervised", "--dataset", "digits"]
    request += ["--set", "budget.epochs=15", "--set", "data.batch_size=64"]
    over_slurm = [*request, "--launcher", "slurm", "--set", "resources.timeout_min=20", *NO_GPU]
    out = tmp_path / "runs"
    assert main([*over_slurm, "--out", str(out), "--detach"]) == 0
    assert "2 jobs submitted" in capsys.readouterr().err
    assert main([*over_slurm, "--out", str(out), "--detach"]) == 0
    assert "0 jobs submitted, 2 were on their way already" in capsys.readouterr().err

    wait_for(lambda: trained_steps(out, "simclr") > 20)
    assert main(["status", "--out", str(out)]) == 0
    assert f"job {job_of(out, 'simclr')} on " in capsys.readouterr().out
    subprocess.run(["scancel", "--signal=USR2", job_of(out, "simclr")], check=True)
    wait_for(lambda: trained_steps(out, "supervised") > 20)
    subprocess.run(["scontrol", "requeue", job_of(out, "supervised")], check=True)
    wait_for(lambda: slurm_queue.jobs().get(job_of(out, "supervised"), "").startswith("PENDING"))
    assert main(["status", "--out", str(out)]) == 0
    assert "PENDING: BeginTime" in capsys.readouterr().out

    assert main([*over_slurm, "--out", str(out)]) == 0
    assert "0 jobs submitted, 2 were on their way already" in capsys.readouterr().err
    assert not (out / ".jobs").exists()
    assert not list(out.rglob("job.json"))
    assert not list(out.rglob(".lock"))
    for method in ("simclr", "supervised"):
        assert len(list(out.glob(f"digits/{method}/*/logs/attempt_*"))) == 2, f"{method} was not interrupted"
    assert main([*request, "--out", str(tmp_path / "here"), "--jobs", "2"]) == 0
    for method in ("simclr", "supervised"):
        assert figures(out, method) == figures(tmp_path / "here", method)


def test_cancelled_job_leaves_a_checkpoint(cluster, tmp_path, capsys):
    out = tmp_path / "runs"
    request = ["run", "--suite", "smoke", "--method", "simclr", "--dataset", "digits", "--set", "budget.epochs=200"]
    request += ["--launcher", "slurm", *NO_GPU, "--out", str(out), "--detach"]
    assert main([*request, "--seeds", "0,1,2"]) == 0  # one more than there are processors in a small machine
    wait_for(lambda: any(out.rglob("attempt_0")) and any(out.rglob("checkpoints")))
    capsys.readouterr()
    assert main(["cancel", "--out", str(out)]) == 0
    assert capsys.readouterr().out.count("asked to stop") == 3
    wait_for(lambda: not slurm_queue.jobs(), seconds=40)
    assert main(["status", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "stopped" in printed
    assert list(out.rglob("step=*.json"))
    assert not list(out.rglob("failure.json"))
    assert not list(out.rglob(".lock"))
