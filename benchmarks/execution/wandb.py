"""Runs and leaderboards on Weights & Biases; offline (`WANDB_MODE=offline`) without a key."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import wandb
from lightning.pytorch.loggers import WandbLogger

from disentangle_bench.benchmarks.planning.cell import Cell

PROJECT = "disentangle-bench"


def run_logger(folder: Path, cell: Cell) -> WandbLogger:
    """Logger of one cell: its configuration, curves and final metrics, under an id that a resumed cell shares."""
    logger = WandbLogger(
        project=PROJECT,
        name=cell.title,
        id=cell.hash,
        group=cell.suite,
        save_dir=folder,
        resume="allow",
        log_model=False,
    )
    logger.log_hyperparams(cell.as_dict())
    return logger


def log_leaderboard(frame: pd.DataFrame, folder: Path) -> None:
    """Log the leaderboard as a table, in a run of its own."""
    frame = frame.drop(columns=["seeds", "runs", "values"])  # tuples, which their tables have no column for
    with wandb.init(project=PROJECT, name="leaderboard", job_type="leaderboard", dir=folder) as run:
        run.log({"leaderboard": wandb.Table(dataframe=frame.astype(object).where(frame.notna(), None))})


def log_report(folder: Path) -> None:
    """Log a report, its page with all tables and pictures, as an artifact."""
    with wandb.init(project=PROJECT, name="report", job_type="report", dir=folder.parent) as run:
        artifact = wandb.Artifact("report", type="report")
        artifact.add_dir(str(folder))
        run.log_artifact(artifact)
