"""Run one cell: train, encode, measure, record. Each stage leaves what the next start needs to go on from there."""

from __future__ import annotations

import inspect
import json
import logging
import os
import signal as signals
import sys
import threading
import time
import traceback
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
import wandb
from lightning.pytorch.loggers import CSVLogger, Logger
from safetensors.torch import load_file
from threadpoolctl import threadpool_limits

from disentangle_bench import datamodules, methods
from disentangle_bench.benchmarks import signals as stopping
from disentangle_bench.benchmarks.execution import provenance
from disentangle_bench.benchmarks.execution.costs import peak_memory_mb
from disentangle_bench.benchmarks.execution.failures import explain
from disentangle_bench.benchmarks.execution.measure import Judgement, encode, judge
from disentangle_bench.benchmarks.execution.train import TRAINED, rank, train
from disentangle_bench.benchmarks.planning import options
from disentangle_bench.benchmarks.planning.cell import CONFIG, DONE, FAILED, FAILURE, INTERRUPTED, LOCKED, Cell
from disentangle_bench.benchmarks.runs import cleanup as leftovers
from disentangle_bench.benchmarks.runs import feature_cache as banks
from disentangle_bench.benchmarks.runs import lock as locks
from disentangle_bench.benchmarks.runs.progress_file import Status
from disentangle_bench.benchmarks.runs.weights import WEIGHTS
from disentangle_bench.datamodules.base import SPLITS, ImageDataModule
from disentangle_bench.evaluation.records import FILE as RECORD
from disentangle_bench.evaluation.records import SCHEMA, write_json
from disentangle_bench.methods.base import Method, stream_seed

WITH_PARENT = "--with-parent"
"""Argument of this module: die with the process that started it."""


def main(folder: Path) -> int:
    """Run the cell whose configuration lies in `folder`; the reason of a failure is left in its `failure.json`.

    Returns:
        Exit status: DONE, FAILED, LOCKED if another process is at it, INTERRUPTED if it was asked to stop.
    """
    quiet()
    if rank() > 0:  # of a run over several devices: rank 0 holds the lock, judges and records
        try:
            run(folder)
        except stopping.Interrupted:
            return INTERRUPTED
        return DONE
    try:
        with locks.hold(folder):
            return _attempt(folder)
    except locks.Taken:
        return LOCKED


def _attempt(folder: Path) -> int:
    try:
        run(folder)
    except BaseException as error:
        if stopping.requested() or isinstance(error, stopping.Interrupted):
            Status(folder).stopped(stopping.requested() or str(error))  # whatever else it ended with: no failure
            return INTERRUPTED
        if not isinstance(error, Exception):
            raise
        traceback.print_exc()
        reason = explain(error, folder)
        write_json(folder / FAILURE, {"reason": reason, "traceback": traceback.format_exc(), "time": time.time()})
        return FAILED
    return DONE


def run(folder: Path) -> None:
    """Bring the cell in `folder` to completion from wherever an earlier process left it."""
    config = json.loads((folder / CONFIG).read_text())
    cell, launch = Cell(**config["cell"]), config["launch"]
    if cell.complete(folder.parents[2]):
        return
    if rank() == 0:
        (folder / FAILURE).unlink(missing_ok=True)
        leftovers.clear_unfinished(folder)
    started = now()
    threads = cell.threads or launch["threads"]
    torch.set_num_threads(threads)
    threadpool_limits(threads)  # NumPy's and scikit-learn's
    status = Status(folder)
    if rank() == 0:
        status.tell("load data")
    data = build_data(cell)
    if data.fingerprint != cell.fingerprint:
        raise RuntimeError(
            f"the data have changed since the run was planned: {data.fingerprint}, was {cell.fingerprint}"
        )
    method = build_method(cell, data)
    loggers = make_loggers(folder, cell, launch)
    if (folder / TRAINED).exists():
        method.load_state_dict(load_file(folder / WEIGHTS))
        trained = json.loads((folder / TRAINED).read_text())
    else:
        with stopping.deferred():
            trained = train(cell, method, data, folder, launch, loggers, status)
    if rank() > 0:
        if dist.is_initialized():  # else there was nothing to train, and the first process works alone
            encode(method, data, folder, trained["encoder"])
        return
    found = judge(cell, method, data, folder, trained["encoder"], status)
    trained["cost"]["peak_memory_mb"] = peak_memory_mb()
    record = make_record(cell, method, data, trained, found, launch, started)
    with stopping.deferred():
        finish(folder, record, loggers, launch)
        banks.prune(folder.parents[2])


def finish(folder: Path, record: dict[str, Any], loggers: list[Logger], launch: dict[str, Any]) -> None:
    """Write the record, last of all results, and clear away what led to it."""
    write_json(folder / RECORD, record)
    rows = record["metrics"]
    finals = {
        "/".join(filter(None, (row["space"], row["measure"], row["target"], key))): value
        for row in rows
        for key, value in (row["scores"] or {}).items()
    }
    for logger in loggers:
        logger.log_metrics(finals)
        logger.finalize("success")
    if launch["logger"] == "wandb":
        wandb.finish()
    leftovers.clear(folder)


def make_record(
    cell: Cell,
    method: Method,
    data: ImageDataModule,
    trained: dict[str, Any],
    found: Judgement,
    launch: dict[str, Any],
    started: str,
) -> dict[str, Any]:
    """The run record (see `evaluation.leaderboard.records`)."""
    return {
        "schema": SCHEMA,
        "cell": {k: getattr(cell, k) for k in ("dataset", "method", "seed", "hash", "settings")},
        "config": cell.as_dict() | {"measures": found.measures},
        "labels": sorted(method.uses_targets),
        "provenance": {
            "command": launch["command"],
            "started": started,
            "finished": now(),
            "git": launch["git"],
            "versions": provenance.versions(),
            "hardware": provenance.hardware(),
            "data": {"fingerprint": data.fingerprint} | {split: len(data.splits[split]) for split in SPLITS},
            "encoder": trained["encoder"],
            "epoch": trained["epoch"],
            "step": trained["step"],
            "source": method.source,
            "card": {"summary": inspect.cleandoc(type(method).__doc__ or "")},
            "earlier": found.earlier,
        },
        "cost": trained["cost"] | {"eval_seconds": round(found.seconds, 2)},
        "metrics": found.rows,
    }


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def build_data(cell: Cell) -> ImageDataModule:
    """The cell's data set; its batches come in an order that depends on the cell's seed alone."""
    cls = datamodules.find(cell.dataset)
    return cls(seed=stream_seed(cell.seed, "batches"), **options.instantiate(cls, cell.data))


def build_method(cell: Cell, data: ImageDataModule) -> Method:
    """The cell's method, with initial weights that depend on the cell's seed alone."""
    cls = methods.find(cell.method)
    L.seed_everything(stream_seed(cell.seed, "weights") % 2**32, verbose=False)
    arguments = options.instantiate(cls, cell.options)
    return cls(image_shape=data.image_shape, data=data.describe(), seed=cell.seed, **arguments)


def make_loggers(folder: Path, cell: Cell, launch: dict[str, Any]) -> list[Logger]:
    """Curves as CSV always, one file a start so that an interrupted run's stay; W&B if asked for."""
    attempt = len(list((folder / "logs").glob("attempt_*")))
    loggers: list[Logger] = [CSVLogger(folder / "logs", name="", version=f"attempt_{attempt}")]
    if launch["logger"] == "wandb":
        from disentangle_bench.benchmarks.execution.wandb import run_logger

        loggers.append(run_logger(folder, cell))
    return loggers


def quiet() -> None:
    """Keep what Lightning says of itself out of the log; warnings about the run stay."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*You have overridden `on_(before|after)_batch_transfer`.*",  # on purpose: the label firewall
        ".*does not have many workers.*",  # batches come from memory, or the data set has its own workers
        ".*smaller than the logging interval.*",
        ".*isinstance\\(treespec, LeafSpec\\).*",
        ".*Experiment logs directory.*",
    ):
        warnings.filterwarnings("ignore", message)


def die_with_parent() -> None:
    """Have this process killed when the one at the other end of its standard input closes it, as a dead one does."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signals.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    stopping.install()
    if WITH_PARENT in sys.argv:
        die_with_parent()
    os._exit(main(Path(sys.argv[1])))
