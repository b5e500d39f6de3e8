"""`bench replay`."""

from __future__ import annotations

import tempfile
from pathlib import Path


def command(folder: str) -> int:
    """Say which module or operation gave the first NaN or infinite value of a run that ended by one.

    Trains again, in one process, from the newest checkpoint to the step that is named in the run's `not_finite.json`,
    looking at every module's output, every operation's and every gradient. Writes nothing.

    Args:
        folder: of the run, as its failure names it.
    """
    from disentangle_bench.benchmarks.errors import RequestError
    from disentangle_bench.benchmarks.runs.folder import RunFolder
    from disentangle_bench.json_files import BadJson, read

    run = RunFolder(Path(folder))
    try:
        config = run.read_config()
        missing = BadJson(f"{run.not_finite.name}: missing")
        if not run.not_finite.exists():
            raise missing
        from disentangle_bench.benchmarks.execution.nonfinite import BadStep  # and with it what takes seconds

        if (bad := read(BadStep, run.not_finite)) is None:
            raise missing
    except BadJson as error:
        raise RequestError(f"{folder}: no run that ended by a NaN or infinite value ({error})") from error

    import lightning as L
    import torch

    from disentangle_bench.benchmarks import machine, own_code
    from disentangle_bench.benchmarks.execution.build import build_data, build_method
    from disentangle_bench.benchmarks.execution.callbacks import GlobalStreams
    from disentangle_bench.benchmarks.execution.checkpoint_io import CheckpointFiles, newest_intact
    from disentangle_bench.benchmarks.execution.costs import CostMeter
    from disentangle_bench.benchmarks.execution.nonfinite import CheckEveryValue, Finding, print_finding
    from disentangle_bench.benchmarks.execution.run_cell import quiet, set_threads
    from disentangle_bench.benchmarks.execution.train import budget_arguments

    accelerator = config.launch.accelerator
    if accelerator == "gpu" and machine.find_devices()[0] != "gpu":
        raise RequestError(f"{folder}: it computed on a GPU, and torch finds none here: replay it where there is one")
    quiet()
    own_code.allow(Path(config.launch.code))
    cell = config.cell
    data = build_data(cell)
    method = build_method(cell, data).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    set_threads(cell.threads or config.launch.threads)  # as in the run: sums are rounded alike
    start = newest_intact(run.checkpoints, cell.hash)
    print(f"from {start.name if start else 'the start'} to step {bad.step} (epoch {bad.epoch})")
    check = CheckEveryValue(bad.step)
    with tempfile.TemporaryDirectory() as elsewhere:
        trainer = L.Trainer(
            accelerator=accelerator,
            devices=1,
            precision=cell.precision,  # type: ignore[arg-type]
            **budget_arguments(cell.budget),
            detect_anomaly=True,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[CostMeter(), GlobalStreams(), check],
            plugins=[CheckpointFiles(cell.hash)],
            default_root_dir=elsewhere,
        )
        try:
            seen = data.training_view(type(method).uses_targets)
            trainer.fit(method, datamodule=seen, ckpt_path=start, weights_only=True)
        except Finding as found:
            print_finding(found, check.batch, bad)
            return 0
        except RuntimeError as error:  # anomaly detection: it names the operation whose gradient is NaN
            if "returned nan values" not in str(error):
                raise
            print_finding(Finding(check.step, f"backward pass: {error}"), check.batch, bad)
            return 0
    print("every value was finite this time: look at the device, or at what one of several processes did alone")
    return 1
