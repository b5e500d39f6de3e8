"""Grey images in colour: three equal channels, or a hue that is correlated with the class."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np

from disentangle_bench.datamodules.batches.split import Images, Split, SplitName
from disentangle_bench.datamodules.splits.probe import draw_values

# fmt: off
NAMED_HUES = (  # every 30 degrees
    "red", "orange", "yellow", "chartreuse", "green", "spring", "cyan", "azure", "blue", "violet", "magenta", "rose",
)
# fmt: on


def draw_hues(labels: np.ndarray, num_hues: int, correlation: float, generator: np.random.Generator) -> np.ndarray:
    """Draw a hue number for each image.

    With probability `correlation` the hue is that of the class (class modulo `num_hues`), otherwise uniform over all
    hues; 0 makes colour and class independent, 1 makes colour a function of class.

    Args:
        labels: int [N] class numbers.
        num_hues: how many hues there are.
        correlation: in [0, 1].
        generator: source of the draw.

    Returns:
        int64 [N] hue numbers, 0 .. num_hues-1.
    """
    follows = generator.random(len(labels)) < correlation
    uniform = (generator.random(len(labels)) * num_hues).astype(np.int64)
    return np.where(follows, labels % num_hues, uniform).astype(np.int64)


def paint(grey: np.ndarray, hues: np.ndarray, num_hues: int) -> np.ndarray:
    """Tint each grey image with its hue: black stays black, white becomes the pure hue (HSV with S = V = 1).

    Args:
        grey: uint8 [N, H, W].
        hues: int [N] hue numbers.
        num_hues: hues are evenly spaced on the colour circle.

    Returns:
        uint8 [N, 3, H, W].
    """
    turn = np.arange(num_hues)[:, None] / num_hues + np.array([0, 2 / 3, 1 / 3])  # phase of red, green and blue
    palette = np.clip(np.abs((turn % 1) * 6 - 3) - 1, 0, 1)
    return np.rint(palette[hues][:, :, None, None] * grey[:, None]).astype(np.uint8)


def draw_by_split(
    labels: np.ndarray,
    rows: Mapping[SplitName, np.ndarray],
    num_hues: int,
    correlation: float,
    in_test: float,
    seed: int,
) -> np.ndarray:
    """Draw a hue number for each image, in each split with its own random numbers.

    Args:
        labels: int [N] class numbers.
        rows: positions of each split's images, in the order train, val, test.
        num_hues: how many hues there are.
        correlation: in the training and validation split.
        in_test: in the test split.
        seed: of the draw.

    Returns:
        int64 [N] hue numbers; 0 for images of no split.
    """
    hues = np.zeros(len(labels), np.int64)
    for number, (name, at) in enumerate(rows.items()):
        generator = np.random.Generator(np.random.PCG64([seed, number]))
        hues[at] = draw_hues(labels[at], num_hues, in_test if name == "test" else correlation, generator)
    return hues


def hue_names(num_hues: int) -> tuple[str, ...]:
    """Names of evenly spaced hues: a colour's name at multiples of 30 degrees, else the angle, e.g. `hue36`."""
    angles = [360 * number / num_hues for number in range(num_hues)]
    return tuple(NAMED_HUES[int(a) // 30] if a % 30 == 0 else f"hue{a:g}" for a in angles)


class EqualChannels:
    """Grey images seen as three equal channels; they are stored once and repeated when a batch is taken.

    Args:
        grey: uint8 [N, 1, H, W].
    """

    def __init__(self, grey: Images):
        self.grey = grey
        self.shape = (len(grey), 3, *grey.shape[2:])

    def __len__(self) -> int:
        return len(self.grey)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.repeat(self.grey[rows], 3, axis=1)


class Painted:
    """Grey images that are painted when a batch is taken; only the grey ones are stored.

    Args:
        grey: uint8 [M, 1, H, W].
        hues: int [N] hue numbers.
        num_hues: hues are evenly spaced on the colour circle.
        of: int [N], which grey image is painted; each once, in order, if not given.
    """

    def __init__(self, grey: Images, hues: np.ndarray, num_hues: int, of: np.ndarray | None = None):
        self.grey, self.hues, self.num_hues = grey, hues, num_hues
        self.of = np.arange(len(hues)) if of is None else of
        self.shape = (len(hues), 3, *grey.shape[2:])

    def __len__(self) -> int:
        return len(self.hues)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return paint(self.grey[self.of[rows]][:, 0], self.hues[rows], self.num_hues)

    def digest(self, grey_digest: str) -> str:
        """Hash of all painted images, given that of the grey ones."""
        hues = np.ascontiguousarray(self.hues, np.int64).tobytes()
        return hashlib.blake2b(f"{grey_digest} {self.num_hues}".encode() + hues, digest_size=16).hexdigest()


def repainted(split: Split, num_hues: int, target: str, at_least: int, generator: np.random.Generator) -> Split:
    """The images of a coloured split in hues drawn anew, independently of everything; painted when they are taken.

    Args:
        split: coloured images, `Painted` or an array that `paint` made: grey is then the brightest channel, since one
            channel of a pure hue is always 1.
        num_hues: how many hues there are.
        target: name of the hue among the targets.
        at_least: images wanted; see `draw_values`.
        generator: source of the draw.
    """
    of, hues = draw_values(len(split), num_hues, at_least, generator)
    targets = {name: values[of] for name, values in split.targets.items()} | {target: hues}
    if isinstance(split.images, Painted):
        own = split.images.of if split.rows is None else split.images.of[split.rows]
        return Split(Painted(split.images.grey, hues, num_hues, own[of]), targets)
    grey = split.take(np.arange(len(split))).max(1, keepdims=True)
    return Split(Painted(grey, hues, num_hues, of), targets)


def check_correlation(correlation: float) -> None:
    """Raise ValueError unless `correlation` is a number in [0, 1]."""
    if not (0 <= correlation <= 1 and math.isfinite(correlation)):
        raise ValueError(f"correlation must lie in [0, 1], got {correlation}")
