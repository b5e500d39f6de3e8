"""Train one cell within its budget, on one device or many, from the newest intact checkpoint."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.loggers import Logger

from disentangle_bench.benchmarks.execution.callbacks import (
    NOT_FINITE,
    Costs,
    GlobalStreams,
    TrainingStatus,
    Watch,
    save_seconds,
)
from disentangle_bench.benchmarks.execution.checkpoint_io import CheckpointFiles, newest_intact
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.progress_file import Status
from disentangle_bench.benchmarks.runs.weights import ENCODER, WEIGHTS, save_weights, state_hash
from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.evaluation.records import write_json
from disentangle_bench.methods.base import Method
from disentangle_bench.methods.networks.sync_batch_norm import synchronize

TRAINED = "trained.json"


def rank() -> int:
    """Number of this process among those that train together, as torchrun, Lightning or SLURM tell it; 0: the first."""
    given = os.environ
    if "RANK" in given:
        return int(given["RANK"])
    if "LOCAL_RANK" in given or "NODE_RANK" in given:  # Lightning's own children, also inside of a SLURM job
        return int(given.get("NODE_RANK", 0)) * int(given.get("LOCAL_WORLD_SIZE", 1)) + int(given.get("LOCAL_RANK", 0))
    return int(given.get("SLURM_PROCID", 0))


def processes(launch: dict[str, Any]) -> tuple[list[int] | int, int, ClusterEnvironment]:
    """(Devices on a machine, machines, who starts the processes): torchrun or srun if they have, else Lightning."""
    devices, nodes = launch["devices"], launch.get("nodes", 1)
    if TorchElasticEnvironment.detect():  # then it says how many, whatever was planned
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        return here, int(os.environ["WORLD_SIZE"]) // here, TorchElasticEnvironment()
    if devices * nodes > 1 and int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == devices * nodes:
        return devices, nodes, SLURMEnvironment(auto_requeue=False)  # whoever gave the job in starts it again
    return launch["device_ids"] or devices, nodes, LightningEnvironment()


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
    costs = Costs()
    world, step, epoch = 1, 0, 0
    method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if method.trains:
        devices, nodes, environment = processes(launch)
        world = (devices if isinstance(devices, int) else len(devices)) * nodes
        if world > 1 and launch["accelerator"] == "cpu":
            synchronize(method)
        trainer = L.Trainer(
            accelerator=launch["accelerator"],
            devices=devices,
            num_nodes=nodes,
            strategy="ddp" if world > 1 else "auto",
            sync_batchnorm=world > 1 and launch["accelerator"] == "gpu",
            use_distributed_sampler=False,
            precision=cell.precision,  # type: ignore[arg-type]
            **budget_arguments(cell.budget),
            logger=loggers,
            callbacks=[TrainingStatus(status), costs, GlobalStreams(), Watch(folder, save_seconds())],
            plugins=[CheckpointFiles(cell.hash), environment],
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=10,
        )
        if rank() == 0:
            (folder / NOT_FINITE).unlink(missing_ok=True)
        resume = newest_intact(folder / "checkpoints", cell.hash)
        seen = data.training_view(type(method).uses_targets)
        trainer.fit(method, datamodule=seen, ckpt_path=resume, weights_only=True)
        step, epoch = trainer.global_step, trainer.current_epoch
    ranks = costs.ranks()
    seconds = max((used["seconds"] for used in ranks), default=0.0)
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
            "train_seconds": seconds,
            "images_seen": method.images_seen,
            "forward_passes": method.forward_passes,
            "images_per_second": round(method.images_seen / seconds, 1) if seconds else 0.0,
            "parameters": sum(p.numel() for p in method.parameters()),
            "encoder_parameters": sum(p.numel() for p in method.backbone.parameters()),
            "devices": world,
            "ranks": ranks,
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
