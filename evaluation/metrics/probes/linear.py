"""The linear probe: multinomial logistic regression, its strength picked on validation samples."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from disentangle_bench.evaluation.metrics.arrays import (
    Array,
    check_array,
    check_labels,
    check_same_width,
    device,
    full_precision,
    one_thread,
)
from disentangle_bench.evaluation.metrics.probes.logistic import Axes, SoftmaxRegression, Standardizer
from disentangle_bench.evaluation.metrics.probes.scoring import by_blocks, checked, held_out, scores_of

L2_GRID = tuple(float(l2) for l2 in np.logspace(-6, 1, 10))
"""Default strengths of the linear probe: scikit-learn's C is 1 / (l2 N)."""
COARSE_GRID = (1.0, 1e-2, 1e-4, 1e-5)
"""Strengths for many heads on many samples, each fitted once."""
PATH_TOLERANCE, COARSE_TOLERANCE = {"gtol": 3e-4, "ftol": 1e-7}, {"gtol": 1e-3, "ftol": 1e-6}
"""Tolerances of the search for one strength: where the one chosen is refitted, and where it is not."""
SMALL = 2**26
"""Weights times rows below which the linear probe uses one thread: more would only wait for each other."""


def linear_probe(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    num_classes: int,
    val: float | tuple[Any, Any] = 0.1,
    l2_grid: Sequence[float] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Multinomial logistic regression on standardised features, its L2 strength picked on validation samples.

    The objective is the mean negative log-likelihood plus l2/2 ||W||^2 (biases free), solved for all strengths from
    the strongest to the weakest, each from the last one's solution. With two classes W is one vector, as in
    scikit-learn, whose C is 1 / (l2 N). The strength with the lowest validation NLL (the stronger one on a tie) is
    refitted on training and validation samples together and scored on the test set. Features are standardised by all
    training and validation samples; constant ones do no harm. A class that no training sample has gets probability 0,
    and no probability counts as less than 2.2e-16 in the NLL. Runs in float32, on the accelerator if there is one.

    Args:
        train_x: [N, D], read as float32.
        train_y: int [N] in [0, num_classes).
        test_x: [M, D].
        test_y: int [M].
        num_classes: C, from the data set, not from the labels seen.
        val: the share of the training samples, drawn by `seed` and stratified, or (val_x, val_y).
        l2_grid: strengths to choose from; `L2_GRID` by default. One alone needs no validation samples.
        seed: of the validation split.

    Returns:
        top1, top5 (top C where C < 5), balanced (mean recall of the test set's classes), nll (nats), ece (15 bins of
        equal width), l2 (the strength chosen).

    Raises:
        ValueError: wrong shapes (both named), labels out of range, a strength that isn't positive.
        MetricUndefined: empty or non-finite features, or too few samples for a validation split.
    """
    train_x, train_y, test_x, test_y = checked(train_x, train_y, test_x, test_y, num_classes)
    probe = fit_linear(train_x, train_y, num_classes=num_classes, val=val, l2_grid=l2_grid, seed=seed)
    return scores_of(probe.log_probabilities(test_x), test_y) | {"l2": probe.l2}


@dataclass(frozen=True)
class LinearProbe:
    """A fitted linear classifier (`fit_linear`).

    Attributes:
        standardize: of the features.
        weight: [K, D] of the classes seen, float64.
        bias: [K].
        classes: int [K], the classes seen.
        num_classes: C, of all.
        l2: the strength chosen.
    """

    standardize: Standardizer
    weight: Tensor
    bias: Tensor
    classes: Array
    num_classes: int
    l2: float

    def log_probability(self, x: Array) -> Tensor:
        """Log-probabilities [n, C], float64, of a block of features [n, D]; -inf for classes not seen."""
        return self.log_probability_of(self.standardize(x))

    def log_probability_of(self, rows: Tensor) -> Tensor:
        """Log-probabilities [n, C] of a block of features [n, D] that are standardised already."""
        with full_precision(), torch.no_grad(), one_thread():
            logits = torch.addmm(self.bias.float(), rows, self.weight.float().T).double().cpu()
            logp = torch.full((len(rows), self.num_classes), -torch.inf, dtype=torch.float64)
            logp[:, torch.from_numpy(self.classes)] = F.log_softmax(logits, dim=1)
            return logp

    def log_probabilities(self, x: Any) -> Tensor:
        """Log-probabilities [N, C] of features [N, D], computed block by block."""
        return by_blocks(self.log_probability, check_array(x, "x"))

    def predict(self, x: Any) -> Array:
        """The most probable class of each row of [N, D], int64 [N]; the lowest of equal ones."""
        return self.log_probabilities(x).numpy().argmax(axis=1)


class Design:
    """Standardised features of fitting and of validation rows, and their axes: what all targets' fits share.

    Args:
        fit_x: [N, D].
        val_x: [M, D]; without them, `held` says which of the N validate.
        held: bool [N].

    Attributes:
        standardize: by all of the rows.
        rows: float32 [N + M, D], those to fit first.
        fitted: how many of them are for fitting.
    """

    def __init__(self, fit_x: Array, val_x: Array | None = None, held: Array | None = None):
        where: list[tuple[Array, Array | None]] = [(fit_x, None)]
        if val_x is not None:
            where.append((val_x, None))
        elif held is not None:
            where = [(fit_x, np.flatnonzero(~held)), (fit_x, np.flatnonzero(held))]
        with full_precision(), torch.no_grad(), one_thread():
            self.standardize = Standardizer([fit_x] if val_x is None else [fit_x, val_x], device())
            sizes = [len(part) if chosen is None else len(chosen) for part, chosen in where]
            self.fitted = sizes[0]
            self.rows = torch.empty((sum(sizes), fit_x.shape[1]), dtype=torch.float32, device=self.standardize.device)
            for (part, chosen), out in zip(where, self.rows.split(sizes), strict=True):
                self.standardize(part, chosen, out=out)
            self.axes = Axes(self.rows)
            self._reduced = self.axes.reduce(self.rows)

    @classmethod
    def of(cls, fit_x: Any, val_x: Any) -> Design:
        """A design of checked features; the errors are those of `linear_probe`."""
        fit, val = check_array(fit_x, "train_x"), check_array(val_x, "val_x")
        check_same_width(fit, "train_x", val, "val_x")
        return cls(fit, val)

    def classifier(
        self,
        answers: Array,
        *,
        num_classes: int,
        l2_grid: Sequence[float] | None = None,
        weights: Array | None = None,
        refit: bool = True,
    ) -> LinearProbe:
        """The classifier of `linear_probe` for one target.

        Args:
            answers: int [N + M], in the order of `rows`.
            num_classes: C.
            l2_grid: as there.
            weights: float [N + M] of the rows, zero or more; None: all equal.
            refit: fit the strength chosen once more, on fitting and validation rows together.
        """
        strengths = sorted({float(l2) for l2 in (L2_GRID if l2_grid is None else l2_grid)}, reverse=True)
        if not strengths or not all(0 < l2 < np.inf for l2 in strengths):
            raise ValueError(f"l2_grid must hold positive strengths, got {strengths}")
        x, fitted, axes = self._reduced, self.fitted, self.axes
        small = len(answers) * self.rows.shape[1] * num_classes < SMALL
        with full_precision(), torch.no_grad(), one_thread() if small else nullcontext():
            classes, y = np.unique(answers, return_inverse=True)
            target = torch.from_numpy(y).to(x.device)
            share = None if weights is None else torch.from_numpy(np.asarray(weights, np.float64)).to(x.device)

            def problem(rows: slice) -> SoftmaxRegression:
                return SoftmaxRegression(
                    x[rows], target[rows], len(classes), axes, None if share is None else share[rows]
                )

            penalty = 2.0 if len(classes) == 2 else 1.0  # ||w||^2 of the difference w is twice ||W||^2 of both columns
            l2, point = strengths[0], None
            tolerance = PATH_TOLERANCE if refit else COARSE_TOLERANCE
            if len(strengths) > 1:
                fit, validation = problem(slice(fitted)), problem(slice(fitted, None))
                step, best = fit.start(), np.inf
                for strength in strengths:
                    step = fit.search(penalty * strength, step, **tolerance)
                    nll = validation.loss(*step)[0]
                    if nll < best:
                        best, l2, point = nll, strength, step
            if refit or point is None:
                whole = problem(slice(None))
                point = whole.minimum(penalty * l2, point or whole.start())
            weight, bias = point
            return LinearProbe(self.standardize, axes.restore(weight), bias, classes, num_classes, l2)


def fit_linear(
    train_x: Any,
    train_y: Any,
    *,
    num_classes: int,
    val: float | tuple[Any, Any] = 0.1,
    l2_grid: Sequence[float] | None = None,
    seed: int = 0,
) -> LinearProbe:
    """The classifier of `linear_probe`, with its arguments and errors."""
    train_x = check_array(train_x, "train_x")
    train_y = check_labels(train_y, "train_y", train_x, "train_x", num_classes)
    if isinstance(val, tuple):
        val_x = check_array(val[0], "val_x")
        check_same_width(train_x, "train_x", val_x, "val_x")
        val_y = check_labels(val[1], "val_y", val_x, "val_x", num_classes)
        design, answers = Design(train_x, val_x), np.concatenate([train_y, val_y])
    else:
        alone = l2_grid is not None and len(set(l2_grid)) == 1
        held = np.zeros(len(train_x), dtype=bool) if alone else held_out(train_y, val, seed)
        design, answers = Design(train_x, held=held), np.concatenate([train_y[~held], train_y[held]])
    return design.classifier(answers, num_classes=num_classes, l2_grid=l2_grid)
