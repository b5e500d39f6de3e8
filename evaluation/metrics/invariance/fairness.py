"""Whether a classifier answers alike in every domain: demographic parity and equalised odds."""

from typing import Any

import numpy as np

from disentangle_bench.evaluation.metrics.arrays import Array, check_integers
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


def gaps(predicted: Any, labels: Any, domains: Any, *, num_classes: int, least: int = 10) -> dict[str, float]:
    """Largest differences between domains in what a classifier says.

    Demographic parity (Calders et al. 2009): how often it says a class. Equalised odds (Hardt et al. 2016): how often
    it says a class of images that are of it, or of images that are not. Each is the largest difference between two
    domains, over the classes; with two classes these are the differences that fairlearn computes. Parity isn't to be
    wished for where classes are unequally frequent in the domains.

    Args:
        predicted: int [N], classes.
        labels: int [N], the true ones.
        domains: int [N].
        num_classes: of the labels.
        least: images that a domain (of a class, for the odds) needs to count.

    Returns:
        demographic_parity, equalised_odds: 0 is alike, 1 the most unlike; the second is absent where no class has
        enough images in two domains. groups: how many groups of one class and domain have enough.

    Raises:
        ValueError: shapes differ.
        MetricUndefined: no two domains have enough images.
    """
    predicted, labels, domains = (
        check_integers(predicted, "predicted"),
        check_integers(labels, "labels"),
        check_integers(domains, "domains"),
    )
    if not predicted.shape == labels.shape == domains.shape or predicted.ndim != 1:
        raise ValueError(f"predicted has shape {predicted.shape}, labels {labels.shape}, domains {domains.shape}")
    said = np.eye(num_classes)[predicted]
    everyone, large = _rates(said, domains, least)
    if large < 2:
        raise MetricUndefined(f"comparing domains needs two with {least} images, there are {large}")
    odds, groups = [], 0
    for value in range(num_classes):
        of_it = labels == value
        inside, count = _rates(said[of_it, value : value + 1], domains[of_it], least)
        outside, _ = _rates(said[~of_it, value : value + 1], domains[~of_it], least)
        groups += count
        if count >= 2:
            odds += [float(inside[0]), float(outside[0])]
    scores = {"demographic_parity": float(everyone.max()), "groups": float(groups)}
    return scores | ({"equalised_odds": max(odds)} if odds else {})


def _rates(said: Array, domains: Array, least: int) -> tuple[Array, int]:
    """Largest difference between domains of the mean of each column, and how many domains have enough rows."""
    names, counts = np.unique(domains, return_counts=True)
    means = np.asarray([said[domains == name].mean(axis=0) for name in names[counts >= least]])
    return (np.ptp(means, axis=0) if len(means) > 1 else np.zeros(said.shape[1])), len(means)
