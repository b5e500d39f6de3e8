"""Loggers of a run: CSV always; Weights & Biases, or any class of Lightning's kind by its dotted path, besides.

W&B works offline (`WANDB_MODE=offline`) without a key. It is an extra, so it is imported where it is asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from inspect import isclass, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.evaluation.pictures import artefacts
from disentangle_bench.registry import imported

if TYPE_CHECKING:
    import pandas as pd

PROJECT = "disentangle-bench"


def make_loggers(run: RunFolder, cell: Cell, logger: str) -> list[Logger]:
    """Curves as CSV always, one file a start so that an interrupted run's stay; another logger if asked for.

    Args:
        run: folder of the cell.
        cell: whose configuration is logged, under an id that a resumed cell shares.
        logger: csv (none besides), wandb, or a dotted path.
    """
    run.curves.mkdir(exist_ok=True)  # not with its parents, as Lightning would: a run that was removed stays so
    attempt = len(list(run.curves.glob("attempt_*")))
    loggers: list[Logger] = [CSVLogger(run.curves, name="", version=f"attempt_{attempt}")]
    if logger == "wandb":
        tags = [tag[:64] for tag in dict.fromkeys([cell.dataset, cell.method, cell.suite, *cell.labels]) if tag]
        named: Any = {"name": cell.title, "id": cell.hash, "tags": tags, "group": f"{cell.dataset}/{cell.method}"}
        loggers.append(
            WandbLogger(project=PROJECT, save_dir=run.path, job_type="run", resume="allow", log_model=False, **named)
        )
    elif logger != "csv":
        loggers.append(_made(find(logger), run.path / "logger", cell))
    for one in loggers[1:]:
        one.log_hyperparams(asdict(cell))
    return loggers


def find(path: str) -> type[Logger]:
    """The class behind a dotted path, such as lightning.pytorch.loggers.TensorBoardLogger.

    Raises:
        RequestError: there is none, or it is something else.
    """
    try:
        found = imported(path, "logger")
    except LookupError as error:
        raise RequestError(f"--logger: {error}") from error
    if not (isclass(found) and issubclass(found, Logger)):
        raise RequestError(f"--logger {path}: expected a class derived from lightning.pytorch.loggers.Logger")
    return found


def try_out(path: str, cell: Cell) -> None:
    """Raise RequestError if a logger can't be made, so that it is said before anything runs."""
    cls = find(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            _made(cls, Path(folder), cell)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise RequestError(f"--logger {path}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def finish(loggers: list[Logger], run: RunFolder, record: Mapping[str, Any]) -> None:
    """Log a run's figures; what it cost and its pictures too, where there is more than a file of curves."""
    figures = {
        "/".join(filter(None, (row["space"], row["measure"], row["target"], key))): value
        for row in record["metrics"]
        for key, value in (row["scores"] or {}).items()
    }
    costs = {f"cost/{key}": value for key, value in record["cost"].items() if isinstance(value, int | float)}
    for logger in loggers:
        logger.log_metrics(figures if isinstance(logger, CSVLogger) else figures | costs)
        if isinstance(logger, WandbLogger):
            for file in (artefacts.NEIGHBOURS, artefacts.VIEWS):
                if (picture := run.path / artefacts.FOLDER / file).exists():
                    logger.log_image(picture.stem, [str(picture)])
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            import wandb

            wandb.finish()


def _made(cls: type[Logger], folder: Path, cell: Cell) -> Logger:
    """A logger made with those of these arguments that its class takes; addresses and keys it has to find itself."""
    known: dict[str, Any] = {
        "save_dir": str(folder),
        "root_dir": str(folder),
        "name": cell.title,
        "run_name": cell.title,
        "project": PROJECT,
        "project_name": PROJECT,
        "experiment_name": PROJECT,
        "group": f"{cell.dataset}/{cell.method}",
    }
    taken = signature(cls.__init__).parameters
    return cls(**{key: value for key, value in known.items() if key in taken})


def log_leaderboard(frame: pd.DataFrame, folder: Path) -> None:
    """Log the leaderboard as a table, in a run of its own."""
    import wandb

    frame = frame.drop(columns=["seeds", "runs", "values", "published"])  # tuples, which a table of theirs can't hold
    with wandb.init(project=PROJECT, name="leaderboard", job_type="leaderboard", dir=folder) as run:
        run.log({"leaderboard": wandb.Table(dataframe=frame.astype(object).where(frame.notna(), None))})


def log_report(folder: Path) -> None:
    """Log a report, its page with all tables and pictures, as an artifact."""
    import wandb

    with wandb.init(project=PROJECT, name="report", job_type="report", dir=folder.parent) as run:
        artifact = wandb.Artifact("report", type="report")
        artifact.add_dir(str(folder))
        run.log_artifact(artifact)
