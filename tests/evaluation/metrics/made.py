"""Made features whose classes are known to be easy, or not there."""

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
