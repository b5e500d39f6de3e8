"""Data and methods of a request, tried out before anything is written: what is wrong with one is told in a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from inspect import signature
from typing import Any

import numpy as np

from disentangle_bench.benchmarks import own_code
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning import options
from disentangle_bench.benchmarks.planning.lookup import is_outside
from disentangle_bench.datamodules.base import PROBES, SPLITS, DataNotFound, ImageDataModule
from disentangle_bench.datamodules.targets import TargetSpec
from disentangle_bench.evaluation.measures.base import Measure, Space
from disentangle_bench.evaluation.measures.own import accepted
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.methods.networks.backbones import require_pretrained
from disentangle_bench.methods.networks.checkpoints import WeightsNotFound

ROWS, CODES = 400, 16
"""Size of the random codes that measures are tried on: rows of each split (more for targets of many values), width."""


def setup_data(cls: type, data_options: dict[str, Any], name: str) -> ImageDataModule:
    """The data set, loaded, or RequestError if it is missing or the options don't fit it."""
    with opened_data(cls, data_options, name) as data:
        data.setup()
    return data


@contextmanager
def opened_data(cls: type, data_options: dict[str, Any], name: str) -> Iterator[ImageDataModule]:
    """The data set, not loaded; within the block what is wrong with it is a RequestError."""
    with _as_request_error(cls, f"data set {name}"):
        try:
            yield cls(**options.instantiate(cls, data_options))
        except DataNotFound as error:
            card = f"`bench list datasets {name}` says where to get it and what to put there"
            told = f"{error.missing}; {card}" if error.advice else error.missing
            raise RequestError(f"data set {name}: {told}") from error


@contextmanager
def _as_request_error(cls: type, what: str) -> Iterator[None]:
    """Tell in a line what goes wrong: of our own classes what the request can be wrong in, of others' anything."""
    try:
        yield
    except RequestError:
        raise
    except (ValueError, OSError) as error:
        raise RequestError(f"{what}: {error}") from error
    except BaseException as error:  # a file of the user's may raise anything, `sys.exit` included
        if not is_outside(cls) or isinstance(error, KeyboardInterrupt):
            raise
        raise RequestError(f"{what}: its code ended with {type(error).__name__}: {error}") from error


def check_class(cls: Any, where: str) -> None:
    """Raise RequestError for a method of somebody's own that can't be given the base's options, or can't train."""
    if not is_outside(cls):
        return
    from disentangle_bench.methods.base import Method

    whole = signature(cls).parameters.keys() >= options.GIVEN_BY_THE_RUN
    if not whole and options.known_options(cls).isdisjoint(options.known_options(Method)):
        raise RequestError(f"{where}: its __init__ must take **kwargs and hand them on, super().__init__(**kwargs)")
    if cls.trains and cls.training_step is Method.training_step:
        raise RequestError(f"{where}: has no training_step(self, batch, batch_idx) that returns the loss")


def try_building(cls: Any, resolved: dict[str, Any], where: str, data: ImageDataModule) -> list[str]:
    """Raise RequestError if the method can't be made of its options for these images.

    Ours are made without memory for their weights; those that timm would download are not.

    Returns:
        What is said of each file of weights that isn't there; the method can be made but for those.
    """
    import torch

    arguments = options.instantiate(cls, resolved)
    ours = not is_outside(cls)
    needed: list[str] = []
    with _as_request_error(cls, where), torch.device("meta") if ours else nullcontext():
        if arguments.get("init") == "timm":
            arguments["init"] = None
            require_pretrained(arguments["backbone"])
        while True:
            try:
                method = cls(image_shape=data.image_shape, data=data.describe(), **arguments)
                if not ours:
                    _try_embedding(method, data.image_shape)
                return needed
            except WeightsNotFound as missing:
                if arguments | missing.without == arguments:
                    raise
                needed.append(str(missing))
                arguments |= missing.without


def _try_embedding(method: Any, image_shape: tuple[int, int, int]) -> None:
    """Have somebody's own method embed two black images, which it would else fail at after training.

    Raises:
        ValueError: a space isn't [B, d], or one that the class names isn't there.
    """
    import torch

    from disentangle_bench.methods.pretrained.encoder import named_spaces

    images = torch.zeros(2, *image_shape, dtype=torch.uint8)
    with torch.no_grad():
        spaces = named_spaces(method.eval().embed(images), len(images))
    for attribute in ("primary_space", "invariant_space"):
        if (space := getattr(method, attribute)) not in spaces:
            raise ValueError(f"{attribute} is {space!r}, but embed returns {', '.join(spaces)}")


def try_measure(measure: Measure, targets: tuple[TargetSpec, ...]) -> None:
    """Take somebody's own measure on random codes: it would else fail only after training.

    Args:
        measure: of somebody's own.
        targets: of the data set; every value of each is there.

    Raises:
        RequestError: its code fails, or gives what no record can hold.
    """
    rng = np.random.default_rng(0)
    rows = max([ROWS, *(4 * target.size for target in targets)])
    splits: tuple[str, ...] = (*SPLITS, *PROBES)
    x = {split: rng.normal(size=(rows, CODES)).astype(np.float32) for split in splits}
    y = {split: {target.name: _some_values(target, rows, rng) for target in targets} for split in splits}
    space = Space(measure.spaces[0] if measure.spaces else "features", x, y)
    for _, specs in measure.targets.choose(targets):
        try:
            accepted(measure, measure.run(space, *specs))
        except MetricUndefined:
            continue
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a file of the user's may raise anything, `sys.exit` included
            place = own_code.place_of(error)
            what = f"{type(error).__name__}: {error}" + (f" ({place})" if place else "")
            raise RequestError(
                f"measure {measure.title}: tried on {rows} random codes of width {CODES}, without an encoder, its code "
                f"ended with {what}"
            ) from error


def _some_values(target: TargetSpec, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Values [rows] of a target in random order, as a data set's are."""
    if target.discrete:
        return rng.permutation(np.arange(rows) % target.size)
    return (rng.uniform(0, 2 * np.pi, rows) if target.kind == "circular" else rng.normal(size=rows)).astype(np.float32)
