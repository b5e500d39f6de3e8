"""Seeded splits that are the same on every machine."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.model_selection import train_test_split

from disentangle_bench.datamodules.batches.split import Split, SplitName
from disentangle_bench.datamodules.errors import DataMismatch
from disentangle_bench.datamodules.targets import TargetSpec


def stratified_split(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut positions 0..N-1 in two disjoint, sorted parts with the label's proportions in both.

    Args:
        labels: int [N]; what the split is stratified by.
        fraction: size of the second part, in (0, 1).
        seed: of the draw (NumPy's frozen legacy generator, hence stable over versions).

    Returns:
        int64 positions of the first part and of the second part.

    Raises:
        DataMismatch: a label occurs once, or a part would be smaller than the number of labels.
    """
    try:
        first, second = train_test_split(
            np.arange(len(labels)), test_size=fraction, random_state=seed, stratify=labels, shuffle=True
        )
    except ValueError as error:
        raise DataMismatch(
            f"cannot set {fraction:g} of {len(labels)} images aside with every class in both parts: {error}"
        ) from error
    return np.sort(first), np.sort(second)


def random_split(size: int, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut positions 0..size-1 in two disjoint, sorted parts, for data without a label to stratify by.

    Args:
        size: number of images.
        fraction: size of the second part, in (0, 1); at least one image.
        seed: of the draw.

    Returns:
        int64 positions of the first part and of the second part.
    """
    order = np.random.RandomState(seed).permutation(size)  # frozen, hence stable over versions
    second = max(1, round(size * fraction))
    return np.sort(order[second:]), np.sort(order[:second])


def keep(
    splits: Mapping[SplitName, Split], specs: Sequence[TargetSpec], count: int, seed: int, name: str
) -> dict[SplitName, Split]:
    """The training split with `count` images, drawn by class, and the validation split with the same share of its own.

    Args:
        splits: whole.
        specs: their targets; the first content target with classes is drawn by, if there is one.
        count: of training images.
        seed: of the draw.
        name: of the data set, for the message.

    Raises:
        DataMismatch: there are not as many, or too few of a class.
    """
    share = count / len(splits["train"])
    if share > 1:
        raise DataMismatch(f"train_images {count}: {name} has {len(splits['train'])} training images")
    content = next((spec.name for spec in specs if spec.role == "content" and spec.discrete), None)
    parts: tuple[SplitName, ...] = ("train", "val") if share < 1 else ()
    found = {}
    for part in parts:
        split = splits[part]
        drawn = (
            stratified_split(split.targets[content], share, seed) if content else random_split(len(split), share, seed)
        )
        found[part] = split.select(drawn[1])
    return found


def three_way(
    labels: np.ndarray | int, *, val: float, test: float | np.ndarray, seed: int
) -> dict[SplitName, np.ndarray]:
    """Rows of the training, validation and test split of images 0..N-1.

    Args:
        labels: int [N], what the split is stratified by; or N, the number of images, where there is nothing.
        val: share of the images that are not for test for the validation split, in (0, 1).
        test: share of all images for the test split, in (0, 1); or int, the rows that the publishers chose for it.
        seed: of the draws.

    Returns:
        int64 rows of `train`, `val` and `test`, disjoint; sorted where they were drawn.

    Raises:
        DataMismatch: as `stratified_split`.
    """

    def cut(rows: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
        if isinstance(labels, np.ndarray):
            first, second = stratified_split(labels[rows], fraction, seed)
        else:
            first, second = random_split(len(rows), fraction, seed)
        return rows[first], rows[second]

    every = np.arange(len(labels) if isinstance(labels, np.ndarray) else labels)
    rest, held = (np.setdiff1d(every, test), test) if isinstance(test, np.ndarray) else cut(every, test)
    train, chosen = cut(rest, val)
    return {"train": train, "val": chosen, "test": held}


def joint_labels(*labels: np.ndarray) -> np.ndarray:
    """int64 [N]: one number for each combination of values that occurs, to stratify by several targets at once."""
    _, joint = np.unique(np.stack(labels, axis=1), axis=0, return_inverse=True)
    return joint.reshape(-1)
