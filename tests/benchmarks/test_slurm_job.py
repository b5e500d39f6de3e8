"""How a job of SLURM ends, from within: out of time, killed, cancelled, or with nothing to do."""

import json
import signal

import pytest

from disentangle_bench.benchmarks.runs.folder import ExitStatus, RunFolder


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job whose cell was stopped because its time is up; what it would sleep through is recorded."""
    from disentangle_bench.benchmarks import signals
    from disentangle_bench.benchmarks.launchers import slurm_job as cluster

    monkeypatch.setattr(signals, "_received", "SIGUSR2")
    monkeypatch.setattr(cluster.signal, "signal", lambda *_: None)
    monkeypatch.setattr(cluster.time, "sleep", lambda seconds: (tmp_path / "slept").touch())
    return cluster.CellJob(tmp_path)


def test_job_out_of_time_queues_itself_again_until_it_may_not(job, tmp_path):
    from submitit.core.utils import UncompletedJobError

    def refuse(*_):
        raise UncompletedJobError("Job not requeued because: timed-out too many times.")

    given_back = []
    job.end(ExitStatus.INTERRUPTED, lambda *arguments: given_back.append(arguments))
    assert given_back == [(signal.SIGUSR2, None)]
    assert (tmp_path / "slept").exists(), "a task that isn't the first one doesn't exit before the first has asked"
    with pytest.raises(UncompletedJobError):
        job.end(ExitStatus.INTERRUPTED, refuse)
    assert "too many times. (resources.max_requeues" in json.loads((tmp_path / "failure.json").read_text())["reason"]


def test_a_job_whose_cell_another_process_is_at_has_not_failed(job):
    with pytest.raises(SystemExit) as stop:
        job.end(ExitStatus.LOCKED, None)
    assert stop.value.code == ExitStatus.DONE


def test_politely_killed_job_waits_for_slurm_unless_it_was_cancelled(job, tmp_path, monkeypatch):
    from disentangle_bench.benchmarks import signals
    from disentangle_bench.benchmarks.launchers import slurm_queue

    monkeypatch.setattr(signals, "_received", "SIGTERM")
    job.end(ExitStatus.INTERRUPTED, None)
    assert (tmp_path / "slept").exists(), "if it exits by itself, SLURM takes it for done"
    slurm_queue.note_job(RunFolder(tmp_path), "42", cancelled=True)
    with pytest.raises(SystemExit) as stop:
        job.end(ExitStatus.INTERRUPTED, None)
    assert stop.value.code == ExitStatus.INTERRUPTED
