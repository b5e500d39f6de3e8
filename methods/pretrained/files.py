"""Files of weights that runs of this suite leave, and the encoder that they hold.

`encoder.safetensors` holds the backbone and gives `features`; `method.safetensors` holds all that was trained and gives
every space. Nothing in them is run: they are tensors and texts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from disentangle_bench import methods
from disentangle_bench.methods.batches.own import undescribed
from disentangle_bench.methods.networks.backbones import backbone, is_own
from disentangle_bench.methods.networks.checkpoints import load_weights
from disentangle_bench.methods.pretrained.encoder import Encoder
from disentangle_bench.methods.pretrained.note import BadFile, Note, read_note
from disentangle_bench.registry import dotted

TRAINING = ("init", "augmentation", "key_augmentation", "own_views")
"""Options of a method that matter for training only."""
FILES = ("method.safetensors", "encoder.safetensors")
"""Files of weights in a run's folder, the one with more spaces first."""


def encoder_of_run(path: Path) -> Encoder:
    """The encoder in a file of weights of this suite, or in the folder of a run. Raises BadFile that names the file."""
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
        raise BadFile(f"{path}: {error}{_otherwise(path)}") from error
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
        inside=(note.mean, note.std) if note.whole else None,
    )
    encoder.uses_targets = note.labels
    if isinstance(network, WholeMethod):
        encoder.primary_space, encoder.invariant_space = network.method.primary_space, network.method.invariant_space
    return encoder


class WholeMethod(nn.Module):
    """A trained method as a network: float views in [0, 1] to its spaces."""

    def __init__(self, method: Any):
        super().__init__()
        self.method = method

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.method.embed(image)


def _network(path: Path, note: Note) -> nn.Module:
    """The network that a file is of, with its weights."""
    _refuse_strange_code(path, note)
    if not note.whole:
        network = backbone(note.backbone, note.image_shape, stem=note.stem)  # type: ignore[arg-type]
        load_weights(network, str(path))
        return network
    if missing := undescribed(note.image_shape).keys() - note.data.keys():
        raise BadFile(f"{path}: its metadata: data says no {', '.join(sorted(missing))}")
    options = {name: value for name, value in note.options.items() if name not in TRAINING}
    method = methods.build(note.method, image_shape=note.image_shape, data=note.data, **options)
    weights, known = load_file(path), method.state_dict()
    names = weights.keys() | known.keys()
    wrong = [name for name in names if _shape(weights, name) != _shape(known, name)]
    if wrong:
        raise BadFile(
            f"{path}: holds another method, {len(wrong)} of {len(names)} tensors differ, such as {min(wrong)}"
        )
    if not any(tensor.is_meta for tensor in known.values()):
        method.load_state_dict(weights)
    return WholeMethod(method)


def _refuse_strange_code(path: Path, note: Note) -> None:
    """Raise BadFile if the network is made by code from outside, unless it is a method that was imported already."""
    if is_own(note.backbone):
        raise BadFile(
            f"{path}: made with code from outside ({note.backbone}), which isn't run for a file's sake: make the "
            "network yourself and give it the tensors that safetensors.torch.load_file reads"
        )
    method = dotted(note.method)
    if not note.whole or "." not in method or method in methods.available():
        return
    if method.rpartition(".")[0] not in sys.modules:
        raise BadFile(
            f"{path}: made with code from outside ({method}), which isn't run for a file's sake"
            f"{_otherwise(path)}; a program that imports {method.rpartition('.')[0]} first can load all of it"
        )


def _otherwise(path: Path) -> str:
    """Words for a message: the file of features beside `path` that loads without the method's class; "" if none."""
    alone = path.with_name(FILES[1])
    return f": {alone} can be loaded, the features alone" if path != alone and alone.is_file() else ""


def _shape(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None
