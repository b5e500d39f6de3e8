"""Seeded splits that are the same on every machine."""

import numpy as np
from sklearn.model_selection import train_test_split


def stratified_split(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut positions 0..N-1 in two disjoint, sorted parts with the label's proportions in both.

    Args:
        labels: int [N]; what the split is stratified by.
        fraction: size of the second part, in (0, 1).
        seed: of the draw (NumPy's frozen legacy generator, hence stable over versions).

    Returns:
        int64 positions of the first part and of the second part.

    Raises:
        ValueError: a label occurs once, or a part would be smaller than the number of labels.
    """
    first, second = train_test_split(
        np.arange(len(labels)), test_size=fraction, random_state=seed, stratify=labels, shuffle=True
    )
    return np.sort(first), np.sort(second)
