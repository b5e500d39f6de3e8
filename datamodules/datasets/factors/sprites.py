"""Colour sprites: images from six known factors, rendered on the fly."""

from __future__ import annotations

import hashlib
import math
from functools import partial
from typing import Literal

import numpy as np
from jsonargparse.typing import PositiveInt

from disentangle_bench.datamodules.batches.split import Split, SplitName, splits_at
from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.datamodules.families.factors import Grid, with_domain
from disentangle_bench.datamodules.splits import colouring, probe, shifts
from disentangle_bench.datamodules.splits.stratified import joint_labels, three_way
from disentangle_bench.datamodules.targets import TargetSpec

SHAPES = ("square", "ellipse", "heart", "triangle")
FACTORS = ("shape", "scale", "orientation", "x", "y", "color")
SMALLEST, LARGEST = 0.5, 0.9
"""Radius of a sprite as a share of a quarter of the image's edge."""


class SpriteImages:
    """All combinations of factors as images; number i is always the same image.

    A sprite of each shape, scale and orientation is drawn once, on a sheet larger than the image; an image is the
    window of it that puts the sprite where it should be, painted in its hue.

    Args:
        counts: number of values of each of `FACTORS`; the last changes fastest from image to image.
        size: edge of the images.
    """

    def __init__(self, counts: tuple[int, ...], size: int):
        self.counts, self.size = counts, size
        shapes, scales, turns, columns, lines, hues = counts
        self.shape = (math.prod(counts), 3, size, size)
        reach = size // 4
        radii = np.linspace(SMALLEST, LARGEST, scales) if scales > 1 else np.array([LARGEST])
        self.sheets = np.stack(
            [
                _sheet(shape, radius * reach, 2 * math.pi * turn / turns, size + 2 * reach)
                for shape in SHAPES[:shapes]
                for radius in radii
                for turn in range(turns)
            ]
        )
        self.left = reach - np.rint(np.linspace(-reach, reach, columns)).astype(np.int64) if columns > 1 else [reach]
        self.top = reach - np.rint(np.linspace(-reach, reach, lines)).astype(np.int64) if lines > 1 else [reach]
        self.left, self.top = np.asarray(self.left), np.asarray(self.top)
        self.palette = colouring.paint(np.full((hues, 1, 1), 255, np.uint8), np.arange(hues), hues)[:, :, 0, 0]

    def __len__(self) -> int:
        return self.shape[0]

    def values(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """int64 [len(rows)] of each factor: the number of its value in these images."""
        return dict(zip(FACTORS, np.unravel_index(rows, self.counts), strict=True))

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        at = self.values(rows)
        sheet = (at["shape"] * self.counts[1] + at["scale"]) * self.counts[2] + at["orientation"]
        windows = np.lib.stride_tricks.sliding_window_view(self.sheets, (self.size, self.size), axis=(1, 2))
        grey = windows[sheet, self.top[at["y"]], self.left[at["x"]]].astype(np.uint16)
        painted = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for channel, level in enumerate(self.palette[at["color"]].astype(np.uint16).T):
            painted[:, channel] = (grey * level[:, None, None] + 127) // 255
        return painted

    def digest(self) -> str:
        """Hash of everything that images are put together from."""
        digest = hashlib.blake2b(f"{self.counts} {self.size}".encode(), digest_size=16)
        for part in (self.sheets, self.left, self.top, self.palette):
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


class Sprites(Grid):
    """Sprites on black: every combination of shape, scale, orientation, place (x, y) and colour, once.

    Rendered on the fly, the same on every machine. Each sprite has a dark spot near its front, so that the orientation
    of a square can be seen over the whole circle. Targets: `shape` (content); `scale`, `x`, `y` (ordinal),
    `orientation` (circular), `color` (class), all style. A seeded split, stratified by shape and colour.

    Args:
        num_shapes: of square, ellipse, heart, triangle, in this order.
        num_scales: sizes.
        num_orientations: evenly spaced over the circle.
        num_x: places across.
        num_y: places down.
        num_colors: evenly spaced hues, the first one red.
        image_size: edge of the images, 32 or 64.
        domain: name of the target with classes that is the domain; none if not given.
        test_fraction: share of the images for the test split.
        correlation: the domain is the colour, and each sprite is there once, not in every colour: so often in the
            training and validation splits in its shape's own colour, else in one drawn uniformly. In the test split
            shape and colour are independent (unless `shift` says otherwise). Every combination if not given.
    """

    name = "sprites"
    source = "rendered by this package; factors after L. Matthey et al.: dSprites (2017)"
    licence = "that of this package"
    mirror_symmetric = False

    def __init__(
        self,
        *,
        num_shapes: PositiveInt = 3,
        num_scales: PositiveInt = 4,
        num_orientations: PositiveInt = 12,
        num_x: PositiveInt = 8,
        num_y: PositiveInt = 8,
        num_colors: PositiveInt = 6,
        image_size: Literal[32, 64] = 64,
        domain: str | None = None,
        test_fraction: float = 0.2,
        correlation: float | None = None,
        **kwargs,
    ):
        self.correlated = correlation is not None
        super().__init__(**kwargs)
        if correlation is not None:
            colouring.check_correlation(correlation)
            if domain not in (None, "color"):
                raise DataMismatch(f"correlation is that of shape and colour, which is then the domain, not {domain!r}")
            if self.entangled:
                raise DataMismatch(f"correlation and a held-out combination of {', '.join(self.entangled)}: choose one")
        self.correlation, domain = correlation, domain if correlation is None else "color"
        self.counts = (num_shapes, num_scales, num_orientations, num_x, num_y, num_colors)
        if not 2 <= num_shapes <= len(SHAPES):
            raise DataMismatch(f"num_shapes lies between 2 and {len(SHAPES)}, got {num_shapes}")
        if max(num_x, num_y) > image_size // 2 + 1:
            raise DataMismatch(f"{image_size} pixels have room for {image_size // 2 + 1} places, not {num_x} x {num_y}")
        if image_size not in (32, 64) or not 0 < test_fraction < 1:
            raise DataMismatch(f"image_size is 32 or 64 and test_fraction in (0, 1), got {image_size}, {test_fraction}")
        self.image_size, self.domain, self.test_fraction = image_size, domain, test_fraction

    def load(self) -> tuple[dict[SplitName, Split], tuple[TargetSpec, ...]]:
        """Splits of rendered images with a target for each factor."""
        self._value_names = {"shape": SHAPES[: self.counts[0]], "color": colouring.hue_names(self.counts[-1])}
        images = SpriteImages(self.counts, self.image_size)
        factors = images.values(np.arange(len(images)))
        angles = factors["orientation"] * (2 * math.pi / self.counts[2])
        targets = factors | {"orientation": angles.astype(np.float32)}
        splits = splits_at(self._rows(factors), images, targets, images.digest())
        size = dict(zip(FACTORS, self.counts, strict=True))
        specs = (
            TargetSpec("shape", "class", size["shape"], "content"),
            TargetSpec("scale", "ordinal", size["scale"], "style"),
            TargetSpec("orientation", "circular", 1, "style"),
            TargetSpec("x", "ordinal", size["x"], "style"),
            TargetSpec("y", "ordinal", size["y"], "style"),
            TargetSpec("color", "class", size["color"], "style"),
        )
        return splits, with_domain(specs, self.domain, self.name)

    def _rows(self, factors: dict[str, np.ndarray]) -> dict[SplitName, np.ndarray]:
        """Numbers of each split's images: of all, or of one colour each, so that no sprite is in two splits."""
        cut = partial(three_way, val=self.val_fraction, test=self.test_fraction, seed=self.split_seed)
        if self.correlation is None:
            return cut(joint_labels(factors["shape"], factors["color"]))
        hues = self.counts[-1]
        shapes = factors["shape"][::hues]  # the colour changes fastest
        sprites = cut(shapes)
        in_test, seed = shifts.test_correlation(self.shift), self.split_seed
        colors = colouring.draw_by_split(shapes, sprites, hues, self.correlation, in_test, seed)
        return {name: at * hues + colors[at] for name, at in sprites.items()}

    def redrawn(self, name: probe.ProbeName, split: Split) -> Split | None:
        """The sprites of a split in colours drawn anew, where colour and shape are correlated."""
        if self.correlation is None:
            return None
        hues, rows = self.counts[-1], split.rows
        assert rows is not None
        of, colors = probe.draw_values(len(split), hues, probe.LEAST[name], self.probe_generator(name))
        targets = {key: values[of] for key, values in split.targets.items()} | {"color": colors}
        return Split(split.images, targets, rows[of] // hues * hues + colors, split.digest)


def _sheet(shape: str, radius: float, angle: float, edge: int) -> np.ndarray:
    """uint8 [edge, edge]: a white sprite with smooth borders in the middle of a black sheet.

    Args:
        shape: one of `SHAPES`.
        radius: of the sprite, in pixels.
        angle: it is turned by, in radians.
        edge: of the sheet.
    """
    fine = 4  # samples a pixel, in each direction
    centre = (np.arange(edge * fine) + 0.5) / fine - edge / 2
    down, across = np.meshgrid(centre, centre, indexing="ij")
    u = (math.cos(angle) * across + math.sin(angle) * down) / radius
    v = (math.cos(angle) * down - math.sin(angle) * across) / radius
    inside = {
        "square": lambda: np.maximum(abs(u), abs(v)) < 0.75,
        "ellipse": lambda: u**2 + (v / 0.55) ** 2 < 1,
        "heart": lambda: (u**2 + v**2 - 0.4) ** 3 < 1.2 * u**2 * -(v**3),
        "triangle": lambda: (v < 0.6) & (v > 1.9 * abs(u) - 0.95),
    }[shape]()
    spot = (u - 0.4) ** 2 + v**2 < 0.2**2
    cover = (inside & ~spot).reshape(edge, fine, edge, fine).sum((1, 3))
    return (cover * 255 // fine**2).astype(np.uint8)
