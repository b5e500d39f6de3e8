"""Domain leakage: how well the strongest of three adversaries reads the domain off features that should not tell it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from disentangle_bench.evaluation.metrics.arrays import (
    Array,
    check_array,
    check_labels,
    check_real,
    check_same_width,
    full_precision,
    one_thread,
)
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.metrics.invariance.adversaries import ADVERSARIES, Task
from disentangle_bench.evaluation.metrics.probes.linear import Design, LinearProbe
from disentangle_bench.evaluation.metrics.probes.scoring import (
    better_than_constant,
    chance,
    held_out,
    joint_weights,
    weighted_accuracy,
)


@dataclass(frozen=True)
class Leakage:
    """Results of the adversaries. Where they are right less often than a constant guess, that takes their place.

    Attributes:
        guesses: adversary -> int [M], the domains that it names for the test images.
        accuracy: adversary -> share of them that are right, weighted.
        adversary: number of the strongest one, by its accuracy on the validation images.
        predicted: int [M], the strongest adversary's guesses, or the constant.
        half: the same of that adversary with half of the images to learn from.
        quarter: with a quarter of them.
        curve: accuracies of `quarter`, `half` and `predicted`.
        chance: share of the test images' most frequent domain, weighted.
    """

    guesses: dict[str, Array]
    accuracy: dict[str, float]
    adversary: int
    predicted: Array
    half: Array
    quarter: Array
    curve: tuple[float, float, float]
    chance: float

    @property
    def normalized(self) -> float:
        """(accuracy - chance) / (1 - chance) of `predicted`: 0 tells nothing, 1 all."""
        if self.chance == 1:
            raise MetricUndefined("all test images of weight are of one domain")
        return (self.curve[2] - self.chance) / (1 - self.chance)

    @property
    def rising(self) -> float:
        """Accuracy that the last doubling of the images to learn from added."""
        return self.curve[2] - self.curve[1]


def domain_leakage(
    train_x: Any,
    train_d: Any,
    test_x: Any,
    test_d: Any,
    *,
    num_domains: int,
    val: tuple[Any, Any] | None = None,
    weights: tuple[Any, Any, Any] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """How well the domain can be read off features that should not tell it (cf. Kahana & Hoshen 2022, section 5).

    Three adversaries learn it: a linear one, an MLP of two hidden layers, and nearest neighbours. The figure is that of
    the one that is best on the validation samples, or that of a constant guess where it does worse than that. Two
    correlated targets pass for each other: hand samples in which domain and content are independent, or weights that
    make them so.

    Args:
        train_x: [N, D].
        train_d: int [N] in [0, num_domains).
        test_x: [M, D].
        test_d: int [M].
        num_domains: from the data set.
        val: (val_x, val_d), samples that the adversaries' settings and the strongest of them are picked on; a
            stratified tenth of the training samples by default.
        weights: of the training, the validation and the test samples, each [rows] or None; those of the validation
            samples are taken from the training samples' where `val` is None.
        seed: of the MLP and of the parts of the curve.

    Returns:
        linear, mlp, knn: their test accuracies.
        chance: the share of the test samples' most frequent domain, what the best constant guess gets.
        strongest: accuracy of the strongest adversary, at least `chance`.
        normalized: (strongest - chance) / (1 - chance): 0 tells nothing, 1 all.
        adversary: 0 linear, 1 mlp, 2 knn.
        rising: test accuracy of the strongest adversary less that of the same one with half of the training samples;
            above 0.02 the figure is a lower bound.

    Raises:
        ValueError: wrong shapes (both named), labels out of range, negative weights.
        MetricUndefined: empty or non-finite features, or a single domain among the training or the test samples.
    """
    train_x, test_x = check_array(train_x, "train_x"), check_array(test_x, "test_x")
    check_same_width(train_x, "train_x", test_x, "test_x")
    train_d = check_labels(train_d, "train_d", train_x, "train_x", num_domains)
    test_d = check_labels(test_d, "test_d", test_x, "test_x", num_domains)
    fit_w, val_w, test_w = weights or (None, None, None)
    fit_w = _weights(fit_w, "training", train_d)
    if val is None:
        held = held_out(train_d, 0.1, seed)
        design, d = Design(train_x, held=held), np.concatenate([train_d[~held], train_d[held]])
        learn_w = None if fit_w is None else np.concatenate([fit_w[~held], fit_w[held]])
    else:
        val_x = check_array(val[0], "val_x")
        check_same_width(train_x, "train_x", val_x, "val_x")
        val_d = check_labels(val[1], "val_d", val_x, "val_x", num_domains)
        val_w = _weights(val_w, "validation", val_d)
        design, d = Design(train_x, val_x), np.concatenate([train_d, val_d])
        learn_w = joint_weights(fit_w, val_w, len(train_d), len(val_d))
    found = fit_adversaries(
        design, d, test_x, test_d, num_domains=num_domains, weights=learn_w,
        test_weights=_weights(test_w, "test", test_d), seed=seed,
    )  # fmt: skip
    return found.accuracy | {
        "chance": found.chance,
        "normalized": found.normalized,
        "strongest": found.curve[2],
        "adversary": float(found.adversary),
        "rising": found.rising,
    }


def fit_adversaries(
    design: Design,
    domains: Array,
    test_x: Array,
    test_d: Array,
    *,
    num_domains: int,
    weights: Array | None = None,
    test_weights: Array | None = None,
    seed: int = 0,
    linear: LinearProbe | None = None,
) -> Leakage:
    """`domain_leakage` on a design that other probes share.

    Args:
        design: of the samples to learn from and to pick on.
        domains: int [N + V] of its rows.
        test_x: [M, D].
        test_d: int [M].
        num_domains: from the data set.
        weights: float [N + V] of its rows, or None.
        test_weights: float [M], or None.
        seed: as there.
        linear: the linear adversary on all of the samples, where it is fitted already.
    """
    fitted = design.fitted
    for name, values in (("training", domains[:fitted]), ("test", test_d)):
        if len(np.unique(values)) < 2:
            raise MetricUndefined(f"domain leakage needs two domains, the {name} samples are all of {values[0]}")
    with full_precision(), one_thread():
        where = design.rows.device
        task = Task(
            design.rows[:fitted],
            torch.from_numpy(domains[:fitted]).to(where),
            None if weights is None else torch.from_numpy(weights[:fitted]).float().to(where),
            design.rows[fitted:],
            domains[fitted:],
            None if weights is None else weights[fitted:],
            design.standardize(test_x),
            num_domains,
            seed,
        )
        known = {} if linear is None else {"linear": task.answer(linear.log_probability_of)}
        answers = {name: known.get(name) or learn(task) for name, learn in ADVERSARIES.items()}
        guesses = {name: answer.test for name, answer in answers.items()}
        accuracy = {name: weighted_accuracy(guess, test_d, test_weights) for name, guess in guesses.items()}
        adversary = int(np.argmax([task.score(answer) for answer in answers.values()]))
        name, learn = list(ADVERSARIES.items())[adversary]
        order = np.random.default_rng(seed).permutation(fitted)
        fewer = [learn(task.part(order[: max(2, fitted // parts)])).test for parts in (4, 2)]
    predicted, half, quarter = (
        better_than_constant(guess, test_d, test_weights) for guess in (guesses[name], fewer[1], fewer[0])
    )
    quarter_right, half_right, right = (
        weighted_accuracy(guess, test_d, test_weights) for guess in (quarter, half, predicted)
    )
    curve = (quarter_right, half_right, right)
    return Leakage(guesses, accuracy, adversary, predicted, half, quarter, curve, chance(test_d, test_weights))


def _weights(weights: Any, name: str, rows: Array) -> Array | None:
    """Checked weights float64 [N], or None."""
    if weights is None:
        return None
    array = check_real(weights, f"{name} weights").astype(np.float64)
    if array.shape != rows.shape:
        raise ValueError(f"{name} weights have shape {array.shape} but domains {rows.shape}: one a row is needed")
    if not np.isfinite(array).all() or array.min() < 0:
        raise ValueError(f"{name} weights must be finite numbers, zero or more")
    if array.sum() == 0:
        raise MetricUndefined(f"all {name} weights are zero")
    return array
