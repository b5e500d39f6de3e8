"""Loggers besides CSV: any of Lightning's kind by its dotted path."""

import json
import sys

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution import loggers
from disentangle_bench.benchmarks.execution.callbacks import DeferredLogs
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.runs.folder import RunFolder

MINE = """
import json
from pathlib import Path
from lightning.pytorch.loggers import Logger


class Lines(Logger):
    version = 0

    def __init__(self, save_dir, name, group, project="", level=3):
        self.folder, self.name = Path(save_dir), name
        self.told = {"group": group, "project": project, "level": level, "name": name}

    name = None

    def log_hyperparams(self, params):
        self.told["method"] = params["method"]

    def log_metrics(self, metrics, step=None):
        self.told |= metrics

    def finalize(self, status):
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "told.json").write_text(json.dumps(self.told | {"status": status}))


class Locked(Lines):
    def __init__(self):
        raise ConnectionError("no key")
"""
CELL = Cell("digits", "simclr", 0, {}, {}, {"epochs": 1}, "32-true", ["linear@1"])


@pytest.fixture(autouse=True)
def my_file(tmp_path, monkeypatch):
    (tmp_path / "my_loggers.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_loggers", None)


def test_a_logger_of_ones_own_gets_name_group_figures_and_cost(tmp_path):
    run = RunFolder(tmp_path / "digits" / "simclr" / CELL.hash)
    run.path.mkdir(parents=True)
    row = {"measure": "linear@1", "space": "features", "target": "class", "scores": {"top1": 0.9}}
    record = {"metrics": [row, row | {"scores": None}], "cost": {"train_seconds": 3.0, "ranks": []}}
    run.path.mkdir(parents=True, exist_ok=True)
    loggers.finish(loggers.make_loggers(run, CELL, "my_loggers.Lines"), run, record)
    told = json.loads((run.path / "logger" / "told.json").read_text())
    assert told == {
        "group": "digits/simclr",
        "project": "disentangle-bench",
        "level": 3,  # its own default
        "name": "digits/simclr seed 0",
        "method": "simclr",
        "features/linear@1/class/top1": 0.9,
        "cost/train_seconds": 3.0,
        "status": "success",
    }
    (curves,) = run.curves.rglob("metrics.csv")
    assert curves.read_text().splitlines()[0] == "features/linear@1/class/top1,step"  # costs are no curve


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("my_loggers.Nothing", "--logger: no logger at 'my_loggers.Nothing': no 'Nothing' in "),
        ("no_such_file.Logger", "--logger: no logger at 'no_such_file.Logger': there is no no_such_file.py in "),
        ("json.JSONDecoder", "expected a class derived from lightning.pytorch.loggers.Logger"),
        ("my_loggers.Locked", "--logger my_loggers.Locked: ConnectionError: no key"),
    ],
)
def test_a_logger_that_cannot_be_made_is_told_before_anything_runs(path, message):
    with pytest.raises(RequestError, match=message):
        loggers.try_out(path, CELL)


class Talkative(L.LightningModule):
    """Logs the step's number each step, and once something that comes but seldom."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        number = self.weight.detach() * 0 + batch_idx
        self.log("number", number)
        number += 100  # of which what was logged must know nothing
        if batch_idx == 5:  # no step that is written down: Lightning keeps it until the next one that is
            self.log_dict({"seldom": 7.0})
        self.log("mean", float(batch_idx), on_step=False, on_epoch=True)
        self.log("bar", float(batch_idx), True)
        return self.weight**2

    def on_train_epoch_end(self):
        self.log("end", 5.0)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def written(folder, callbacks):
    module = Talkative()
    L.Trainer(
        accelerator="cpu",
        logger=CSVLogger(folder, name="", version="curves"),
        max_epochs=1,
        log_every_n_steps=4,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, DataLoader(range(14)))
    assert "log" not in vars(module), "the method is as it was"
    return (folder / "curves" / "metrics.csv").read_text()


def test_curves_are_the_same_whether_each_step_is_handed_to_lightning_or_those_that_are_written(tmp_path, monkeypatch):
    plain = written(tmp_path / "plain", [])
    handed = []
    log = L.LightningModule.log
    monkeypatch.setattr(
        L.LightningModule, "log", lambda self, name, *a, **k: (handed.append(name), log(self, name, *a, **k))
    )
    assert written(tmp_path / "deferred", [DeferredLogs()]) == plain
    assert (handed.count("number"), handed.count("seldom"), handed.count("end")) == (3, 1, 1)
    assert all(value in plain for value in ("3.0", "7.0"))
