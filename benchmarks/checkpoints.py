"""Checkpoints that survive a kill at any moment: written beside, synced, checksummed, the one before kept."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from benchmarks.errors import RequestError
from evaluation.leaderboard.records import write_json

KEEP = 2


class EpochCheckpoints(Checkpoint):
    """Saves after each epoch and keeps the last two.

    Args:
        folder: where they go, as `step=<n>.ckpt`, each with a `.json` beside it that holds its checksum.
        cell: hash of the cell that they belong to.
    """

    def __init__(self, folder: Path, cell: str):
        self.folder, self.cell = folder, cell

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning calls this after the method's own hook of that name."""
        path = self.folder / f"step={trainer.global_step}.ckpt"
        beside = path.with_suffix(".tmp")
        trainer.save_checkpoint(beside)  # every process takes part
        if trainer.is_global_zero:
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            content = {"cell": self.cell, "step": trainer.global_step, "epoch": trainer.current_epoch}
            content["sha256"] = _sha256(beside)
            beside.replace(path)
            write_json(path.with_suffix(".json"), content)
            for old in _newest_first(self.folder)[KEEP:]:
                old.with_suffix(".json").unlink(missing_ok=True)
                old.unlink(missing_ok=True)
        trainer.strategy.barrier()


def newest_intact(folder: Path, cell: str) -> Path | None:
    """The newest checkpoint that is whole, or None; one that was cut short is passed over for the one before.

    Raises:
        RequestError: the folder holds checkpoints of another cell.
    """
    check_owner(folder, cell)
    for path in _newest_first(folder):
        if _note(path).get("sha256") == _sha256(path):
            return path
    return None


def check_owner(folder: Path, cell: str) -> None:
    """Raise RequestError if the folder holds checkpoints of another configuration (reads no checkpoint)."""
    for path in _newest_first(folder):
        owner = _note(path).get("cell", cell)
        if owner != cell:
            raise RequestError(
                f"{path} belongs to another configuration ({owner}, this cell is {cell}): "
                "remove it, or choose another folder with --out"
            )


def _note(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return {}


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step=*.ckpt"), key=lambda path: int(path.stem.partition("=")[2]), reverse=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
