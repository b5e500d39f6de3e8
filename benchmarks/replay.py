"""Find where a run's first NaN or infinite value came from."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cells import CONFIG, Cell
from benchmarks.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.finiteness import Finding


def replay(folder: str) -> int:
    """Say which module or operation gave the first NaN or infinite value of a run that ended by one.

    Trains again, in one process, from the newest checkpoint to the step that is named in the run's `not_finite.json`,
    looking at every module's output, every operation's and every gradient. Writes nothing.

    Args:
        folder: of the run, as its failure names it.
    """
    run = Path(folder)
    cell, launch, reported = _read(run)

    import lightning as L

    from benchmarks import runner
    from benchmarks.callbacks import GlobalStreams
    from benchmarks.checkpoints import CheckpointFiles, newest_intact
    from benchmarks.finiteness import Finding, LookEverywhere
    from benchmarks.training import budget_arguments

    runner._quiet()
    data = runner.build_data(cell)
    method = runner.build_method(cell, data)
    start = newest_intact(run / "checkpoints", cell.hash)
    print(f"from {start.name if start else 'the start'} to step {reported['step']} (epoch {reported['epoch']})")
    look = LookEverywhere(reported["step"])
    with tempfile.TemporaryDirectory() as elsewhere:
        trainer = L.Trainer(
            accelerator=launch["accelerator"],
            devices=1,
            precision=cell.precision,  # type: ignore[arg-type]
            **budget_arguments(cell.budget),
            detect_anomaly=True,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[GlobalStreams(), look],
            plugins=[CheckpointFiles(cell.hash)],
            default_root_dir=elsewhere,
        )
        try:
            trainer.fit(method, datamodule=data, ckpt_path=start, weights_only=True)
        except Finding as found:
            return _tell(found, look.batch, reported)
        except RuntimeError as error:  # anomaly detection: it names the operation whose gradient is NaN
            if "returned nan values" not in str(error):
                raise
            return _tell(Finding(look.step, f"backward pass: {error}"), look.batch, reported)
    print("every value was finite this time: the cause isn't in the run itself (a device, a library's random order)")
    return 1


def _read(run: Path) -> tuple[Cell, dict[str, Any], dict[str, Any]]:
    from benchmarks.callbacks import NOT_FINITE

    try:
        config = json.loads((run / CONFIG).read_text())
        reported = json.loads((run / NOT_FINITE).read_text())
        return Cell(**config["cell"]), config["launch"], reported
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"{run}: no run that ended by a NaN or infinite value; its folder has {CONFIG} and {NOT_FINITE} ({error})"
        ) from error


def _tell(found: Finding, batch: dict[str, Tensor], reported: dict[str, Any]) -> int:
    """Print what was found and what is known of the batch."""
    images, index = batch["image"].float(), batch["index"]
    print(f"step {found.step}: {found.what}")
    print(f"images of that batch (positions in the training split): {', '.join(map(str, index.tolist()))}")
    if found.step == reported["step"] and set(reported["index"]) - set(index.tolist()):
        print("they are not those that the run reported: its data or its code have changed since")
    low, high, mean, std = images.min(), images.max(), images.mean(), images.std()
    print(f"their pixels: smallest {low:.0f}, largest {high:.0f}, mean {mean:.2f}, standard deviation {std:.2f}")
    flat = index[images.flatten(1).std(1) == 0].tolist()
    if flat:
        print(f"images of a single value: {', '.join(map(str, flat))}")
    return 0
