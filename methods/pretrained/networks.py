"""Networks from elsewhere: TorchScript, a user's own function, timm's models."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import timm
import torch
from timm.models.resnet import ResNet
from torch import nn

from disentangle_bench.methods.networks.backbones import backbone
from disentangle_bench.methods.networks.checkpoints import load_weights, read_state, stem_of
from disentangle_bench.methods.pretrained.note import BadFile
from disentangle_bench.registry import imported, nearest

Statistics = tuple[Sequence[float], Sequence[float]]
"""Mean and deviation of each channel, for values in [0, 1]."""


class Wishes(NamedTuple):
    """Preprocessing that a network asks for.

    Attributes:
        size: (h, w) of its images; None: not stated.
        fixed: true if the network takes no other size.
        statistics: mean and standard deviation of its normalisation; None: not stated.
    """

    size: tuple[int, int] | None = None
    fixed: bool = False
    statistics: Statistics | None = None


def wishes_of(cfg: Mapping[str, Any] | None) -> Wishes:
    """Preprocessing in timm's form. Raises BadFile for statistics or a size that images in [0, 1] can't have."""
    cfg = cfg or {}
    shape = cfg.get("input_size")
    whole = isinstance(shape, Sequence) and all(isinstance(side, int) and side > 0 for side in shape)
    if shape and not (whole and len(shape) == 3):
        raise BadFile(f"its default_cfg says input_size {shape}: (channels, height, width) is needed")
    statistics = (cfg["mean"], cfg["std"]) if cfg.get("mean") and cfg.get("std") else None
    for name, low, values in zip(("mean", "std"), (0.0, 1e-6), statistics or (), strict=False):
        try:
            fits = all(low <= value <= 1 for value in values)
        except TypeError:
            fits = False
        if not fits:
            raise BadFile(f"its default_cfg says {name} {values}: numbers by channel are needed, for pixels in [0, 1]")
    return Wishes((int(shape[1]), int(shape[2])) if shape else None, bool(cfg.get("fixed_input_size")), statistics)


def torchscript(path: str) -> nn.Module:
    """The network in a file of TorchScript. Raises BadFile."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # deprecated, and what people have
            return torch.jit.load(path, map_location="cpu")
    except Exception as error:  # torch raises many kinds for files that are something else
        (said, *_) = " ".join(str(error).split()).split(". ")
        raise BadFile(
            "not TorchScript, which holds a network beside its weights; weights alone are given with theirs: "
            f"timm:NAME,checkpoint={path}, or a function of yours, my_file.make (torch says: {said:.120})"
        ) from error


def own_network(path: str) -> tuple[nn.Module, Wishes]:
    """A user's own network, and the preprocessing that it asks for.

    Args:
        path: of a function that returns the module, or of the module itself: `my_file.make`.

    Raises:
        BadFile: there is nothing at that path, its code failed, or it is no module.
    """
    try:
        found = imported(path, "encoder")
    except LookupError as error:
        if timm.is_model(path):
            raise BadFile(f"no such file; the model of timm is written timm:{path}") from error
        raise BadFile(str(error)) from error
    if not callable(found):
        raise BadFile("expected a function that returns a torch.nn.Module, or a module")
    try:
        network: Any = found if isinstance(found, nn.Module) else found()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's code may raise anything
        raise BadFile(f"its code ended with {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise BadFile(f"returned a {type(network).__name__}, a torch.nn.Module was expected")
    said = getattr(network, "pretrained_cfg", None) or getattr(network, "default_cfg", None)
    return network, wishes_of(said if isinstance(said, Mapping) else None)


def check_timm(name: str) -> None:
    """Raise BadFile for what is no model of timm, with the nearest that are."""
    if not timm.is_model(name):
        base = name.partition(".")[0]
        raise BadFile(f"timm has no model {name!r}{nearest(base, timm.list_models())}")


def timm_with_weights(name: str, file: str, image_shape: tuple[int, int, int]) -> nn.Module:
    """A model of timm with the weights of a file; a ResNet gets the stem (first layers) that the file has.

    Raises:
        BadFile: the file can't be read, or holds another network.
    """
    try:
        state = read_state(file)
        network = backbone(name, image_shape)
        if isinstance(network, ResNet):  # whose first layers differ by the size of images
            network = backbone(name, image_shape, stem=stem_of(state))
        load_weights(network, file)
    except ValueError as error:
        raise BadFile(str(error)) from error
    return network
