"""Made features and codes: what is known of them is easy, or not there."""

from typing import Any

import numpy as np

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def halves(x: np.ndarray, y: np.ndarray) -> Split:
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[: len(x) // 2], order[len(x) // 2 :]
    return x[train], y[train], x[test], y[test]


def blobs(n: int = 400, classes: int = 4, dim: int = 12, spread: float = 0.1, seed: int = 0) -> Split:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return halves(rng.normal(size=(classes, dim))[y] + spread * rng.normal(size=(n, dim)), y)


def noise(n: int = 4000, classes: int = 4, dim: int = 6) -> Split:
    rng = np.random.default_rng(5)
    return halves(rng.normal(size=(n, dim)), rng.integers(classes, size=n))


KINDS = ["perfect", "mixed", "noise"]
Arrays = tuple[np.ndarray, ...]


def splits(file: Any) -> Arrays:
    """The reference's arrays are (codes, points) and (factors, points)."""
    return tuple(file[f"in_{name}"].T for name in ("mus_train", "ys_train", "mus_test", "ys_test"))


def world(n: int = 600, sizes: tuple[int, ...] = (3, 4, 5), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(size, size=n) for size in sizes], axis=1)


def perfect_and_noise() -> tuple[Arrays, Arrays]:
    """One code a factor and one dead one; four codes of noise."""
    train, test = world(), world(seed=1)
    codes = [np.c_[f.astype(float), np.full(len(f), 0.3)] for f in (train, test)]
    rng = np.random.default_rng(2)
    noise = [rng.normal(size=(len(f), 4)) for f in (train, test)]
    return (codes[0], train, codes[1], test), (noise[0], train, noise[1], test)
