"""`bench eval`: measure an encoder that exists already, or its features, without training."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from disentangle_bench import datamodules
from disentangle_bench.benchmarks import own_code, terminal
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.build import as_pieces, edited_measures, own_measures_of
from disentangle_bench.benchmarks.execution.costs import Cost
from disentangle_bench.benchmarks.execution.distributed import device_of
from disentangle_bench.benchmarks.execution.failures import explain
from disentangle_bench.benchmarks.execution.measure import Measurements, measure
from disentangle_bench.benchmarks.execution.pretrained import encoder_names, sources
from disentangle_bench.benchmarks.execution.pretrained.encoding import encode, withdrawn_if_refused
from disentangle_bench.benchmarks.execution.pretrained.features import PrecomputedFeatures, read_bank
from disentangle_bench.benchmarks.execution.pretrained.forecast import ProgressBar, forecast, spaces_of
from disentangle_bench.benchmarks.execution.record import git_state, make_record, now, write_results
from disentangle_bench.benchmarks.execution.train import Trained
from disentangle_bench.benchmarks.machine import find_devices
from disentangle_bench.benchmarks.planning import options
from disentangle_bench.benchmarks.planning.cell import Cell, content_hash
from disentangle_bench.benchmarks.planning.lookup import (
    find_class,
    own_measures,
    own_texts,
    resolve_measures,
    source_hash,
)
from disentangle_bench.benchmarks.planning.suite import Suite
from disentangle_bench.benchmarks.planning.trial import setup_data, try_measure
from disentangle_bench.benchmarks.runs import cleanup, feature_cache, lock
from disentangle_bench.benchmarks.runs.folder import CellLaunch, RunConfig, RunFolder
from disentangle_bench.benchmarks.runs.weights import state_hash
from disentangle_bench.datamodules.base import ImageDataModule
from disentangle_bench.evaluation.features import FeatureBank
from disentangle_bench.evaluation.protocol import BUILT_IN, MEASURES
from disentangle_bench.evaluation.records import UNKNOWN, USER, BadRecord, Record, digest_of, read_record
from disentangle_bench.files import printable
from disentangle_bench.json_files import write_json
from disentangle_bench.methods.pretrained.encoder import Encoder


@dataclass(frozen=True)
class GivenEncoder:
    """The encoder, or the features, to be judged.

    Attributes:
        encoder: as `--encoder` says; empty where features are given.
        features: folder of them, as `--features` says.
        name: that tables call it by; "": as it comes.
        image_size: edge that images are encoded at; None: what suits the encoder.
        normalize: what is taken out of pixels; None: as the encoder says.
        untrained: judge random weights.
        labels: roles of the targets that it saw, as its user says; None: who judges it doesn't say.
    """

    encoder: str = ""
    features: str = ""
    name: str = ""
    image_size: int | None = None
    normalize: str | None = None
    untrained: bool = False
    labels: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"--encoder {self.encoder}" if self.encoder else f"--features {self.features}"


@dataclass(frozen=True)
class _Loaded:
    """A module with what a record says of it: the state of its weights or features, and where they come from.

    `labels` are the roles that are known to have been seen without anybody's word; None: nothing is known.
    """

    label: str
    module: nn.Module
    state: str
    options: dict[str, Any]
    budget: dict[str, float]
    step: int
    bank: FeatureBank | None = None
    code: Sequence[tuple[str, str]] = ()
    labels: list[str] | None = None


def measure_encoder(given: GivenEncoder, request: Suite, out: Path) -> Record:
    """Measure an encoder on the request's (one) data set; encoded features are kept for the next time.

    Returns:
        The record, which is also written under `out`.

    Raises:
        RequestError: no such encoder, one that doesn't fit the data, or one that isn't trained.
    """
    own_code.allow(Path.cwd())
    (dataset,) = request.datasets
    source = encoder_names.find(given.encoder, given.untrained) if given.encoder else None
    data_class = find_class(datamodules, "dataset", dataset)
    data_options = options.resolve(
        data_class, request.settings.get("data", {}) | request.settings.get(dataset, {}), f"data set {dataset}"
    )
    if "batch_size" not in {**request.overrides.get("data", {}), **request.overrides.get(dataset, {})}:
        data_options["batch_size"] = 1  # of training, which there is none of: a small folder is no mistake
    data = setup_data(data_class, data_options, dataset)
    loaded = _load_encoder(given, source, data) if source else _load_features(given, data)
    if given.labels is not None and loaded.labels is not None:
        raise RequestError(
            f"--labels: {given} itself says which labels it saw, {', '.join(loaded.labels) or 'none'}: leave it out"
        )
    cell = Cell(
        dataset=dataset,
        method=given.name or loaded.label,
        seed=0,
        data=data_options,
        fingerprint=data.fingerprint,
        source=source_hash(data_class)
        + (content_hash(own) if (own := "".join(text for _, text in loaded.code)) else ""),
        options=loaded.options,
        budget=loaded.budget,
        precision="32-true",
        measures=resolve_measures(request.measures),
        suite=request.name,
        imports=own_measures(request.measures),
    )
    for title in filter(lambda title: title not in BUILT_IN, cell.measures):
        try_measure(MEASURES[title], data.targets)
    for told in edited_measures(cell.imports, out):
        print(f"bench: {printable(told)}", file=sys.stderr)
    run = RunFolder(cell.folder(out))
    if run.is_complete(cell.measures):
        return _relabelled(run, given)
    started = now()
    launch = CellLaunch(command=shlex.join(["bench", *sys.argv[1:]]), accelerator=find_devices()[0], git=git_state())
    loaded.module.to(device_of(launch))
    parameters = sum(p.numel() for p in loaded.module.parameters())
    trained = Trained(loaded.state, loaded.step, 0, Cost(parameters=parameters, encoder_parameters=parameters))
    _announce(cell, loaded, data, out)
    if _seen(run, given, loaded)[0] == [UNKNOWN]:
        told = "bench: nobody knows which labels it saw, so it competes with nothing; --labels says it, such as none"
        print(told, file=sys.stderr)
    code = as_pieces([*loaded.code, *own_texts(data_class), *own_measures_of(cell.imports)])
    made = [path for path in (run.path, *run.path.parents) if not path.exists()]
    run.path.mkdir(parents=True, exist_ok=True)
    run.write_config(RunConfig(cell, launch))
    with _held(run), withdrawn_if_refused(run, made):
        measured = _measured(given, loaded, cell, data, run)
        record = make_record(cell, loaded.module, data, trained, measured, launch, started)
        record["labels"], record["provenance"]["labels_from"] = _seen(run, given, loaded)
        sealed = write_results(run, record, measured.outcomes, code)
        cleanup.clear(run)
    feature_cache.prune(out)
    return sealed


@contextmanager
def _held(run: RunFolder) -> Iterator[None]:
    """Hold a run's lock within the block. Raises RequestError if another process has it."""
    try:
        with lock.hold(run.lock):
            yield
    except lock.Taken:
        raise RequestError(f"another process is judging this encoder into {run.path}, wait for that") from None


def _measured(given: GivenEncoder, loaded: _Loaded, cell: Cell, data: ImageDataModule, run: RunFolder) -> Measurements:
    """The measurements, with the seconds of encoding. Raises RequestError."""
    start, bank = time.perf_counter(), loaded.bank
    progress = ProgressBar(run)
    try:
        if isinstance(loaded.module, Encoder):
            bank = encode(loaded.module, data, run, loaded.state, progress, str(given))
        encoding = time.perf_counter() - start
        measured = measure(cell, loaded.module, data, run, loaded.state, progress, bank)
    except Exception as error:
        if isinstance(error, RequestError) or not own_code.place_of(error):
            raise
        raise RequestError(f"{given}: {explain(error, run.path)}") from error  # in a measure, or in the network
    finally:
        progress.close()
    return replace(measured, seconds=measured.seconds + encoding)


def _seen(run: RunFolder, given: GivenEncoder, loaded: _Loaded) -> tuple[list[str], str]:
    """The labels that an encoder saw, and who says so."""
    if loaded.labels is not None:
        return loaded.labels, "its file"
    if given.labels is not None:
        return sorted(given.labels), USER
    try:
        earlier = read_record(run.record)  # with fewer measures
    except BadRecord:
        return [UNKNOWN], "nobody"
    return (earlier["labels"], USER) if earlier["provenance"].get("labels_from") == USER else ([UNKNOWN], "nobody")


def _relabelled(run: RunFolder, given: GivenEncoder) -> Record:
    """The complete record, with the labels that its user now says it saw."""
    record = read_record(run.record)
    provenance = record["provenance"] | {"labels_from": USER}
    if given.labels is None or (record["labels"], record["provenance"]) == (sorted(given.labels), provenance):
        return record
    if record["digest"] != digest_of(record):
        raise RequestError(f"--labels: {run.record} is not as it was sealed, remove it and judge {given} again")
    changed = record | {"labels": sorted(given.labels), "provenance": provenance}
    sealed = cast(Record, changed | {"digest": digest_of(changed)})
    with _held(run):
        write_json(run.record, sealed)
    return sealed


def _load_encoder(given: GivenEncoder, source: sources.Source, data: ImageDataModule) -> _Loaded:
    about = data.describe()
    shape: Sequence[int] = about["eval_shape"]
    where = f"--encoder {given.encoder}"
    try:
        encoder, how = sources.fitted(
            source,
            image_shape=(data.image_shape[0], shape[0], shape[1]),
            crop=about["eval_crop"],
            size=given.image_size,
            normalize=given.normalize,
            statistics=data.statistics,
        )
    except RequestError:
        raise
    except (ValueError, TypeError) as error:
        raise RequestError(f"{where}: {error}") from error
    state = state_hash(encoder.state_dict())
    how |= {"encoder": given.encoder, "weights": state}
    labels = sorted(source.note.labels) if source.note else [] if source.step == 0 else None
    return _Loaded(source.label, encoder, state, how, source.budget, source.step, code=source.code, labels=labels)


def _load_features(given: GivenEncoder, data: ImageDataModule) -> _Loaded:
    folder = Path(given.features)
    bank, state = read_bank(folder, data)
    return _Loaded(
        folder.resolve().name,
        PrecomputedFeatures(),
        state,
        {"features": given.features, "weights": state},
        {},
        -1,
        bank,
    )


def _announce(cell: Cell, loaded: _Loaded, data: ImageDataModule, out: Path) -> None:
    """Say in a line what will be measured, on which images, and what it will cost."""
    if isinstance(loaded.module, Encoder):
        try:
            spaces, seconds = spaces_of(loaded.module, data)
        except Exception as error:  # somebody's own network may raise anything
            if isinstance(error, ValueError):
                raise RequestError(f"--encoder {cell.options['encoder']}: {error}") from error
            halves = {p.dtype for p in loaded.module.parameters()} & {torch.float16, torch.bfloat16}
            hint = f"its weights are {halves.pop()}, judge its `.float()`" if halves else "--image-size resizes them"
            *_, reason = str(error).strip().splitlines() or [type(error).__name__]  # TorchScript's begins with a trace
            raise RequestError(
                f"--encoder {cell.options['encoder']}: does not encode images of shape "
                f"{tuple(cell.options['image_shape'])} ({hint}): {' '.join(reason.split()):.300}"
            ) from error
        height, width = loaded.module.image_shape[1:]
        mean, std = (", ".join(f"{v:.3g}" for v in cell.options[key]) for key in ("mean", "std"))
        how = f"images at {height}x{width}, minus mean {mean}, divided by deviation {std}"
    else:
        bank = loaded.bank.features if loaded.bank else {}
        spaces, seconds = {name: parts["test"].shape[1] for name, parts in bank.items()}, 0.0
        how = "features as they are"
    if terminal.verbosity > terminal.Verbosity.QUIET:
        print(printable(f"bench: judging {cell.method} on {cell.dataset}, {how}"), file=sys.stderr)
        told = forecast(out, cell.dataset, cell.measures, spaces, seconds)
        print(printable(f"bench: {told}"), file=sys.stderr)
    if lacking := [title for title in cell.measures if not MEASURES[title].targets.choose(data.targets)]:
        told = f"not measured: {', '.join(lacking)}, for which {cell.dataset} has no target"
        if lacking == cell.measures:
            raise RequestError(f"--measures: {told}, and nothing else was asked for")
        print(printable(f"bench: {told}"), file=sys.stderr)
