"""Domain leakage."""

from typing import Any

import numpy as np

from disentangle_bench.evaluation.metrics.arrays import (
    matrix,
    row_labels,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.probes import linear_probe, mlp_probe


def domain_leakage(
    train_x: Any,
    train_d: Any,
    test_x: Any,
    test_d: Any,
    *,
    num_domains: int,
    seed: int = 0,
    mlp: bool = True,
) -> dict[str, float]:
    """How well the domain can be read off features that should not tell it (Kahana & Hoshen 2022, section 5).

    Args:
        train_x: [N, D].
        train_d: int [N] in [0, num_domains).
        test_x: [M, D].
        test_d: int [M].
        num_domains: from the data set.
        seed: of both probes.
        mlp: train the MLP probe too; without it `mlp` is absent and `normalized` is the linear probe's.

    Returns:
        linear, mlp: test accuracy of `linear_probe` and `mlp_probe`.
        chance: the share of the test samples' most frequent domain, what the best constant guess gets.
        normalized: (accuracy - chance) / (1 - chance) of the better probe, cut to [0, 1]: 0 tells nothing, 1 all.

    Raises:
        ValueError: wrong shapes (both named), labels out of range.
        MetricUndefined: as the probes, or a single domain among the training or the test samples.
    """
    train_x, test_x = matrix(train_x, "train_x"), matrix(test_x, "test_x")
    train_d = row_labels(train_d, "train_d", train_x, "train_x", num_domains)
    test_d = row_labels(test_d, "test_d", test_x, "test_x", num_domains)
    for name, domains in (("training", train_d), ("test", test_d)):
        if len(np.unique(domains)) < 2:
            raise MetricUndefined(f"domain leakage needs two domains, the {name} samples are all of {domains[0]}")
    data = (train_x, train_d, test_x, test_d)
    scores = {"linear": linear_probe(*data, num_classes=num_domains, seed=seed)["top1"]}
    if mlp:
        scores["mlp"] = mlp_probe(*data, num_classes=num_domains, seed=seed)["top1"]
    chance = float(np.bincount(test_d).max() / len(test_d))
    normalized = (max(scores.values()) - chance) / (1 - chance)
    return scores | {"chance": chance, "normalized": float(np.clip(normalized, 0.0, 1.0))}
