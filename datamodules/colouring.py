"""Paint grey images in hues that go with their class more often than chance."""

import math

import numpy as np


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


def check_correlation(correlation: float) -> None:
    """Raise ValueError unless `correlation` is a number in [0, 1]."""
    if not (0 <= correlation <= 1 and math.isfinite(correlation)):
        raise ValueError(f"correlation must lie in [0, 1], got {correlation}")
