"""The beta-VAE score, and its pairs from codes and factors."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics.arrays import check_real, check_same_width
from disentangle_bench.evaluation.metrics.disentanglement.checks import (
    Floats,
    Ints,
    codes_and_factors,
    points_and_factors,
)
from disentangle_bench.evaluation.metrics.disentanglement.sampling import CODES, sharing
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


def beta_vae(
    pairs_z: Any, factor_index: Any, *, eval_pairs_z: Any = None, eval_factor_index: Any = None, seed: int = 0
) -> dict[str, float]:
    """beta-VAE score (Higgins et al. 2017, appendix A.4): which factor do pairs of images share?

    Logistic regression (scikit-learn's defaults, 100 iterations, features not standardised) from the mean absolute
    difference of a batch of pairs to the factor they share. `sample_pairs` draws the points from codes and factors.

    Args:
        pairs_z: [P, 2, L, D], P points of L pairs of codes, or [P, D], their mean absolute differences.
        factor_index: int [P].
        eval_pairs_z: points to evaluate on, either shape.
        eval_factor_index: their factors.
        seed: of the regression.

    Returns:
        train_accuracy, eval_accuracy (only if points for it are given): in [0, 1].
    """
    x, y = points_and_factors(mean_differences(pairs_z, "pairs_z"), factor_index, "pairs_z", "factor_index")
    if len(np.unique(y)) < 2:
        raise MetricUndefined(f"beta-VAE needs two factors or more, all points share factor {y[0]}")
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the library's 100 iterations are part of the score
        model = LogisticRegression(random_state=seed).fit(x, y)
        scores = {"train_accuracy": float(model.score(x, y))}
        if eval_pairs_z is not None:
            differences = mean_differences(eval_pairs_z, "eval_pairs_z")
            eval_x, eval_y = points_and_factors(differences, eval_factor_index, "eval_pairs_z", "eval_factor_index")
            check_same_width(x, "pairs_z", eval_x, "eval_pairs_z")
            scores["eval_accuracy"] = float(model.score(eval_x, eval_y))
    return scores


def beta_vae_of_codes(
    train_z: Any, train_factors: Any, test_z: Any, test_factors: Any,
    *, train_points: int = 10_000, test_points: int = 5000, batch_size: int = 64, seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    """`beta_vae` of points that `sample_pairs` draws from codes and their factors.

    It learns on those of the training codes [N, D] and is scored on those of the test codes [M, D].
    """
    draw = {"batch_size": batch_size, "seed": seed}
    points, factor = sample_pairs(train_z, train_factors, num_points=train_points, **draw)
    held, held_factor = sample_pairs(test_z, test_factors, num_points=test_points, **draw)
    return beta_vae(points, factor, eval_pairs_z=held, eval_factor_index=held_factor, seed=seed)


def sample_pairs(
    z: Any, factors: Any, *, num_points: int = 10_000, batch_size: int = 64, seed: int = 0
) -> tuple[Floats, Ints]:
    """Draw beta-VAE points from the codes [N, D] of images and their factors [N, F].

    A point takes a factor and `batch_size` images at random, and for each another with the same value of the factor.
    Returns mean absolute differences of the codes [num_points, D], ready for `beta_vae`, and the factors [num_points].
    """
    z, factors = codes_and_factors(z, factors, "z", "factors", learn=False)
    rng = np.random.default_rng(seed)
    factor = rng.integers(factors.shape[1], size=num_points)
    first = rng.integers(len(z), size=(num_points, batch_size))
    second = sharing(factors, factor, first, rng)
    points = np.zeros((num_points, z.shape[1]))
    step = max(1, CODES // (2 * batch_size * z.shape[1]))
    for start in range(0, num_points, step):
        part = slice(start, start + step)
        points[part] = np.abs(z[first[part]] - z[second[part]]).mean(axis=1)
    return points, factor


def mean_differences(pairs: Any, name: str) -> Floats:
    array = check_real(pairs, name).astype(np.float64)
    if array.ndim == 4 and array.shape[1] == 2:
        return np.abs(array[:, 0] - array[:, 1]).mean(axis=1)
    if array.ndim == 2:
        return array
    raise ValueError(f"{name} must have shape [P, 2, L, D] or [P, D], got {array.shape}")
