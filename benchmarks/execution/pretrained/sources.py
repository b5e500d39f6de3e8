"""Encoders on this machine: a run's file, TorchScript, somebody's own function; and how they take the images."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning.cell import content_hash
from disentangle_bench.methods.base import STATISTICS
from disentangle_bench.methods.pretrained.encoder import Encoder, channels_of
from disentangle_bench.methods.pretrained.files import load_encoder
from disentangle_bench.methods.pretrained.note import BadFile, Note
from disentangle_bench.registry import imported

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
        code: hash of somebody's own code that it is made by.
    """

    label: str
    load: Network
    size: tuple[int, int] | None = None
    fixed: bool = False
    statistics: tuple[Sequence[float], Sequence[float]] | None = None
    step: int = -1
    budget: dict[str, float] = field(default_factory=dict)
    note: Note | None = None
    code: str = ""


def of_file(text: str, path: Path, note: Note, label: str = "") -> Source:
    """An encoder of this suite."""

    def load(channels: int, shape: tuple[int, int]) -> nn.Module:
        if channels != note.image_shape[0] and not (channels == 1 and note.image_shape[0] == 3):
            raise RequestError(
                f"--encoder {text}: made for images of {note.image_shape[0]} channels, these have {channels}"
            )
        try:
            return load_encoder(path)
        except BadFile as bad:
            raise RequestError(f"--encoder {text}: {bad}") from bad

    return Source(
        label or f"{note.method} ({note.dataset})",
        load,
        size=note.eval_shape,
        statistics=(note.mean, note.std),
        step=note.step,
        budget=note.budget,
        note=note,
    )


def of_torchscript(text: str, path: Path) -> Source:
    def load(channels: int, shape: tuple[int, int]) -> nn.Module:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # deprecated, and what people have
                return torch.jit.load(str(path), map_location="cpu")
        except Exception as error:  # torch raises many kinds for files that are something else
            raise RequestError(
                f"--encoder {text}: not TorchScript ({' '.join(str(error).split()):.120}); a checkpoint of weights is "
                f"given with its network, --encoder timm:NAME,checkpoint={text}"
            ) from error

    return Source(path.name, load)


def of_function(text: str) -> Source:
    try:
        found = imported(text, "encoder")
    except LookupError as error:
        raise RequestError(f"--encoder {text}: {error}") from error
    if not callable(found):
        raise RequestError(f"--encoder {text}: expected a function that returns a torch.nn.Module, or a module")
    try:
        network: Any = found if isinstance(found, nn.Module) else found()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # somebody's own code may raise anything
        raise RequestError(f"--encoder {text}: its code ended with {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise RequestError(f"--encoder {text}: returned a {type(network).__name__}, a torch.nn.Module was expected")
    said = getattr(network, "pretrained_cfg", None) or getattr(network, "default_cfg", None)
    size, fixed, statistics = configured(said if isinstance(said, dict) else {})
    try:
        file = inspect.getsourcefile(found)  # type: ignore[arg-type]
        code = content_hash(Path(file).read_text(encoding="utf-8", errors="replace")) if file else ""
    except (TypeError, OSError):  # an instance, or made without a file
        code = ""
    return Source(text, lambda channels, shape: network, size, fixed, statistics, code=code)


def configured(cfg: Any) -> tuple[tuple[int, int] | None, bool, tuple[Sequence[float], Sequence[float]] | None]:
    """(Size, whether it takes no other, mean and deviation) that a configuration in timm's form says."""
    shape = cfg.get("input_size")
    size = (int(shape[1]), int(shape[2])) if shape else None
    statistics = (cfg["mean"], cfg["std"]) if cfg.get("mean") and cfg.get("std") else None
    return size, bool(cfg.get("fixed_input_size")), statistics


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
    channels = network.image_shape[0] if isinstance(network, Encoder) else channels_of(network) or image_shape[0]
    known = {**STATISTICS, "data": statistics, "none": ([0.0], [1.0])}
    mean, std = known[normalize] if normalize else source.statistics or known["none"]
    if len(mean) not in (1, channels):
        mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]  # of colours, for grey
    if isinstance(network, Encoder):
        encoder = network
        if normalize and source.note and source.note.whole:
            raise RequestError(f"--normalize {normalize}: a whole method normalises as it was trained, leave it out")
        if normalize:
            encoder.mean, encoder.std = (torch.tensor(list(values))[:, None, None] for values in (mean, std))
        encoder.image_shape, encoder.crop = (channels, *shape), crop
    else:
        encoder = Encoder(network, image_shape=(channels, *shape), mean=mean, std=std, crop=crop)
    how = {"image_shape": [channels, *shape], "mean": [float(v) for v in mean], "std": [float(v) for v in std]}
    return encoder.eval(), how
