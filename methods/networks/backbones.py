"""Encoders: any of timm's by name, and one small network for a processor without a GPU.

All methods get their encoder here, so that on one data set all have the same one.
"""

from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.resnet import ResNet
from torch import Tensor, nn

from disentangle_bench.registry import offered

SMALL_IMAGE = 64
"""Images up to this many pixels a side get a ResNet stem without down-sampling (the usual CIFAR variant)."""


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


def backbone(name: str, image_shape: tuple[int, int, int], pretrained: bool = False) -> nn.Module:
    """Make an encoder that maps normalised images [B, C, H, W] to features [B, `num_features`].

    Args:
        name: `convnet`, a model of timm, or what an installed package offers by an entry point of the group
            `disentangle_bench.backbones`: image shape -> module with `num_features`. ResNets of timm get a 3x3 stride-1
            first convolution and no max-pooling for images of at most 64 pixels, unless they come with weights of
            their own.
        image_shape: (channels, height, width).
        pretrained: start from timm's weights (they must be on disk or downloadable).

    Raises:
        ValueError: neither this suite nor timm knows the name.
    """
    channels, height, width = image_shape
    if name == "convnet":
        return ConvNet(channels)
    if (offer := offered("disentangle_bench.backbones").get(name)) is not None:
        return offer(image_shape)  # type: ignore[operator]
    if not timm.is_model(name):
        raise ValueError(f"unknown backbone {name!r}: `convnet`, or a name that timm.list_models() prints")
    model = timm.create_model(name, pretrained=pretrained, in_chans=channels, num_classes=0)
    if not pretrained and max(height, width) <= SMALL_IMAGE and isinstance(model, ResNet):
        stem = nn.Conv2d(channels, model.get_submodule("bn1").num_features, 3, padding=1, bias=False)  # type: ignore[arg-type]
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")  # as timm does for the one it had
        model.set_submodule("conv1", stem)
        model.set_submodule("maxpool", nn.Identity())
    return model


def require_pretrained(name: str) -> None:
    """Raise ValueError if timm has no weights of its own for this encoder."""
    if not timm.is_model(name) or timm.get_pretrained_cfg(name, allow_unregistered=False) is None:
        raise ValueError(f"backbone {name!r}: timm has no weights for it, so `init` can't be timm")


def load_encoder(model: nn.Module, path: str) -> None:
    """Give `model` the weights of an encoder file of this suite (safetensors, the backbone's own tensor names).

    Raises:
        ValueError: the file isn't there, or holds another encoder; the message says which tensors differ.
    """
    if not Path(path).is_file():
        raise ValueError(f"no encoder file {path!r}: `init` must be `timm` or a .safetensors file")
    own = model.state_dict()
    try:
        with torch.device("cpu"):
            weights = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise ValueError(f"{path}: has weights that are NaN or infinite")
    wrong = [name for name in weights.keys() | own.keys() if not _same_shape(weights.get(name), own.get(name))]
    if wrong:
        raise ValueError(f"{path} holds another encoder: {len(wrong)} tensors differ, such as {min(wrong)}")
    if not any(tensor.is_meta for tensor in own.values()):  # else only the shapes were asked for
        model.load_state_dict(weights)


def _same_shape(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return False
    return a.shape == b.shape and a.is_floating_point() == b.is_floating_point()
