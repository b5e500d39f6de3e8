"""Weights from files: encoders of this suite and of MoCo-v2. Nothing in a file is run."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

PREFIX = "module.encoder_q."
MOCO = (
    f"a MoCo-v2 checkpoint: a dict whose `state_dict` holds the query encoder as {PREFIX}* (a ResNet by torchvision's "
    f"names) and its projector as {PREFIX}fc.0 and {PREFIX}fc.2. MoCo's authors release them with their code "
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


def load_encoder(model: nn.Module, path: str) -> None:
    """Give `model` the weights of an encoder file of this suite (safetensors, the backbone's own tensor names).

    Files of another ending are taken for MoCo-v2 checkpoints, see `read_moco`.

    Raises:
        WeightsNotFound: the file isn't there.
        ValueError: it holds another encoder; the message says which tensors differ.
    """
    own_format = path.endswith(".safetensors")
    if not Path(path).is_file():
        raise WeightsNotFound(f"no file {path!r}, which should be {OWN if own_format else MOCO}", init=None)
    own = model.state_dict()
    try:
        with torch.device("cpu"):
            weights = load_file(path) if own_format else read_moco(path)[0]
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise ValueError(f"{path}: has weights that are NaN or infinite")
    first = own.get("conv1.weight")
    if first is not None and first.shape[1] == 1 and "conv1.weight" in weights:
        weights["conv1.weight"] = weights["conv1.weight"].sum(1, keepdim=True)  # as of a grey image three times over
    wrong = [name for name in weights.keys() | own.keys() if not _same_shape(weights.get(name), own.get(name))]
    if wrong:
        raise ValueError(f"{path} holds another encoder: {len(wrong)} tensors differ, such as {min(wrong)}")
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
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # torch raises many kinds for files that are something else
        raise ValueError(f"{path} is not a readable checkpoint: {' '.join(str(error).split()):.200}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    query = {name.removeprefix(PREFIX): v for name, v in (state or {}).items() if name.startswith(PREFIX)}
    if "conv1.weight" not in query or "fc.0.weight" not in query:
        raise ValueError(f"{path} is no MoCo-v2 checkpoint: no {PREFIX}conv1 and {PREFIX}fc.0 in its `state_dict`")
    head = {name.removeprefix("fc."): value for name, value in query.items() if name.startswith("fc.")}
    return {name: value for name, value in query.items() if not name.startswith("fc.")}, head


def _same_shape(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return False
    return a.shape == b.shape and a.is_floating_point() == b.is_floating_point()
