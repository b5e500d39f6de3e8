"""Encoders: any of timm's by name, and one small network for a processor without a GPU.

All methods get their encoder here, so that on one data set all have the same one.
"""

from pathlib import Path
from typing import Literal

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.resnet import ResNet
from torch import Tensor, nn

from disentangle_bench.registry import offered

Stem = Literal["auto", "small", "imagenet"]
SMALL_IMAGE = 64
"""Images up to this many pixels a side get the small stem if nothing else is asked for."""


class ConvNet(nn.Module):
    """Four 3x3 convolutions of stride 2 with batch norm, averaged over positions: [B, C, H, W] -> [B, 256]."""

    def __init__(self, in_channels: int, widths: tuple[int, ...] = (32, 64, 128, 256)):
        super().__init__()
        self.num_features = widths[-1]
        layers: list[nn.Module] = []
        for before, after in zip((in_channels, *widths), widths, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).mean((2, 3))


def backbone(name: str, image_shape: tuple[int, int, int], pretrained: bool = False, stem: Stem = "auto") -> nn.Module:
    """Make an encoder that maps normalised images [B, C, H, W] to features [B, `num_features`].

    Args:
        name: `convnet`, a model of timm, or what an installed package offers by an entry point of the group
            `disentangle_bench.backbones`: image shape -> module with `num_features`.
        image_shape: (channels, height, width).
        pretrained: start from timm's weights (they must be on disk or downloadable).
        stem: of a ResNet of timm: `imagenet` as timm has it, `small` with a 3x3 stride-1 first convolution and no
            max-pooling (the usual CIFAR variant), or `auto`: small for images of at most 64 pixels, unless the weights
            are timm's.

    Raises:
        ValueError: neither this suite nor timm knows the name, or the encoder has no such stem.
    """
    channels, height, width = image_shape
    if stem == "small" and pretrained:
        raise ValueError(
            "stem 'small' doesn't go with timm's weights, which are of the other one: leave one of them out"
        )
    if name == "convnet":
        model: nn.Module = ConvNet(channels)
    elif (offer := offered("disentangle_bench.backbones").get(name)) is not None:
        model = offer(image_shape)  # type: ignore[operator]
    elif timm.is_model(name):
        model = timm.create_model(name, pretrained=pretrained, in_chans=channels, num_classes=0)
    else:
        raise ValueError(f"unknown backbone {name!r}: `convnet`, or a name that timm.list_models() prints")
    if stem != "auto" and not isinstance(model, ResNet):
        raise ValueError(f"stem {stem!r} is of timm's ResNets, {name!r} is none: leave it out")
    small = stem == "small" or (stem == "auto" and not pretrained and max(height, width) <= SMALL_IMAGE)
    if small and isinstance(model, ResNet):
        first = nn.Conv2d(channels, model.get_submodule("bn1").num_features, 3, padding=1, bias=False)  # type: ignore[arg-type]
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")  # as timm does for the one it had
        model.add_module("conv1", first)  # in the place of the one it had
        model.add_module("maxpool", nn.Identity())
    return model


def require_pretrained(name: str) -> None:
    """Raise ValueError if timm has no weights of its own for this encoder."""
    if not timm.is_model(name) or timm.get_pretrained_cfg(name, allow_unregistered=False) is None:
        raise ValueError(f"backbone {name!r}: timm has no weights for it, so `init` can't be timm")


def load_encoder(model: nn.Module, path: str) -> None:
    """Give `model` the weights of an encoder file of this suite (safetensors, the backbone's own tensor names).

    Files of another ending are taken for MoCo-v2 checkpoints, see `read_moco`.

    Raises:
        ValueError: the file isn't there, or holds another encoder; the message says which tensors differ.
    """
    if not Path(path).is_file():
        raise ValueError(
            f"no encoder file {path!r}: `init` must be `timm`, a .safetensors file or a MoCo-v2 checkpoint"
        )
    own = model.state_dict()
    try:
        with torch.device("cpu"):
            weights = load_file(path) if path.endswith(".safetensors") else read_moco(path)[0]
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
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for files that are something else
        raise ValueError(f"{path} is not a readable checkpoint: {' '.join(str(error).split()):.200}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    prefix = "module.encoder_q."
    query = {name.removeprefix(prefix): v for name, v in (state or {}).items() if name.startswith(prefix)}
    if "conv1.weight" not in query or "fc.0.weight" not in query:
        raise ValueError(f"{path} is no MoCo-v2 checkpoint: no {prefix}conv1 and {prefix}fc.0 in its `state_dict`")
    head = {name.removeprefix("fc."): value for name, value in query.items() if name.startswith("fc.")}
    return {name: value for name, value in query.items() if not name.startswith("fc.")}, head


def _same_shape(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return False
    return a.shape == b.shape and a.is_floating_point() == b.is_floating_point()
