"""Encoders out of other people's checkpoints: state dicts of torchvision, timm, lightly, solo-learn, MoCo, DINO.

Nothing in a file is run (`weights_only`). Of the tensors those are taken whose names end as the encoder's own do,
behind one prefix for all: `backbone.conv1.weight` with `backbone.layer1...`. What else is in the file (heads, queues,
momentum encoders) stays there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

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
"""Which encoder is taken where a file holds several; others only where they are alone."""
CHILDREN = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}
"""Places of a ResNet's parts in `nn.Sequential(*resnet.children())`, as lightly's examples make their backbones."""
STEM = re.compile(r"(?<![^.])(?<!\d\.)conv1\.weight$")
"""A ResNet's first convolution, which no block's number stands before."""
COUNTERS = "num_batches_tracked"
"""Buffers that old files lack and nothing depends on."""


def read_state(path: str) -> dict[str, Tensor]:
    """The tensors of a file by name, those of a checkpoint's state dict.

    Raises:
        ValueError: not readable without running what is in it, or without a state dict.
    """
    try:
        if path.endswith(".safetensors"):
            with torch.device("cpu"):
                return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error
    except Exception as error:  # torch raises many kinds for files that are something else
        reason = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(str(error).split()))
        raise ValueError(
            f"{path} is not a readable checkpoint: {reason:.200}; nothing in a file is run: save its tensors alone, "
            "torch.save(checkpoint['state_dict'], ...)"
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
    """Which stem the ResNet in a state dict has, by its first convolution; `auto` where there is none to be seen."""
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
