"""Encoders out of other people's checkpoints: state dicts of torchvision, timm, lightly, solo-learn, MoCo, DINO.

Nothing in a file is run (`weights_only`). Of the tensors those are taken whose names end as the encoder's own do,
behind one prefix for all: `backbone.conv1.weight` with `backbone.layer1...`. What else is in the file (heads, queues,
momentum encoders) stays there.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

STATES = ("state_dict", "model", "model_state_dict", "teacher", "student")
"""Entries of a checkpoint under which state dicts are kept."""
PREFIXES = (
    "",
    "module.encoder_q.",  # MoCo v1 and v2: the query's encoder, not the momentum one
    "module.base_encoder.",  # MoCo v3
    "backbone.",  # solo-learn, lightly
    "module.backbone.",  # DINO
    "encoder.",  # older solo-learn
    "module.",
    "model.",
)
"""Prefixes of an encoder's names, the first one found being taken; another prefix only if it is the only one."""
CHILDREN = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}
"""Places of a ResNet's parts in `nn.Sequential(*resnet.children())`, as lightly's examples make their backbones."""
STEM = re.compile(r"(?<![^.])(?<!\d\.)conv1\.weight$")
"""A ResNet's first convolution, which no block's number stands before."""
DEEP_STEM = re.compile(r"(?<![^.])(?<!\d\.)conv1\.0\.weight$")
"""The first of a ResNet-D's three, as timm has them for large images."""
COUNTERS = "num_batches_tracked"
"""Buffers that old files lack and nothing depends on."""
QUERY = "module.encoder_q."
MOCO = (
    f"a MoCo-v2 checkpoint: a dict whose `state_dict` holds the query encoder as {QUERY}* (a ResNet by torchvision's "
    f"names) and its projector as {QUERY}fc.0 and {QUERY}fc.2. MoCo's authors release them with their code "
    "(facebookresearch/moco; DCoDR takes the ResNet-50 of 800 epochs)"
)
OWN = "an encoder of this suite (safetensors), as each run leaves one: encoder.safetensors in its folder"


class WeightsNotFound(FileNotFoundError):
    """A file of weights that a method needs isn't there; the message says which, what is in it, and who has it.

    Args:
        message: that.
        without: options by which the method does without the file, so that all the rest of a request can be looked at.
    """

    def __init__(self, message: str, **without: Any):
        super().__init__(message)
        self.without = without


def read_state(path: str) -> dict[str, Tensor]:
    """The tensors of a file by name, those of a checkpoint's state dict.

    Raises:
        ValueError: not readable without running what is in it, or without a state dict.
    """
    try:
        if path.endswith(".safetensors"):
            with torch.device("cpu"):
                return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error
    except Exception as error:  # torch raises many kinds for files that are something else
        said = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(str(error).split())) or type(error).__name__
        (reason, *_) = re.split(r"\. | Check the", said.rpartition("WeightsUnpickler error: ")[2])  # no way to run it
        raise ValueError(
            f"{path} is not a readable checkpoint: {reason:.200}; nothing in a file is run: save its tensors alone, "
            "torch.save(checkpoint['state_dict'], ...), network.state_dict() where it holds a network"
        ) from error
    found = (
        next((content[name] for name in STATES if isinstance(content.get(name), dict)), content)
        if isinstance(content, dict)
        else {}
    )
    state = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if not state:
        raise ValueError(f"{path} holds no state dict: neither at its top nor under {', '.join(STATES)}")
    return state


def stem_of(state: Mapping[str, Tensor]) -> Literal["auto", "small", "imagenet"]:
    """The stem of the ResNet in a state dict, by the kernel size of its first convolution; `auto` if none is found."""
    if any(DEEP_STEM.search(name) for name in state):
        return "imagenet"
    sizes = {
        value.shape[-1]
        for name, value in state.items()
        if value.ndim == 4 and (STEM.search(name) or re.search(r"(^|\.)0\.weight$", name))
    }
    return "small" if 3 in sizes else "imagenet" if 7 in sizes else "auto"


def encoder_state(state: Mapping[str, Tensor], own: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
    """The tensors of an encoder out of a state dict, under the encoder's own names.

    Args:
        state: of the file.
        own: of the encoder.
        path: of the file, for messages.

    Raises:
        ValueError: the file holds another encoder, or several of which none is known to be the one that is meant.
    """
    state = _by_name(state, own)
    needed = [name for name in own if not name.endswith(COUNTERS)]
    if not needed:
        return dict(state)
    candidates = {name.removesuffix(needed[0]) for name in state if f".{name}".endswith(f".{needed[0]}")}
    whole = [prefix for prefix in candidates if all(prefix + name in state for name in needed)]
    prefix = next((one for one in PREFIXES if one in whole), whole[0] if len(whole) == 1 else None)
    if prefix is None and whole:
        raise ValueError(f"{path} holds several encoders: {', '.join(sorted(whole))}; save the tensors of one alone")
    if prefix is None:
        near = max(candidates, key=lambda one: sum(one + name in state for name in needed), default="")
        missing = [name for name in needed if near + name not in state]
        raise ValueError(
            f"{path} holds another encoder: {len(missing)} of {len(needed)} tensors are not in there, such as "
            f"{near}{missing[0]}; it has {min(state)}"
        )
    found = {name: state[prefix + name] for name in needed}
    return found | {name: state.get(prefix + name, own[name]) for name in own if name.endswith(COUNTERS)}


def _by_name(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of a ResNet's parts for their places in a sequence (lightly); all others as they are."""
    if "conv1.weight" not in own or any(STEM.search(name) for name in state):
        return dict(state)
    place = re.compile(r"(^|\.)([014567])\.(?=weight$|bias$|running_|num_batches|\d)")
    return {
        place.sub(lambda found: f"{found[1]}{CHILDREN[int(found[2])]}.", name, count=1): value
        for name, value in state.items()
    }


def load_weights(model: nn.Module, path: str) -> None:
    """Give `model` the weights of a file: an encoder of this suite, or a checkpoint of others.

    Raises:
        WeightsNotFound: the file isn't there.
        ValueError: it holds another encoder; the message says which tensors differ.
    """
    if not Path(path).is_file():
        what = OWN if path.endswith(".safetensors") else MOCO
        raise WeightsNotFound(f"no file {path!r}, which should be {what}", init=None)
    own = model.state_dict()
    weights = encoder_state(read_state(path), own, path)
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise ValueError(f"{path}: has weights that are NaN or infinite")
    first = own.get("conv1.weight")
    if first is not None and first.shape[1] == 1 and "conv1.weight" in weights:
        weights["conv1.weight"] = weights["conv1.weight"].sum(1, keepdim=True)  # as of a grey image three times over
    names = weights.keys() | own.keys()
    wrong = [name for name in names if not _same_shape(weights.get(name), own.get(name))]
    if wrong:
        raise ValueError(
            f"{path} holds another encoder: {len(wrong)} of {len(names)} tensors differ, such as {min(wrong)}"
        )
    if not any(tensor.is_meta for tensor in own.values()):  # else only the shapes were asked for
        model.load_state_dict(weights)


def read_moco(path: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Encoder and projector of a MoCo-v2 checkpoint as its authors publish them (He et al. 2020, Chen et al. 2020).

    That is a dict with `state_dict`, whose query encoder is `module.encoder_q.*`: a torchvision ResNet, with the
    projector as `fc.0` (2048-2048), `fc.2` (2048-128). Nothing in the file is run.

    Returns:
        The encoder's tensors by torchvision's (and timm's) names, and the projector's as `0.weight` and so on.

    Raises:
        ValueError: not readable without running what is in it, or another layout.
    """
    query = {name.removeprefix(QUERY): v for name, v in read_state(path).items() if name.startswith(QUERY)}
    if "conv1.weight" not in query or "fc.0.weight" not in query:
        raise ValueError(f"{path} is no MoCo-v2 checkpoint: no {QUERY}conv1 and {QUERY}fc.0 in its `state_dict`")
    head = {name.removeprefix("fc."): value for name, value in query.items() if name.startswith("fc.")}
    return {name: value for name, value in query.items() if not name.startswith("fc.")}, head


def start_from_moco(layer: nn.Linear, path: str) -> None:
    """Give a linear layer the weights of the first one of a MoCo-v2 checkpoint's projector.

    Raises:
        ValueError: another shape, or no such checkpoint.
    """
    _, head = read_moco(path)
    if head["0.weight"].shape != layer.weight.shape:
        raise ValueError(
            f"hidden_dim {len(layer.weight)}: the checkpoint's projector is {list(head['0.weight'].shape)}"
        )
    if not layer.weight.is_meta:  # else only the shapes were asked for
        layer.load_state_dict({"weight": head["0.weight"], "bias": head["0.bias"]})


def _same_shape(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return False
    return a.shape == b.shape and a.is_floating_point() == b.is_floating_point()
