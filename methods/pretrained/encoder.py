"""A network together with its preprocessing: crop, size, channels, mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from disentangle_bench.methods.views import framed

IMAGES = "uint8, or float in [0, 1], of shape [B, C, H, W]"


Shape = tuple[int | None, int | None, int | None]


@dataclass(frozen=True)
class EncoderSpec:
    """Preprocessing of an encoder, and its origin.

    Attributes:
        shape: (channels, height, width) that images are converted to; None where the image's own is kept.
        mean: of each channel, for values in [0, 1]; subtracted from the pixels.
        std: standard deviation of each channel; the pixels are then divided by it.
        source: the file, folder or name that the encoder was loaded from.
    """

    shape: Shape
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str


class Encoder(nn.Module):
    """An encoder that takes images as they are.

    Args:
        network: normalised float images [B, C, h, w] -> features [B, d], or named spaces of them.
        image_shape: (C, h, w) of what the network takes. Images of another size are resized (bilinear, anti-aliased);
            grey ones are taken three times over where C is 3. None: as they come.
        mean: of each channel, for values in [0, 1].
        std: of each channel.
        crop: share of an image's edge, about its centre, that is encoded.
        space: the space that `forward` returns; all of them, by name, if not given.
        inside: mean and standard deviation by which the network normalises itself, for `spec`; `mean` and `std` are
            then 0 and 1.
        loaded_from: file, folder or name of the encoder, for `spec`.

    Attributes:
        uses_targets: roles of the targets that it was trained with, as far as is known.
        primary_space: space by which the main table judges it.
        invariant_space: space whose leakage the main table shows.
        source: origin, as the leaderboard prints it.
    """

    mean: Tensor
    std: Tensor
    source = "given"

    def __init__(
        self,
        network: nn.Module,
        *,
        image_shape: Shape,
        mean: Sequence[float],
        std: Sequence[float],
        crop: float = 1.0,
        space: str | None = None,
        inside: tuple[Sequence[float], Sequence[float]] | None = None,
        loaded_from: str = "",
    ):
        super().__init__()
        self.network, self.image_shape, self.crop, self.space = network, image_shape, crop, space
        self.inside, self.loaded_from = inside, loaded_from
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != 1 and image_shape[0] not in (None, len(values)):
                raise ValueError(f"{name} has {len(values)} values for {image_shape[0]} channels")
            self.register_buffer(name, torch.tensor(list(values))[:, None, None], persistent=False)
        self.uses_targets: frozenset[str] = frozenset()
        self.primary_space = self.invariant_space = "features"

    @property
    def spec(self) -> EncoderSpec:
        """The shape that images are encoded at, the statistics that are taken out of them, and where it comes from."""
        channels = self.image_shape[0] or 1

        def each(values: Sequence[float]) -> tuple[float, ...]:
            return tuple(float(value) for value in values) * (channels if len(values) == 1 else 1)

        mean, std = self.inside or (self.mean.flatten().tolist(), self.std.flatten().tolist())
        return EncoderSpec(self.image_shape, each(mean), each(std), self.loaded_from)

    def check_space(self) -> None:
        """Raise ValueError if the space chosen isn't among those that two black images give."""
        channels, height, width = self.image_shape
        if self.space in (None, "features") or height is None or width is None:
            return  # `features` is always there; without a size, the first images tell
        with torch.no_grad():
            self(torch.zeros(2, channels or 3, height, width, dtype=torch.uint8, device=self.mean.device))

    def _framed(self, image: Tensor) -> Tensor:
        """The centre of images [B, C, H, W], resized to the size that the network takes: float in [0, 1]."""
        _, height, width = self.image_shape
        own = tuple(round(side * self.crop) for side in image.shape[2:])
        return framed(image, own if height is None or width is None else (height, width), self.crop)

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        """Images of any size, uint8 or float in [0, 1], [B, C, H, W] -> space -> [B, d], or the one space chosen.

        Raises:
            ValueError: something else, such as images that are normalised already.
        """
        if image.ndim != 4 or not (image.dtype == torch.uint8 or image.is_floating_point()):
            raise ValueError(f"images are {IMAGES}; these are {image.dtype} of shape {tuple(image.shape)}")
        if image.is_floating_point() and len(image):
            low, high = (float(value) for value in image.aminmax())
            if not (low >= 0 and high <= 1):  # also NaN
                raise ValueError(
                    f"images are {IMAGES}; these lie between {low:.3g} and {high:.3g}: leave out what normalises them, "
                    "the encoder does it itself"
                )
            image = self._framed(image)
        spaces = self.embed(image)
        if self.space is None:
            return spaces
        if self.space not in spaces:
            raise ValueError(f"no space {self.space!r}: the encoder has {', '.join(spaces)}")
        return spaces[self.space]

    def embed(self, image: Tensor) -> dict[str, Tensor]:
        """Stored uint8 images, or float views in [0, 1] of the network's own size, to named spaces."""
        if image.dtype == torch.uint8:
            image = self._framed(image)
        channels = self.image_shape[0]
        if image.shape[1] == 1 and channels == 3:
            image = image.expand(-1, 3, -1, -1)
        if channels is not None and image.shape[1] != channels:
            hint = "; `image.mean(1, keepdim=True)` makes them grey" if channels == 1 else ""
            raise ValueError(f"the encoder takes images of {channels} channels, these have {image.shape[1]}{hint}")
        prepared = (image - self.mean) / self.std
        return named_spaces(self.network(prepared.contiguous(memory_format=torch.channels_last)), len(image))


def named_spaces(found: Tensor | Mapping[str, Tensor], images: int) -> dict[str, Tensor]:
    """The output of a network for a number of images, as named spaces, each [images, d].

    Raises:
        ValueError: one has another shape, or none is `features`.
    """
    spaces = {"features": found} if isinstance(found, Tensor) else found
    if not isinstance(spaces, Mapping) or "features" not in spaces:
        kind = f"the keys {', '.join(map(str, found))}" if isinstance(found, Mapping) else f"a {type(found).__name__}"
        hint = " (return the one part of it that is to be judged)" if isinstance(found, tuple | list) else ""
        raise ValueError(f"an encoder returns features [B, d], or a dict of spaces with `features`, not {kind}{hint}")
    for name, values in spaces.items():
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError(f"the spaces of an encoder have names, not {name!r}")
        if not isinstance(values, Tensor) or values.ndim != 2 or not values.shape[1]:
            shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            hint = ": pool over positions first" if isinstance(values, Tensor) and values.ndim > 2 else ""
            raise ValueError(f"an encoder's {name} are [B, d], these are {shape}{hint}")
        if values.is_complex():
            raise ValueError(f"an encoder's {name} are real numbers, these are {values.dtype}")
        if len(values) != images:
            raise ValueError(f"an encoder's {name} are [B, d], these are {tuple(values.shape)} for {images} images")
    return dict(spaces)


def channels_of(network: nn.Module, images: int, size: tuple[int, int]) -> int | None:
    """Channels of the images that a network takes.

    Args:
        network: whose first convolution says it, unless the network makes its own of those of the images.
        images: channels of the images.
        size: (h, w) of the images.

    Returns:
        None where there is no convolution.
    """
    first = next((int(p.shape[1]) for p in network.parameters() if p.ndim == 4), None)
    if first in (None, images):
        return first
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(2, images, *size))
    except Exception:  # somebody's own network may raise anything
        return first
    return images
