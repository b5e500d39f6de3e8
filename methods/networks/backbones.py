"""Encoders: any of timm's by name, and one small network for a processor without a GPU.

All methods get their encoder here, so that on one data set all have the same one.
"""

import copy
from functools import cache
from itertools import pairwise
from typing import Literal

import timm
import torch
from timm.models.resnet import ResNet
from torch import Tensor, nn

from disentangle_bench.registry import imported, nearest, offered

Stem = Literal["auto", "small", "imagenet"]
SMALL_IMAGE = 64
"""Images up to this many pixels a side get the small stem if nothing else is asked for."""


class ConvNet(nn.Module):
    """Four 3x3 convolutions of stride 2 with batch norm, averaged over positions: [B, C, H, W] -> [B, 256]."""

    def __init__(self, in_channels: int, widths: tuple[int, ...] = (32, 64, 128, 256)):
        super().__init__()
        self.num_features = widths[-1]
        layers: list[nn.Module] = []
        for before, after in pairwise((in_channels, *widths)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).mean((2, 3))


def backbone(name: str, image_shape: tuple[int, int, int], pretrained: bool = False, stem: Stem = "auto") -> nn.Module:
    """Make an encoder that maps normalised images [B, C, H, W] to features [B, `num_features`].

    Args:
        name: `convnet`, a model of timm, or a user's own function, image shape -> module with `num_features`: by
            its path, `my_file.make`, or by the name that an installed package gives it among its entry points of the
            group `disentangle_bench.backbones`.
        image_shape: (channels, height, width).
        pretrained: start from timm's weights (they must be on disk or downloadable).
        stem: of a ResNet of timm: `imagenet` as timm has it, `small` with a 3x3 stride-1 first convolution and no
            max-pooling (the usual CIFAR variant), or `auto`: small for images of at most 64 pixels, unless the weights
            are timm's.

    Raises:
        ValueError: neither this suite nor timm knows the name, or the encoder has no such stem.
    """
    if torch.get_default_device().type == "meta":  # shapes alone, of which a plan with many cells asks for many
        return copy.deepcopy(_outline(name, image_shape, pretrained, stem))
    return _made(name, image_shape, pretrained, stem)


def _made(name: str, image_shape: tuple[int, int, int], pretrained: bool, stem: Stem) -> nn.Module:
    channels, height, width = image_shape
    if stem == "small" and pretrained:
        raise ValueError(
            "stem 'small' doesn't go with timm's weights, which are of the other one: leave one of them out"
        )
    if name == "convnet":
        model: nn.Module = ConvNet(channels)
    elif (offer := offered("disentangle_bench.backbones").get(name)) is not None:
        model = _own(name, offer, image_shape)
    elif is_own(name):
        model = _own(name, _imported(name), image_shape)
    elif timm.is_model(name):
        model = timm.create_model(name, pretrained=pretrained, in_chans=channels, num_classes=0)
    else:
        raise ValueError(f"unknown backbone {name!r}{nearest(name, ['convnet', *timm.list_models()])}")
    if stem != "auto" and not isinstance(model, ResNet):
        raise ValueError(f"stem {stem!r} is of timm's ResNets, {name!r} is none: leave it out")
    small = stem == "small" or (stem == "auto" and not pretrained and max(height, width) <= SMALL_IMAGE)
    if small and isinstance(model, ResNet):
        first = nn.Conv2d(channels, model.get_submodule("bn1").num_features, 3, padding=1, bias=False)  # type: ignore[arg-type]
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")  # as timm does for the one it had
        model.add_module("conv1", first)  # in the place of the one it had
        model.add_module("maxpool", nn.Identity())
    return model


_outline = cache(_made)


def is_own(name: str) -> bool:
    """True for the path of a user's function, `my_file.make`; some names of timm's models have dots, too."""
    return ("." in name or ":" in name) and not timm.is_model(name)


def _imported(name: str) -> object:
    try:
        return imported(name, "backbone")
    except LookupError as error:
        raise ValueError(str(error)) from error


def _own(name: str, make: object, image_shape: tuple[int, int, int]) -> nn.Module:
    """The encoder that a user's own function makes. Raises ValueError if it fails or makes something else."""
    try:
        model = make(image_shape) if callable(make) else None
    except Exception as error:  # a user's code may raise anything
        raise ValueError(
            f"backbone {name!r}: a function that maps an image shape (C, H, W) to a module with `num_features` was "
            f"expected; its code ended with {type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, nn.Module) or not isinstance(getattr(model, "num_features", None), int):
        raise ValueError(
            f"backbone {name!r}: expected a function that maps an image shape (C, H, W) to a module with `num_features`"
        )
    if torch.get_default_device().type == "meta":
        _check_features(name, model, image_shape)
    return model


def _check_features(name: str, model: nn.Module, image_shape: tuple[int, int, int]) -> None:
    """Raise ValueError if an encoder that was made without memory maps images to anything but [B, `num_features`]."""
    try:
        found = model(torch.zeros(2, *image_shape))
    except Exception:  # somebody's own code may ask for values, which there are none of here
        return
    shape = tuple(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
    if shape != (2, model.num_features):
        raise ValueError(
            f"backbone {name!r}: maps two images to {shape}, (2, {model.num_features}) was expected of `num_features`"
        )


def require_pretrained(name: str) -> None:
    """Raise ValueError if timm has no weights of its own for this encoder."""
    if not timm.is_model(name) or timm.get_pretrained_cfg(name, allow_unregistered=False) is None:
        raise ValueError(f"backbone {name!r}: timm has no weights for it, so `init` can't be timm")
