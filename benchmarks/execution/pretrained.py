"""`bench eval`: measure an encoder that exists already, this suite's or timm's, without training."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants
from safetensors import SafetensorError, safe_open

from disentangle_bench import datamodules
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.costs import Cost
from disentangle_bench.benchmarks.execution.distributed import device_of
from disentangle_bench.benchmarks.execution.measure import measure
from disentangle_bench.benchmarks.execution.record import git_state, make_record, now
from disentangle_bench.benchmarks.execution.train import Trained
from disentangle_bench.benchmarks.machine import find_devices
from disentangle_bench.benchmarks.planning import options
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.benchmarks.planning.plan import find_class, resolve_measures, setup_data
from disentangle_bench.benchmarks.planning.suite import Suite
from disentangle_bench.benchmarks.runs import cleanup, feature_cache, lock
from disentangle_bench.benchmarks.runs.folder import CellLaunch, RunFolder
from disentangle_bench.benchmarks.runs.progress_file import ProgressFile
from disentangle_bench.benchmarks.runs.weights import state_hash
from disentangle_bench.benchmarks.typed_json import Unfit, fit
from disentangle_bench.datamodules.storage.locate import OFFLINE, unreachable
from disentangle_bench.evaluation.records import Record, read_record, seal, write_json
from disentangle_bench.methods.base import Method
from disentangle_bench.methods.random_init import RandomInit

LONGEST_TEXT = 500
"""Characters of a name in metadata."""


@dataclass(frozen=True)
class Note:
    """What the metadata of `encoder.safetensors` say: what it is, and where it comes from."""

    backbone: str
    stem: str
    image_shape: tuple[int, ...]
    step: int
    method: str
    dataset: str

    def __post_init__(self) -> None:
        for name, text in {"method": self.method, "dataset": self.dataset}.items():
            if not text.strip() or not text.isprintable() or len(text) > LONGEST_TEXT:
                raise ValueError(f"{name} is {text!r:.60}, a name is expected")
        if self.step < 0:
            raise ValueError(f"step is {self.step}")


class GivenEncoder(RandomInit):
    """An encoder with the weights it came with."""

    source = "given"


def measure_encoder(encoder: str, request: Suite, out: Path, untrained: bool) -> Record:
    """Measure an encoder on the request's (one) data set; encoded features are kept for the next time.

    Returns:
        The record, which is also written under `out`.

    Raises:
        RequestError: no such encoder, one that doesn't fit the data, or one that isn't trained.
    """
    if len(request.datasets) != 1:
        raise RequestError(f"--dataset {','.join(request.datasets)}: an encoder is judged on one data set at a time")
    (dataset,) = request.datasets
    data_class = find_class(datamodules, "dataset", dataset)
    data_options = options.resolve(
        data_class, request.settings.get("data", {}) | request.settings.get(dataset, {}), f"data set {dataset}"
    )
    data = setup_data(data_class, data_options, dataset)
    label, method, step = _open(encoder, data.image_shape, data.describe(), untrained)
    state = state_hash(method.state_dict())
    cell = Cell(
        dataset=dataset,
        method=label,
        seed=0,
        data=data_options,
        fingerprint=data.fingerprint,
        options={"encoder": encoder, "weights": state},
        budget={"epochs": 0},
        precision="32-true",
        measures=resolve_measures(request.measures),
        suite=request.name,
    )
    run = RunFolder(cell.folder(out))
    if run.is_complete(cell.measures):
        return read_record(run.record)
    started = now()
    cost = Cost(
        parameters=sum(p.numel() for p in method.parameters()),
        encoder_parameters=sum(p.numel() for p in method.backbone.parameters()),
    )
    trained = Trained(state, step, 0, cost)
    command = " ".join(["bench", *sys.argv[1:]])
    launch = CellLaunch(command=command, accelerator=find_devices()[0], git=git_state())
    method.to(device_of(launch))
    run.path.mkdir(parents=True, exist_ok=True)
    try:
        with lock.hold(run.lock):
            measured = measure(cell, method, data, run, state, ProgressFile(run))
            record = seal(make_record(cell, method, data, trained, measured, launch, started), run.outcomes)
            write_json(run.record, record)
            cleanup.clear(run)
    except lock.Taken:
        raise RequestError(
            f"--encoder {encoder}: another process is judging it into {run.path}, wait for that"
        ) from None
    feature_cache.prune(out)
    return record


def _open(
    encoder: str, image_shape: tuple[int, int, int], data: dict[str, Any], untrained: bool
) -> tuple[str, Method, int]:
    """The encoder's label in the table, the encoder, and the steps it was trained for (-1: elsewhere)."""
    if encoder.startswith("timm:"):
        name = encoder.removeprefix("timm:")
        if not timm.is_model(name):
            raise RequestError(f"--encoder {encoder}: timm has no such model, see timm.list_models()")
        if untrained:
            return f"{encoder} (untrained)", GivenEncoder(image_shape=image_shape, data=data, backbone=name), 0
        if os.environ.get(OFFLINE) or unreachable(constants.ENDPOINT):
            constants.HF_HUB_OFFLINE = True  # else it tries for half a minute
        own = timm.get_pretrained_cfg(name)
        mean_std = {"mean": own.mean, "std": own.std} if own else {}
        try:
            method = GivenEncoder(image_shape=image_shape, data=data | mean_std, backbone=name, init="timm")
        except Exception as error:  # whatever the download raises
            raise RequestError(
                f"--encoder {encoder}: its weights are not on disk and can't be downloaded ({type(error).__name__}: "
                f"{error}); --untrained judges it with random ones"
            ) from error
        return encoder, method, -1
    path = Path(encoder)
    if not path.is_file():
        raise RequestError(f"--encoder {encoder}: no such file (expected encoder.safetensors of a run, or timm:NAME)")
    try:
        with safe_open(path, "pt") as file:
            note = fit(Note, _values(file.metadata() or {}), "its metadata")
    except SafetensorError as error:
        raise RequestError(f"--encoder {encoder}: not a safetensors file ({error})") from error
    except Unfit as unfit:
        raise RequestError(f"--encoder {encoder}: not an encoder of this suite ({unfit})") from unfit
    views = (image_shape[0], *data["view_shape"])
    if note.image_shape != views:
        raise RequestError(
            f"--encoder {encoder}: made for views {note.image_shape}, these are {views} (see data.view_size)"
        )
    if note.step == 0 and not untrained:
        raise RequestError(
            f"--encoder {encoder}: this encoder has not been trained; --untrained judges it all the same"
        )
    given: dict[str, Any] = {"image_shape": image_shape, "data": data, "init": encoder}
    given |= {"backbone": note.backbone, "stem": note.stem}
    try:
        with torch.device("meta"):  # its shapes fit before any memory is taken
            GivenEncoder(**given)
        method = GivenEncoder(**given)
    except ValueError as error:
        raise RequestError(f"--encoder {encoder}: {error}") from error
    return f"{note.method} ({note.dataset})", method, note.step


def _values(texts: dict[str, str]) -> dict[str, Any]:
    """Metadata, which are texts only, with the numbers that `Note` expects."""
    values: dict[str, Any] = dict(texts)
    for name in ("image_shape", "step"):
        try:
            values[name] = json.loads(texts.get(name, ""))
        except (ValueError, RecursionError):
            continue  # then it doesn't fit
    return values
