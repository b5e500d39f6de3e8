"""Informativeness: what a linear head reads off features, on one scale for all kinds of targets."""

from typing import Any

import numpy as np

from disentangle_bench.evaluation.metrics.arrays import check_array, check_labels, check_same_width
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.probes.linear import COARSE_GRID, Design
from disentangle_bench.evaluation.metrics.probes.ridge import explained
from disentangle_bench.evaluation.metrics.probes.scoring import (
    better_than_constant,
    chance,
    held_out,
    weighted_accuracy,
)


def informativeness(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    num_classes: int | None = None,
    circular: bool = False,
    val: tuple[Any, Any] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """How well a linear head reads a target: 0 is a constant guess, 1 is perfect (cf. Eastwood & Williams 2018).

    Targets with classes: (accuracy - chance) / (1 - chance) of multinomial logistic regression, chance being the share
    of the test samples' most frequent class, which is also the guess of a head that does worse than that. Numbers and
    angles: R^2 of ridge regression, or 0 where it is less. On samples in which the target depends on another one that
    the features show, that passes for it: hand samples in which the two are independent.

    Args:
        train_x: [N, D].
        train_y: int [N] in [0, num_classes), or numbers.
        test_x: [M, D].
        test_y: [M].
        num_classes: of a target with classes, from the data set; None: it is a number.
        circular: whether the number is an angle in radians.
        val: (val_x, val_y), samples that the head's strength is picked on; for classes by default a stratified tenth
            of the training samples, for numbers leave-one-out.
        seed: of that tenth.

    Returns:
        told: in [0, 1].

    Raises:
        ValueError: wrong shapes (both named), labels out of range.
        MetricUndefined: empty or non-finite features, or test targets of one value.
    """
    if num_classes is None:
        terms = explained(train_x, train_y, test_x, test_y, circular=circular, val=val)
        return {"told": max(0.0, float(np.average(terms)))}
    train_x, test_x = check_array(train_x, "train_x"), check_array(test_x, "test_x")
    check_same_width(train_x, "train_x", test_x, "test_x")
    train_y = check_labels(train_y, "train_y", train_x, "train_x", num_classes)
    test_y = check_labels(test_y, "test_y", test_x, "test_x", num_classes)
    level = chance(test_y)
    if level == 1:
        raise MetricUndefined("all test samples have one value")
    if val is None:
        held = held_out(train_y, 0.1, seed)
        design, answers = Design(train_x, held=held), np.concatenate([train_y[~held], train_y[held]])
    else:
        design = Design.of(train_x, val[0])
        answers = np.concatenate(
            [train_y, check_labels(val[1], "val_y", check_array(val[0], "val_x"), "val_x", num_classes)]
        )
    head = design.classifier(answers, num_classes=num_classes, l2_grid=COARSE_GRID, refit=False)
    guess = better_than_constant(head.predict(test_x), test_y)
    return {"told": (weighted_accuracy(guess, test_y) - level) / (1 - level)}
