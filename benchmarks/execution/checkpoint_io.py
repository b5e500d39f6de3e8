"""Checkpoints that survive a kill at any moment: written beside, synced, read back, the one before kept until then."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.runs.weights import sync_folder
from disentangle_bench.files import digest, replacing
from disentangle_bench.json_files import read_mapping, write_json

KEEP = 2
"""Checkpoints of a run that are kept: the newest, and the one before should that be damaged."""
log = logging.getLogger(__name__)


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's reading and writing of checkpoints.

    A checkpoint `step=<n>.ckpt` has a `.json` beside it with its checksum and with what has been trained so far. It is
    in place only after it was synced and read back; only then the oldest of more than `KEEP` goes.

    Args:
        cell: hash of the cell that they belong to.
    """

    def __init__(self, cell: str):
        self.cell = cell

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Called by Lightning, on rank 0 alone."""
        path = Path(path)
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as beside:
            with beside.open("wb") as file:  # torch's own would stay open, and take room, as long as its error is known
                torch.save(checkpoint, file)
            _open(beside)
            note = {"cell": self.cell, "step": checkpoint["global_step"], "epoch": checkpoint["epoch"]}
            note["sha256"] = digest(beside)
        write_json(path.with_suffix(".json"), note)
        sync_folder(path.parent)
        for old in _newest_first(path.parent)[KEEP:]:
            old.with_suffix(".json").unlink(missing_ok=True)
            old.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Called by Lightning; plain values and tensors only, whatever the file would like to run."""
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        _close_epoch(checkpoint["loops"]["fit_loop"])
        return dict(checkpoint)


def _close_epoch(loop: dict[str, Any]) -> None:
    """Have training go on with the next epoch after a checkpoint of an epoch's end.

    Within a budget of steps Lightning takes such an epoch for one that is still to be ended, and gives it one more
    batch, the first of the next epoch.

    Args:
        loop: state of Lightning's `fit_loop` in the checkpoint.
    """
    epochs = loop["epoch_progress"]
    if epochs["current"]["completed"] == epochs["current"]["processed"]:  # in mid-epoch
        return
    for counts in epochs.values():
        counts["completed"] = counts["processed"]
    batches, steps = loop["epoch_loop.batch_progress"], loop["epoch_loop.automatic_optimization.optim_progress"]
    batches["is_last_batch"] = False
    for progress in (batches, loop["epoch_loop.scheduler_progress"], *steps["optimizer"].values()):
        progress["current"] = dict.fromkeys(progress["current"], 0)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Path of the checkpoint after so many steps."""
    return folder / f"step={step}.ckpt"


def newest_intact(folder: Path, cell: str) -> Path | None:
    """The newest checkpoint that is whole, or None; one that is damaged is passed over for the one before.

    Raises:
        RequestError: the folder holds checkpoints of another cell.
    """
    check_owner(folder, cell)
    for path in _newest_first(folder):
        if (wrong := _wrong(path)) is None:
            return path
        log.warning("%s is passed over (%s); going on from the one before it, or from the start", path, wrong)
    return None


def check_owner(folder: Path, cell: str) -> None:
    """Raise RequestError if the folder holds checkpoints of another configuration (reads no checkpoint)."""
    for path in _newest_first(folder):
        owner = read_mapping(path.with_suffix(".json")).get("cell", cell)
        if owner != cell:
            raise RequestError(
                f"{path} belongs to another configuration ({owner}, this cell is {cell}): "
                "remove it, or choose another folder with --out"
            )


def _wrong(path: Path) -> str | None:
    """The problem with a checkpoint, or None. The checksum finds damage; it is no proof of the file's origin."""
    note = read_mapping(path.with_suffix(".json"))
    if "sha256" not in note:
        return "no checksum beside it: it was being written when the run ended, or its .json is damaged"
    try:
        if note["sha256"] != digest(path):
            return "its checksum differs: cut short or damaged"
        _open(path)
    except Exception as error:  # whatever a damaged or hostile file makes the reader raise
        return f"not readable as plain values and tensors: {str(error).partition(chr(10))[0]}"
    return None


def _open(path: Path) -> None:
    """Read a checkpoint's structure, not its tensors; what is more than plain values and tensors is refused."""
    torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _newest_first(folder: Path) -> list[Path]:
    numbered = {path: path.stem.removeprefix("step=") for path in folder.glob("step=*.ckpt")}
    return sorted((path for path, step in numbered.items() if step.isdigit()), key=lambda p: -int(numbered[p]))
