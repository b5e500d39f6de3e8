"""Encoders on this machine: a run's file, TorchScript, somebody's own function; and how they take the images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from disentangle_bench.benchmarks import own_code
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.execution.pretrained.availability import as_request_error
from disentangle_bench.methods.batches.own import STATISTICS
from disentangle_bench.methods.pretrained import networks
from disentangle_bench.methods.pretrained.encoder import Encoder, channels_of
from disentangle_bench.methods.pretrained.files import encoder_of_run
from disentangle_bench.methods.pretrained.note import Note
from disentangle_bench.registry import module_of

Network = Callable[[int, tuple[int, int]], nn.Module]
"""(Channels of the images, (h, w) that they are encoded at) -> network."""


@dataclass(frozen=True)
class Source:
    """An encoder that was named, not loaded yet.

    Attributes:
        label: what tables call it.
        load: makes the network. Raises RequestError.
        size: (h, w) that it was made for; None: it doesn't say.
        fixed: whether it takes no other size.
        statistics: mean and deviation by channel that it wants taken out; None: it doesn't say.
        step: steps that it was trained for; -1: elsewhere; 0: not at all.
        budget: that it was trained within, where that is known.
        note: of a file of this suite.
        code: (name, content) of the files of somebody's own that it is made by.
    """

    label: str
    load: Network
    size: tuple[int, int] | None = None
    fixed: bool = False
    statistics: tuple[Sequence[float], Sequence[float]] | None = None
    step: int = -1
    budget: dict[str, float] = field(default_factory=dict)
    note: Note | None = None
    code: list[tuple[str, str]] = field(default_factory=list)


def of_file(text: str, path: Path, note: Note, label: str = "") -> Source:
    """An encoder of this suite."""

    def load(channels: int, shape: tuple[int, int]) -> nn.Module:
        if channels != note.image_shape[0] and not (channels == 1 and note.image_shape[0] == 3):
            raise RequestError(
                f"--encoder {text}: made for images of {note.image_shape[0]} channels, these have {channels}"
            )
        with as_request_error(text, path):
            return encoder_of_run(path)

    return Source(
        label or f"{note.method} ({note.dataset})",
        load,
        size=note.eval_shape,
        statistics=(note.mean, note.std),
        step=note.step,
        budget=note.budget,
        note=note,
    )


def of_torchscript(text: str) -> Source:
    def load(channels: int, shape: tuple[int, int]) -> nn.Module:
        with as_request_error(text):
            return networks.torchscript(text)

    return Source(Path(text).name, load)


def of_function(path: str) -> Source:
    """The network that somebody's own function returns; an `Encoder` of `load_encoder` keeps size and statistics."""
    with as_request_error(path):
        network, (size, fixed, statistics) = networks.own_network(path)
    if isinstance(network, Encoder):
        _, *sides = network.image_shape
        size, fixed = (None, False) if None in sides else (tuple(sides), True)  # type: ignore[assignment]
        statistics = network.spec.mean, network.spec.std
    module = module_of(path)
    file = getattr(sys.modules.get(module), "__file__", None)
    code = own_code.texts(own_code.with_imports(module, Path(file))) if file else []
    return Source(path, lambda channels, shape: network, size, fixed, statistics, code=code)


def fitted(
    source: Source,
    *,
    image_shape: tuple[int, int, int],
    crop: float,
    size: int | None,
    normalize: str | None,
    statistics: tuple[Sequence[float], Sequence[float]],
) -> tuple[Encoder, dict[str, Any]]:
    """Load a source for the images of a data set.

    Args:
        source: what `--encoder` names.
        image_shape: of the images as the data set judges them.
        crop: share of the stored image's edge that is judged.
        size: edge that images are encoded at; None: that which the network was made for where it takes no other or is
            of this suite, else that of the images.
        normalize: `data`, `cifar10`, `imagenet`, `none`; None: as the source says, none if it doesn't.
        statistics: of the data set.

    Returns:
        The encoder, and how it takes images, for the record.
    """
    own = source.size if source.fixed or source.note else None
    shape = (size, size) if size else own or (image_shape[1], image_shape[2])
    network = source.load(image_shape[0], shape)
    found = network.image_shape[0] if isinstance(network, Encoder) else channels_of(network, image_shape[0], shape)
    channels = found or image_shape[0]
    known: dict[str, tuple[Sequence[float], Sequence[float]]] = {**STATISTICS, "data": statistics}
    mean, std = known[normalize] if normalize else source.statistics or known["none"]
    if len(mean) not in (1, channels):
        mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]  # of colours, for grey
    if isinstance(network, Encoder):
        encoder = network
        if normalize and encoder.inside:
            raise RequestError(f"--normalize {normalize}: a whole method normalises as it was trained, leave it out")
        if normalize:
            encoder.mean, encoder.std = (torch.tensor(list(values))[:, None, None] for values in (mean, std))
        encoder.image_shape, encoder.crop = (channels, *shape), crop
    else:
        encoder = Encoder(network, image_shape=(channels, *shape), mean=mean, std=std, crop=crop)
    how = {"image_shape": [channels, *shape], "mean": [float(v) for v in mean], "std": [float(v) for v in std]}
    return encoder.eval(), how
