"""Run one cell: train, encode, measure, record. Each stage leaves what the next start needs to go on from there."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from threadpoolctl import threadpool_limits

from disentangle_bench.benchmarks import own_code, signals
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution import loggers as log
from disentangle_bench.benchmarks.execution.build import build_data, build_method, own_code_of
from disentangle_bench.benchmarks.execution.distributed import device_of, rank, require_gpus
from disentangle_bench.benchmarks.execution.failures import explain
from disentangle_bench.benchmarks.execution.measure import encode_splits, measure
from disentangle_bench.benchmarks.execution.record import git_state, make_record, now, write_results
from disentangle_bench.benchmarks.execution.train import Trained, keep_encoder, train
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.planning.lookup import import_measures
from disentangle_bench.benchmarks.runs import cleanup, feature_cache, lock
from disentangle_bench.benchmarks.runs.folder import ExitStatus, RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.benchmarks.runs.weights import BadWeights, read_weights
from disentangle_bench.json_files import BadJson, read
from disentangle_bench.methods.base import Method

WITH_PARENT = "--with-parent"
"""Argument of this module: die with the process that started it."""


def main(run: RunFolder, git: dict[str, Any] | None = None) -> ExitStatus:
    """Run the cell whose configuration lies in a folder; the reason of a failure is left there.

    Args:
        run: the folder.
        git: commit of the code, where this process has loaded it anew; None: it is that of whoever started the cell.

    Returns:
        Exit status of the process.
    """
    quiet()
    if rank() > 0:  # of a run over several devices: rank 0 holds the lock, measures and records
        try:
            run_cell(run)
        except signals.Interrupted:
            return ExitStatus.INTERRUPTED
        return ExitStatus.DONE
    try:
        with lock.hold(run.lock):
            return _attempt(run, git)
    except lock.Taken:
        return ExitStatus.LOCKED


def _attempt(run: RunFolder, git: dict[str, Any] | None) -> ExitStatus:
    try:
        run_cell(run, git)
    except BaseException as error:
        if signals.requested() or isinstance(error, signals.Interrupted):
            with suppress(OSError):
                ProgressFile(run).stopped(signals.requested() or str(error))  # whatever else it ended with: no failure
            return ExitStatus.INTERRUPTED
        with suppress(OSError):
            if isinstance(error, RequestError):  # says all in a line
                print(error, file=sys.stderr)
            else:
                traceback.print_exc()  # also of a file of the user's own that exits
        with suppress(OSError):  # a full disk takes no word of it: whoever started the cell says so
            run.fail(explain(error, run.path), traceback.format_exc())
        return ExitStatus.FAILED
    return ExitStatus.DONE


def set_threads(count: int) -> None:
    """Set the threads of torch and of NumPy's and scikit-learn's libraries, for the rest of this process."""
    torch.set_num_threads(count)
    threadpool_limits(count)


def run_cell(run: RunFolder, git: dict[str, Any] | None = None) -> None:
    """Bring the cell in a folder to completion from wherever an earlier process left it; arguments as of `main`."""
    config = run.read_config()
    cell, launch = config.cell, replace(config.launch, git=git or config.launch.git)
    if run.is_complete(cell.measures):
        return
    require_gpus(launch)
    own_code.allow(Path(launch.code))
    import_measures(cell.imports)
    if rank() == 0:
        run.failure.unlink(missing_ok=True)
        cleanup.clear_unfinished(run)
    started = now()
    set_threads(cell.threads or launch.threads)
    progress = ProgressFile(run)
    if rank() == 0:
        signals.check()
        progress.update("load data")
    data = build_data(cell)
    method = build_method(cell, data)
    code = own_code_of(cell)
    loggers = log.make_loggers(run, cell, launch.logger)
    trained = _trained_before(cell, method, run)
    if trained is None:
        with signals.deferred():
            trained = train(cell, method, data, run, launch, loggers, progress)
    where = device_of(launch)
    if where.type == "cuda":
        torch.cuda.set_device(where)  # whose name and peak memory are recorded
    method.to(where)  # Lightning leaves it on the processor
    if rank() > 0:
        if dist.is_initialized():  # else there was nothing to train, and the first process works alone
            encode_splits(method, data, run, trained.encoder)
        return
    measured = measure(cell, method, data, run, trained.encoder, progress)
    record = make_record(cell, method, data, trained, measured, launch, started)
    with signals.deferred():
        log.finish(loggers, run, write_results(run, record, measured.outcomes, code))
        cleanup.clear(run)
        feature_cache.prune(run.out)


def _trained_before(cell: Cell, method: Method, run: RunFolder) -> Trained | None:
    """Give the method the weights that an earlier start has trained; None if there are none, or they are damaged."""
    try:
        if (trained := read(Trained, run.trained)) is not None:
            method.load_state_dict(read_weights(run.weights, trained.encoder))
            if rank() == 0:
                keep_encoder(cell, method, run, trained.step)
        return trained
    except (BadJson, BadWeights) as bad:
        logging.getLogger(__name__).warning("%s: trained again", bad)
        return None


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
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    signals.install()
    if WITH_PARENT in sys.argv:
        die_with_parent()
    os._exit(main(RunFolder(Path(sys.argv[1])), git_state()))
