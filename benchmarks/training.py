"""Train one cell within its budget, on one device or many, from the newest intact checkpoint."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger

from benchmarks.callbacks import TrainingClock, TrainingStatus
from benchmarks.cells import Cell
from benchmarks.checkpoints import EpochCheckpoints, newest_intact
from benchmarks.status import Status
from benchmarks.weights import ENCODER, WEIGHTS, save_weights, state_hash
from datamodules.base import ImageDataModule
from evaluation.leaderboard.records import write_json
from methods.base import Method
from methods.networks.sync_batch_norm import synchronize

TRAINED = "trained.json"


def rank() -> int:
    """Number of this process among those that train together, as Lightning, torchrun or SLURM tell it."""
    return next((int(os.environ[name]) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ), 0)


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


def budget_arguments(budget: dict[str, float]) -> dict[str, Any]:
    """The Trainer's arguments for a budget of epochs, steps or minutes."""
    ((unit, amount),) = budget.items()
    if unit == "epochs":
        return {"max_epochs": amount}
    if unit == "steps":
        return {"max_steps": amount, "max_epochs": -1}
    return {"max_time": timedelta(minutes=amount), "max_epochs": -1}
