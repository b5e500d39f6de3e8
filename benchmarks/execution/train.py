"""Train one cell within its budget, on one device or many, from the newest intact checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger

from disentangle_bench.benchmarks.execution.callbacks import (
    CheckedLoss,
    DeferredLogs,
    GlobalStreams,
    StepCheckpoints,
    TrainingProgress,
    save_seconds,
)
from disentangle_bench.benchmarks.execution.checkpoint_io import CheckpointFiles, newest_intact
from disentangle_bench.benchmarks.execution.costs import Cost, CostMeter
from disentangle_bench.benchmarks.execution.distributed import processes, rank
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.folder import CellLaunch, RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.benchmarks.runs.weights import BadWeights, read_weights, save_weights, state_hash
from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.json_files import write_json
from disentangle_bench.methods.base import Method
from disentangle_bench.methods.networks.sync_batch_norm import synchronize


@dataclass(frozen=True)
class Trained:
    """`trained.json`: what training came to, written once the weights are on disk.

    Attributes:
        encoder: hash of the method's weights.
        step: of the optimiser.
        epoch: of the training images.
        cost: what it took.
    """

    encoder: str
    step: int
    epoch: int
    cost: Cost


def train(
    cell: Cell,
    method: Method,
    data: ImageDataModule,
    run: RunFolder,
    launch: CellLaunch,
    loggers: list[Logger],
    progress: ProgressFile,
) -> Trained:
    """Train within the budget, from the newest checkpoint if there is one; save the encoder and what it cost."""
    meter = CostMeter()
    world, step, epoch = 1, 0, 0
    method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if method.trains:
        devices, nodes, environment = processes(launch)
        world = (devices if isinstance(devices, int) else len(devices)) * nodes
        if world > 1:
            synchronize(method, launch.accelerator)
        trainer = L.Trainer(
            accelerator=launch.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy="ddp" if world > 1 else "auto",
            use_distributed_sampler=False,
            precision=cell.precision,  # type: ignore[arg-type]
            **budget_arguments(cell.budget),
            logger=loggers,
            callbacks=[
                CheckedLoss(),
                DeferredLogs(),
                TrainingProgress(progress),
                meter,
                GlobalStreams(),
                StepCheckpoints(run, save_seconds()),
            ],
            plugins=[CheckpointFiles(cell.hash), environment],
            default_root_dir=run.path,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=10,
        )
        if rank() == 0:
            run.not_finite.unlink(missing_ok=True)
        resume = newest_intact(run.checkpoints, cell.hash)
        seen = data.training_view(type(method).uses_targets)
        trainer.fit(method, datamodule=seen, ckpt_path=resume, weights_only=True)
        step, epoch = trainer.global_step, trainer.current_epoch
    ranks = meter.ranks()
    seconds = max((used["seconds"] for used in ranks), default=0.0)
    if rank() == 0:
        save_weights(method, run.weights, _note(cell, method, step, whole=True))
        keep_encoder(cell, method, run, step)
    cost = Cost(
        train_seconds=seconds,
        images_seen=method.images_seen,
        forward_passes=method.forward_passes,
        images_per_second=round(method.images_seen / seconds, 1) if seconds else 0.0,
        parameters=sum(p.numel() for p in method.parameters()),
        encoder_parameters=sum(p.numel() for p in method.backbone.parameters()),
        devices=world,
        ranks=[dict(used) for used in ranks],
    )
    trained = Trained(state_hash(method.state_dict()), step, epoch, cost)
    if rank() == 0:
        write_json(run.trained, asdict(trained))
    return trained


def keep_encoder(cell: Cell, method: Method, run: RunFolder, step: int) -> None:
    """Write the backbone alone, unless it lies there as it should."""
    try:
        read_weights(run.encoder, state_hash(method.backbone.state_dict()))
    except BadWeights:
        save_weights(method.backbone, run.encoder, _note(cell, method, step, whole=False))


def _note(cell: Cell, method: Method, step: int, whole: bool) -> dict[str, str]:
    """The note in a file of weights, with all that encoding needs (read by `methods.pretrained.files`)."""
    note = {"dataset": cell.dataset, "method": cell.method, "cell": cell.hash, "step": str(step)}
    note |= {key: str(cell.options.get(key) or "none") for key in ("backbone", "stem")}
    plain = {
        "image_shape": method.image_shape,
        "eval_shape": method.data["eval_shape"],
        "eval_crop": method.data["eval_crop"],
        "mean": method.mean.flatten().tolist(),
        "std": method.std.flatten().tolist(),
        "labels": sorted(type(method).uses_targets),
        "budget": cell.budget,
        "options": cell.options,
        "data": method.data,
        "whole": whole,
    }
    return note | {key: json.dumps(value) for key, value in plain.items()}


def budget_arguments(budget: dict[str, float]) -> dict[str, Any]:
    """The Trainer's arguments for a budget of epochs, steps or minutes."""
    ((unit, amount),) = budget.items()
    if unit == "epochs":
        return {"max_epochs": amount}
    if unit == "steps":
        return {"max_steps": amount, "max_epochs": -1}
    return {"max_time": timedelta(minutes=amount), "max_epochs": -1}
