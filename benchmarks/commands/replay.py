"""Find where a run's first NaN or infinite value came from."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning.cell import CONFIG, Cell


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

    from disentangle_bench.benchmarks.execution import run_cell as runner
    from disentangle_bench.benchmarks.execution.callbacks import Costs, GlobalStreams
    from disentangle_bench.benchmarks.execution.checkpoint_io import CheckpointFiles, newest_intact
    from disentangle_bench.benchmarks.execution.nonfinite import Finding, LookEverywhere, tell
    from disentangle_bench.benchmarks.execution.train import budget_arguments

    runner.quiet()
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
            callbacks=[Costs(), GlobalStreams(), look],
            plugins=[CheckpointFiles(cell.hash)],
            default_root_dir=elsewhere,
        )
        try:
            seen = data.training_view(type(method).uses_targets)
            trainer.fit(method, datamodule=seen, ckpt_path=start, weights_only=True)
        except Finding as found:
            tell(found, look.batch, reported)
            return 0
        except RuntimeError as error:  # anomaly detection: it names the operation whose gradient is NaN
            if "returned nan values" not in str(error):
                raise
            tell(Finding(look.step, f"backward pass: {error}"), look.batch, reported)
            return 0
    print("every value was finite this time: look at the device, or at what one of several processes did alone")
    return 1


def _read(run: Path) -> tuple[Cell, dict[str, Any], dict[str, Any]]:
    from disentangle_bench.benchmarks.execution.callbacks import NOT_FINITE

    try:
        config = json.loads((run / CONFIG).read_text())
        reported = json.loads((run / NOT_FINITE).read_text())
        return Cell(**config["cell"]), config["launch"], reported
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"{run}: no run that ended by a NaN or infinite value; its folder has {CONFIG} and {NOT_FINITE} ({error})"
        ) from error
