"""Run one cell: train, encode, measure, record. Each stage leaves what the next start needs to go on from there."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import resource
import shutil
import sys
import time
import traceback
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
import wandb
from filelock import FileLock, Timeout
from lightning.pytorch.loggers import CSVLogger, Logger
from safetensors.torch import load_file, save_file
from threadpoolctl import threadpool_limits
from torch import nn

import datamodules
import methods
from benchmarks import options, provenance
from benchmarks.callbacks import TrainingClock, TrainingStatus
from benchmarks.cells import CONFIG, DONE, FAILED, FAILURE, LOCK, LOCKED, STATUS, Cell
from benchmarks.checkpoints import EpochCheckpoints, newest_intact
from benchmarks.status import Status
from datamodules.base import SPLITS, ImageDataModule
from evaluation import features, protocol
from evaluation.leaderboard import artefacts
from evaluation.leaderboard.records import FILE as RECORD
from evaluation.leaderboard.records import SCHEMA, write_json
from methods.base import Method, stream_seed
from methods.networks.sync_batch_norm import synchronize

WEIGHTS = "method.safetensors"
"""All weights of the trained method, to embed with it again."""
ENCODER = "encoder.safetensors"
"""The backbone alone, under its own tensor names, to start another method from or to judge elsewhere."""
TRAINED = "trained.json"


def main(folder: Path) -> int:
    """Run the cell whose configuration lies in `folder`; the reason of a failure is left in its `failure.json`.

    Returns:
        Exit status: DONE, FAILED, or LOCKED if another process is at it.
    """
    _quiet()
    if rank() > 0:  # of a run over several devices: rank 0 holds the lock, judges and records
        run(folder)
        return DONE
    try:
        with FileLock(folder / LOCK, timeout=0):
            try:
                run(folder)
            except Exception as error:
                traceback.print_exc()
                reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
                write_json(
                    folder / FAILURE, {"reason": reason, "traceback": traceback.format_exc(), "time": time.time()}
                )
                return FAILED
            (folder / LOCK).unlink(missing_ok=True)  # the record is there: nobody will start this cell again
            return DONE
    except Timeout:
        return LOCKED


def rank() -> int:
    """Number of this process among those that train together, as Lightning, torchrun or SLURM tell it."""
    return next((int(os.environ[name]) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ), 0)


def run(folder: Path) -> None:
    """Bring the cell in `folder` to completion from wherever an earlier process left it."""
    config = json.loads((folder / CONFIG).read_text())
    cell, launch = Cell(**config["cell"]), config["launch"]
    if cell.complete(folder.parents[2]):
        return
    (folder / FAILURE).unlink(missing_ok=True)
    started = now()
    threads = cell.threads or launch["threads"]
    torch.set_num_threads(threads)
    threadpool_limits(threads)  # NumPy's and scikit-learn's
    status = Status(folder)
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
        trained = train(cell, method, data, folder, launch, loggers, status)
    if rank() > 0:
        return
    rows, seconds = judge(cell.measures, method, data, folder, trained["encoder"], status)
    trained["cost"] |= {"eval_seconds": round(seconds, 2), "peak_memory_mb": peak_memory_mb()}
    record = make_record(cell, method, data, trained, rows, launch, started)
    write_json(folder / RECORD, record)
    finals = {f"{r['space']}/{r['measure']}/{r['target']}/{k}": v for r in rows for k, v in (r["scores"] or {}).items()}
    for logger in loggers:
        logger.log_metrics(finals)
        logger.finalize("success")
    if launch["logger"] == "wandb":
        wandb.finish()
    for leftover in ("checkpoints", "features"):
        shutil.rmtree(folder / leftover, ignore_errors=True)
    (folder / STATUS).unlink(missing_ok=True)


def make_record(
    cell: Cell,
    method: Method,
    data: ImageDataModule,
    trained: dict[str, Any],
    rows: list[dict[str, Any]],
    launch: dict[str, Any],
    started: str,
) -> dict[str, Any]:
    """The run record (see `evaluation.leaderboard.records`)."""
    return {
        "schema": SCHEMA,
        "cell": {k: getattr(cell, k) for k in ("dataset", "method", "seed", "hash", "settings")},
        "config": cell.as_dict(),
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
        },
        "cost": trained["cost"],
        "metrics": rows,
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


def train(
    cell: Cell,
    method: Method,
    data: ImageDataModule,
    folder: Path,
    launch: dict[str, Any],
    loggers: list[Logger],
    status: Status,
) -> dict[str, Any]:
    """Train within the budget, from the newest checkpoint if there is one; save the encoder and what it cost."""
    clock = TrainingClock()
    step = epoch = 0
    method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if method.trains:
        if launch["devices"] > 1 and launch["accelerator"] == "cpu":
            synchronize(method)
        trainer = L.Trainer(
            accelerator=launch["accelerator"],
            devices=launch["device_ids"] or launch["devices"],
            strategy="ddp" if launch["devices"] > 1 else "auto",
            sync_batchnorm=launch["devices"] > 1 and launch["accelerator"] == "gpu",
            use_distributed_sampler=False,
            precision=cell.precision,  # type: ignore[arg-type]
            **budget_arguments(cell.budget),
            logger=loggers,
            callbacks=[TrainingStatus(status), clock, EpochCheckpoints(folder / "checkpoints", cell.hash)],
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=10,
        )
        resume = newest_intact(folder / "checkpoints", cell.hash)
        trainer.fit(method, datamodule=data, ckpt_path=resume, weights_only=True)
        if trainer.interrupted:
            raise KeyboardInterrupt
        step, epoch = trainer.global_step, trainer.current_epoch
    note = {"dataset": cell.dataset, "method": cell.method, "cell": cell.hash, "step": str(step)}
    note |= {"backbone": cell.options.get("backbone", ""), "image_shape": json.dumps(data.image_shape)}
    if rank() == 0:
        save_weights(method, folder / WEIGHTS, note)
        save_weights(method.backbone, folder / ENCODER, note)
    trained = {
        "encoder": state_hash(method.state_dict()),
        "step": step,
        "epoch": epoch,
        "cost": {
            "train_seconds": round(clock.seconds, 2),
            "images_seen": method.images_seen * launch["devices"],
            "forward_passes": method.forward_passes * launch["devices"],
            "images_per_second": round(method.images_seen * launch["devices"] / clock.seconds, 1)
            if clock.seconds
            else 0.0,
            "parameters": sum(p.numel() for p in method.parameters()),
            "encoder_parameters": sum(p.numel() for p in method.backbone.parameters()),
            "devices": launch["devices"],
        },
    }
    if rank() == 0:
        write_json(folder / TRAINED, trained)
    return trained


def judge(
    measures: list[str], method: Method, data: ImageDataModule, folder: Path, encoder: str, status: Status
) -> tuple[list[dict[str, Any]], float]:
    """Encode every split once and measure every space; rows of the record, and the seconds it took."""
    start = time.perf_counter()
    bank = features.encode(
        method,
        method.embed,
        {split: data.eval_dataloader(split) for split in SPLITS},
        folder / "features",
        {"encoder": encoder, "data": data.fingerprint},
        lambda batches, split: status.wrap(batches, f"encode {split}"),
    )
    rows = protocol.evaluate(bank, data.targets, measures, lambda title: status.tell(title))
    seconds = time.perf_counter() - start
    status.tell("pictures")
    artefacts.write(
        folder, bank, data.targets, data.eval_dataloader("test"), module=method, embed=method.embed, views=method.views
    )
    return rows, seconds


def budget_arguments(budget: dict[str, float]) -> dict[str, Any]:
    """The Trainer's arguments for a budget of epochs, steps or minutes."""
    ((unit, amount),) = budget.items()
    if unit == "epochs":
        return {"max_epochs": amount}
    if unit == "steps":
        return {"max_steps": amount, "max_epochs": -1}
    return {"max_time": timedelta(minutes=amount), "max_epochs": -1}


def make_loggers(folder: Path, cell: Cell, launch: dict[str, Any]) -> list[Logger]:
    """Curves as CSV always, one file a start so that an interrupted run's stay; W&B if asked for."""
    attempt = len(list((folder / "logs").glob("attempt_*")))
    loggers: list[Logger] = [CSVLogger(folder / "logs", name="", version=f"attempt_{attempt}")]
    if launch["logger"] == "wandb":
        from benchmarks.tracking import run_logger

        loggers.append(run_logger(folder, cell))
    return loggers


def save_weights(module: nn.Module, path: Path, note: dict[str, str]) -> None:
    """Write a module's weights beside their place and move them there."""
    beside = path.with_name(f"{path.name}.tmp")
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, beside, note)
    beside.replace(path)


def state_hash(state: dict[str, torch.Tensor]) -> str:
    """Hash of an encoder: of every tensor's name, shape and values."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def peak_memory_mb() -> float:
    """Largest memory this process has had: of the GPU where there is one, else resident."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def _quiet() -> None:
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


if __name__ == "__main__":
    os._exit(main(Path(sys.argv[1])))
