"""Image generator with adaptive instance normalisation, and the perceptual distance it learns from.

Source: Kahana & Hoshen, A Contrastive Objective for Learning Disentangled Representations (ECCV 2022, 2203.11284).
"""

import zipfile
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, max_pool2d, relu

from disentangle_bench.methods.networks.checkpoints import WeightsNotFound
from disentangle_bench.methods.objectives.inputs import upcast

EPS = 1e-5
VGG16 = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool")
VGG16_FILE = "vgg16-397923af.pth"
COMPARED = (2, 7, 12, 21, 30)
"""Layers of torchvision's `vgg16().features` whose outputs are compared."""


def adain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each image's channels to mean `bias` and deviation `weight`: [B, C, H, W], [B, C], [B, C] -> [B, C, H, W].

    The variance is the biased one, over the positions of one channel of one image, plus 1e-5; half precision is
    raised to float32 first.
    """
    x = upcast(x)
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return weight[:, :, None, None] * (x - mean) / (variance + EPS).sqrt() + bias[:, :, None, None]


class Modulation(nn.Module):
    """Domain code [B, code_dim] to the (bias, weight) of each AdaIN layer's channels: [B, layers, channels, 2]."""

    def __init__(self, code_dim: int, channels: int, layers: int = 4):
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(code_dim, 2 * channels) for _ in range(layers))

    def forward(self, code: Tensor) -> Tensor:
        return torch.stack([linear(code).unflatten(1, (-1, 2)) for linear in self.maps], 1)


class Generator(nn.Module):
    """Content code and modulation to an image with values in (0, 1).

    Three linear layers to [channels, H / 2^layers, W / 2^layers]; `layers` times: nearest up-sampling by 2, 3x3
    convolution, AdaIN; then 5x5 and 7x7 convolutions (one 5x5 more where images are 128 wide).

    Args:
        code_dim: width of the content code.
        image_shape: (channels, height, width); height and width multiples of 2^layers.
        channels: width of the AdaIN layers, a multiple of 8.
        layers: number of AdaIN layers.

    Raises:
        ValueError: the image's sides or `channels` aren't such multiples.
    """

    def __init__(self, code_dim: int, image_shape: tuple[int, int, int], channels: int = 256, layers: int = 4):
        super().__init__()
        colours, height, width = image_shape
        if height % 2**layers or width % 2**layers:
            raise ValueError(f"the generator needs image sides that are multiples of {2**layers}, got {height}x{width}")
        if channels % 8:
            raise ValueError(f"the generator's channels must be a multiple of 8, got {channels}")
        self.start = (channels, height // 2**layers, width // 2**layers)
        size = self.start[1] * self.start[2] * channels
        widths = (code_dim, size // 8, size // 4, size)
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers))
        last = [nn.Conv2d(channels, 64, 5, padding=2)]
        if width == 128:
            last.append(nn.Conv2d(64, 64, 5, padding=2))
        self.last = nn.ModuleList([*last, nn.Conv2d(64, colours, 7, padding=3)])

    def forward(self, code: Tensor, modulation: Tensor) -> Tensor:
        """Code [B, code_dim] and [B, layers, channels, 2] (bias, weight) to images [B, C, H, W]."""
        x = code
        for linear in self.linear:
            x = leaky_relu(linear(x))
        x = x.unflatten(1, self.start)
        for layer, convolution in enumerate(self.convolutions):
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
            bias, weight = modulation[:, layer].unbind(-1)
            x = adain(leaky_relu(convolution(x)), weight, bias)
        *hidden, output = self.last
        for convolution in hidden:
            x = leaky_relu(convolution(x))
        return output(x).sigmoid()


class Perceptual(nn.Module):
    """Mean absolute difference of images' pixels plus that of VGG-16's features at layers 2, 7, 12, 21, 30 (eq. 6).

    The network's weights are constants: no parameters, not in a checkpoint. Images are used as they are, in [0, 1].

    Args:
        weights: torchvision's file of VGG-16 weights; None: `vgg16-397923af.pth` in torch hub's folder.

    Raises:
        WeightsNotFound: it isn't there; the message says what to put where.
    """

    def __init__(self, weights: str | None = None):
        super().__init__()
        path = Path(weights) if weights else Path(torch.hub.get_dir()) / "checkpoints" / VGG16_FILE
        if not path.is_file():
            raise WeightsNotFound(
                f"no VGG-16 weights at {path}: put https://download.pytorch.org/models/{VGG16_FILE} there, "
                "or choose perceptual: none for a reconstruction of pixels alone",
                perceptual="none",
            )
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        self.positions = [int(name.split(".")[1]) for name in state if name.startswith("features.") and "bias" in name]
        for position in self.positions:
            for kind in ("weight", "bias"):
                self.register_buffer(f"{kind}{position}", state[f"features.{position}.{kind}"], persistent=False)

    def features(self, images: Tensor) -> list[Tensor]:
        """The compared layers' outputs for images [B, 1 or 3, H, W], sides at least 32."""
        x, outputs, layer = images.expand(-1, 3, -1, -1), [], 0
        for step in VGG16:
            if step == "pool":
                names, results = 1, [max_pool2d(x, 2)]
            else:
                conv = conv2d(x, self.get_buffer(f"weight{layer}"), self.get_buffer(f"bias{layer}"), padding=1)
                names, results = 2, [conv, relu(conv)]
            outputs += [result for offset, result in enumerate(results) if layer + offset in COMPARED]
            layer, x = layer + names, results[-1]
        return outputs

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        """Scalar distance of two batches of images [B, C, H, W] in [0, 1]."""
        with torch.no_grad():
            wanted = self.features(target)
        pairs = zip(self.features(images), wanted, strict=True)
        return (images - target).abs().mean() + sum((a - b).abs().mean() for a, b in pairs)
