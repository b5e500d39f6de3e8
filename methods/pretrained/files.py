"""Files of weights that runs of this suite leave, and the encoder that they hold.

`encoder.safetensors` holds the backbone and gives `features`; `method.safetensors` holds all that was trained and gives
every space. Nothing in them is run: they are tensors and texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from disentangle_bench import methods
from disentangle_bench.methods.networks.backbones import backbone, is_own
from disentangle_bench.methods.networks.checkpoints import load_weights
from disentangle_bench.methods.pretrained import hub
from disentangle_bench.methods.pretrained.encoder import Encoder
from disentangle_bench.methods.pretrained.note import BadFile, Note, read_note

TRAINING = ("init", "augmentation", "key_augmentation", "own_views")
"""Options of a method that encoding does without."""
FILES = ("method.safetensors", "encoder.safetensors")
"""Of a run's folder, the one with more spaces first."""


def load_encoder(path: str | Path, space: str | None = None) -> Encoder:
    """An encoder in evaluation mode: a module that takes images as they are and normalises them itself.

    Args:
        path: of a run `encoder.safetensors` (the space `features`), `method.safetensors` (every space), or its folder;
            or `hf:OWNER/NAME`, what `push_to_hub` has uploaded; or `timm:NAME`, one of timm's with its own weights.
        space: the space that calling it returns; all of them, by name, if not given.

    Returns:
        A module: images uint8, or float in [0, 1], [B, C, H, W] of any size -> features [B, d] of the space chosen,
        or space -> [B, d].

    Raises:
        BadFile: (a ValueError) no such file, or none of this suite's.
        OSError: it is published, isn't on disk and can't be downloaded.

    Example:
        >>> encoder = load_encoder("results/runs/digits/simclr/HASH", space="features")  # doctest: +SKIP
        >>> encoder(images).shape  # doctest: +SKIP
        torch.Size([64, 256])
    """
    kind, _, name = str(path).partition(":")
    if kind == "timm":
        return _of_timm(name, space)
    if kind == "hf":
        downloaded = hub.download(name)
        if downloaded is None:
            raise BadFile(f"{path}: no {hub.NAME} is in that repository")
        path = downloaded
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in FILES if (path / name).is_file()]
        if not found:
            raise BadFile(f"{path}: neither {' nor '.join(FILES)} is in there")
        path = found[0]
    note = read_note(path)
    try:
        with torch.device("meta"):  # its shapes fit before any memory is taken
            _network(path, note)
        network = _network(path, note)
    except LookupError as error:
        raise BadFile(f"{path}: {error}") from error
    except BadFile:
        raise
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise BadFile(f"{path}: {' '.join(str(error).split()):.300}") from error
    encoder = Encoder(
        network,
        image_shape=(note.image_shape[0], *note.eval_shape),
        mean=[0.0] if note.whole else note.mean,  # a method takes it out itself
        std=[1.0] if note.whole else note.std,
        crop=note.eval_crop,
        space=space,
    )
    encoder.uses_targets = note.labels
    if isinstance(network, WholeMethod):
        encoder.primary_space, encoder.invariant_space = network.method.primary_space, network.method.invariant_space
    return encoder.eval()


class WholeMethod(nn.Module):
    """A trained method as a network: float views in [0, 1] to its spaces."""

    def __init__(self, method: Any):
        super().__init__()
        self.method = method

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.method.embed(image)


def _of_timm(name: str, space: str | None) -> Encoder:
    cfg = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if cfg is None:
        raise BadFile(f"timm:{name}: timm has no such model, or no weights of it")
    network = timm.create_model(name, pretrained=True, num_classes=0)
    return Encoder(network, image_shape=cfg.input_size, mean=cfg.mean, std=cfg.std, space=space).eval()


def _network(path: Path, note: Note) -> nn.Module:
    """The network that a file is of, with its weights."""
    own = note.backbone if is_own(note.backbone) else ""
    if note.whole and "." in note.method and note.method not in methods.available():
        own = note.method
    if own:
        raise BadFile(
            f"{path}: made with code from outside ({own}), which isn't run for a file's sake: make the network "
            "yourself and give it the tensors that safetensors.torch.load_file reads"
        )
    if not note.whole:
        network = backbone(note.backbone, note.image_shape, stem=note.stem)  # type: ignore[arg-type]
        load_weights(network, str(path))
        return network
    options = {name: value for name, value in note.options.items() if name not in TRAINING}
    method = methods.build(note.method, image_shape=note.image_shape, data=note.data, **options)
    weights, known = load_file(path), method.state_dict()
    wrong = [name for name in weights.keys() | known.keys() if _shape(weights, name) != _shape(known, name)]
    if wrong:
        raise BadFile(f"{path}: holds another method, {len(wrong)} tensors differ, such as {min(wrong)}")
    if not any(tensor.is_meta for tensor in known.values()):
        method.load_state_dict(weights)
    return WholeMethod(method)


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None
