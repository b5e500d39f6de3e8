"""`load_encoder`: load an encoder by its name, with its preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import timm
import torch
from torch import nn

from disentangle_bench.methods.batches.own import STATISTICS
from disentangle_bench.methods.pretrained import hub, networks
from disentangle_bench.methods.pretrained.encoder import Encoder, channels_of
from disentangle_bench.methods.pretrained.files import encoder_of_run
from disentangle_bench.methods.pretrained.names import Named, told_apart
from disentangle_bench.methods.pretrained.networks import Wishes
from disentangle_bench.methods.pretrained.note import BadFile


def load_encoder(
    path_or_name: str | Path,
    space: str | None = None,
    *,
    image_size: int | None = None,
    normalize: Literal["cifar10", "imagenet", "none"] | None = None,
) -> Encoder:
    """An encoder in evaluation mode: a module that takes images as they are and normalises them itself.

    Args:
        path_or_name: of a run `encoder.safetensors` (the space `features`), `method.safetensors` (every space), or its
            folder; `FILE.ts`, TorchScript; `my_file.make`, a function that returns a module; `timm:NAME`, one of timm's
            with its own weights, or `timm:NAME,checkpoint=FILE` with those of a file; or `hf:OWNER/NAME`, what
            `push_to_hub` has uploaded.
        space: the space that calling it returns; all of them, by name, if not given.
        image_size: edge that images are resized to; the one that the encoder was made for if not given, and that of
            the images themselves where it says none.
        normalize: statistics that are taken out of pixels; those that the encoder says if not given, else none.

    Returns:
        A module: images uint8, or float in [0, 1], [B, C, H, W] of any size -> features [B, d] of the space chosen,
        or space -> [B, d]. Its `spec` says shape, mean, std and source.

    Raises:
        BadFile: (a ValueError) there is no such encoder, or it has no such space.
        OSError: it is published, isn't on disk and can't be downloaded.

    Example:
        >>> encoder = load_encoder("results/runs/digits/simclr/HASH", space="features")  # doctest: +SKIP
        >>> encoder(images).shape  # doctest: +SKIP
        torch.Size([64, 256])
    """
    text = str(path_or_name)
    try:
        encoder = _loaded(told_apart(text))
        if normalize is not None:
            if encoder.inside is not None:
                raise BadFile(f"normalize {normalize!r}: a whole method normalises as it was trained, leave it out")
            if normalize not in STATISTICS:
                raise BadFile(f"normalize {normalize!r} is none of {', '.join(STATISTICS)}")
            encoder.mean, encoder.std = (torch.tensor(values)[:, None, None] for values in STATISTICS[normalize])
        if image_size is not None:
            if image_size < 1:
                raise BadFile(f"image_size {image_size}: at least 1 pixel")
            encoder.image_shape = (encoder.image_shape[0], image_size, image_size)
        encoder.space, encoder.loaded_from = space, text
        encoder.eval().check_space()
    except ValueError as error:
        raise BadFile(f"{text}: {str(error).removeprefix(f'{text}: ')}") from error
    return encoder


def _loaded(named: Named) -> Encoder:
    """An encoder of any kind. Raises BadFile."""
    if named.kind == "run":
        return encoder_of_run(Path(named.name))
    if named.kind == "hf":
        path = hub.download(named.name)
        if path is None:
            raise BadFile(f"no {hub.NAME} is in that repository")
        return encoder_of_run(path)
    if named.kind == "torchscript":
        return _encoder(networks.torchscript(named.name), Wishes())
    if named.kind == "code":
        network, wishes = networks.own_network(named.name)
        return network if isinstance(network, Encoder) else _encoder(network, wishes)
    networks.check_timm(named.name)
    cfg = timm.get_pretrained_cfg(named.name)
    wishes = networks.wishes_of(cfg.to_dict() if cfg else None)
    if named.file:
        return _encoder(networks.timm_with_weights(named.name, named.file, (3, *(wishes.size or (224, 224)))), wishes)
    if cfg is None:
        raise BadFile("timm has no weights of this model")
    return _encoder(timm.create_model(named.name, pretrained=True, num_classes=0), wishes)


def _encoder(network: nn.Module, wishes: Wishes) -> Encoder:
    mean, std = wishes.statistics or ([0.0], [1.0])
    channels = channels_of(network, 3, wishes.size or (64, 64))
    return Encoder(network, image_shape=(channels, *(wishes.size or (None, None))), mean=mean, std=std)
