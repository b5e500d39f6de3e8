"""Files of weights that runs of this suite leave: what their metadata say, and the encoder that they hold.

`encoder.safetensors` holds the backbone and gives `features`; `method.safetensors` holds all that was trained and gives
every space. Nothing in them is run: they are tensors and texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from disentangle_bench import methods
from disentangle_bench.methods.networks.backbones import backbone, is_own
from disentangle_bench.methods.networks.checkpoints import load_weights
from disentangle_bench.methods.pretrained.encoder import Encoder

LONGEST_TEXT = 500
"""Characters of a name in metadata."""
LARGEST_EDGE = 8192
"""Pixels of an image's edge in metadata."""
TRAINING = ("init", "augmentation", "key_augmentation", "own_views")
"""Options of a method that encoding does without."""
FILES = ("method.safetensors", "encoder.safetensors")
"""Of a run's folder, the one with more spaces first."""


class BadFile(ValueError):
    """A file holds no encoder of this suite; the message names it and says why."""


@dataclass(frozen=True)
class Note:
    """What a file of weights says of itself.

    Attributes:
        method: name of the method that was trained.
        dataset: name of the data set.
        backbone: name of the encoder.
        stem: of it.
        step: steps of training.
        image_shape: (channels, height, width) of the views that it was trained on.
        eval_shape: (height, width) that images are judged at.
        eval_crop: share of their edge.
        mean: of each channel, in [0, 1].
        std: of each channel.
        labels: roles of the targets that the method saw.
        budget: that it was trained within.
        options: of the method.
        data: what the method was told of the data set.
        whole: whether the file holds the whole method.
    """

    method: str
    dataset: str
    backbone: str
    stem: str
    step: int
    image_shape: tuple[int, int, int]
    eval_shape: tuple[int, int]
    eval_crop: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: frozenset[str]
    budget: dict[str, float]
    options: dict[str, Any]
    data: dict[str, Any]
    whole: bool

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Note:
        """The note in the metadata of a file. Raises ValueError that names what is missing or isn't as it should be."""
        names = {key: _name(metadata, key) for key in ("method", "dataset", "backbone", "stem")}
        shape = _numbers(metadata, "image_shape", 3, 1, LARGEST_EDGE)
        if "mean" not in metadata:
            raise ValueError("its metadata don't say how images are normalised: written by an older version")
        return cls(
            **names,
            step=int(_numbers(metadata, "step", 0, 0)[0]),
            image_shape=(int(shape[0]), int(shape[1]), int(shape[2])),
            eval_shape=tuple(int(n) for n in _numbers(metadata, "eval_shape", 2, 1, LARGEST_EDGE)),  # type: ignore[arg-type]
            eval_crop=_numbers(metadata, "eval_crop", 0, 1e-3, 1)[0],
            mean=tuple(_numbers(metadata, "mean", int(shape[0]))),
            std=tuple(_numbers(metadata, "std", int(shape[0]), 1e-6)),
            labels=frozenset(map(str, _json(metadata, "labels", list))),
            budget={str(k): v for k, v in _json(metadata, "budget", dict).items() if isinstance(v, int | float)},
            options=_json(metadata, "options", dict),
            data=_json(metadata, "data", dict),
            whole=metadata.get("whole") == "true",
        )


def read_note(path: Path) -> Note:
    """What a file of weights says of itself. Raises BadFile if it is none of this suite's."""
    try:
        with safe_open(path, "pt") as file:
            return Note.of(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise BadFile(f"{path}: not a safetensors file ({error})") from error
    except ValueError as error:
        raise BadFile(f"{path}: not an encoder of this suite ({error})") from error


def load_encoder(path: str | Path, space: str | None = None) -> Encoder:
    """The encoder of a run, in evaluation mode: a module that takes images as they are and normalises them itself.

    Args:
        path: of a run `encoder.safetensors` (the space `features`), `method.safetensors` (every space), or its folder.
        space: the space that calling it returns; all of them, by name, if not given.

    Returns:
        A module: images uint8, or float in [0, 1], [B, C, H, W] of any size -> features [B, d] of the space chosen,
        or space -> [B, d].

    Raises:
        BadFile: (a ValueError) no such file, or none of this suite's.

    Example:
        >>> encoder = load_encoder("results/runs/digits/simclr/HASH", space="features")  # doctest: +SKIP
        >>> encoder(images).shape  # doctest: +SKIP
        torch.Size([64, 256])
    """
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in FILES if (path / name).is_file()]
        if not found:
            raise BadFile(f"{path}: neither {' nor '.join(FILES)} is in there")
        path = found[0]
    if not path.is_file():
        raise BadFile(f"{path}: no such file")
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


def _name(metadata: Mapping[str, str], key: str) -> str:
    text = metadata.get(key)
    if text is None:
        raise ValueError(f"its metadata: {key} is missing")
    if not text.strip() or not text.isprintable() or len(text) > LONGEST_TEXT:
        raise ValueError(f"its metadata: {key} is {text!r:.60}, a name is expected")
    return text


def _json(metadata: Mapping[str, str], key: str, kind: type) -> Any:
    """A value that stands as JSON; an empty one where it is missing."""
    try:
        value = json.loads(metadata.get(key, "null"))
    except (ValueError, RecursionError):
        raise ValueError(f"its metadata: {key} is {metadata[key]!r:.60}, JSON is expected") from None
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ValueError(f"its metadata: {key} is {metadata[key]!r:.60}, a {kind.__name__} is expected")
    return value


def _numbers(
    metadata: Mapping[str, str], key: str, count: int, low: float = -math.inf, high: float = math.inf
) -> list[float]:
    """`count` numbers in their range, as a JSON list; 0 stands for one number that is no list."""
    if key not in metadata:
        raise ValueError(f"its metadata: {key} is missing")
    try:
        value = json.loads(metadata[key])
    except (ValueError, RecursionError):
        value = None
    values = value if isinstance(value, list) and count else [value]
    if len(values) != (count or 1) or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and low <= v <= high for v in values
    ):
        raise ValueError(f"its metadata: {key} is {metadata[key]!r:.60}, {count or 'one'} number(s) expected")
    return values
