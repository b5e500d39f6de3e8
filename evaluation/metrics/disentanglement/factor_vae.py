"""The FactorVAE score, and its votes from codes and factors."""

from typing import Any

import numpy as np

from disentangle_bench.evaluation.metrics.arrays import check_real
from disentangle_bench.evaluation.metrics.disentanglement.checks import (
    Floats,
    Ints,
    codes_and_factors,
    points_and_factors,
)
from disentangle_bench.evaluation.metrics.disentanglement.sampling import CODES, sharing
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


def factor_vae(
    local_variances_z: Any,
    factor_index: Any,
    global_variances: Any,
    *,
    eval_local_variances_z: Any = None,
    eval_factor_index: Any = None,
    prune_threshold: float = 0.05,
) -> dict[str, float]:
    """FactorVAE score (Kim & Mnih 2018, section 4): the code that moves least names the factor that was fixed.

    A vote is the active code with the smallest local / global variance. Each code stands for the factor it voted for
    most often (the lowest on ties; a code without votes for factor 0); the score is the accuracy of that.
    `sample_votes` draws the arrays from codes and their factors.

    Args:
        local_variances_z: [V, D], a vote's variance of each code over a batch with one factor fixed (ddof 1).
        factor_index: int [V], the factor that was fixed, from 0.
        global_variances: [D], over the whole data (ddof 1).
        eval_local_variances_z: [W, D], of the votes to evaluate on.
        eval_factor_index: int [W].
        prune_threshold: a code is active if its global standard deviation is at least this.

    Returns:
        train_accuracy, eval_accuracy (only if votes for it are given): in [0, 1]; active: the number of active codes.
    """
    spread, factor = points_and_factors(local_variances_z, factor_index, "local_variances_z", "factor_index")
    overall = check_real(global_variances, "global_variances").astype(np.float64)
    if overall.shape != spread.shape[1:]:
        raise ValueError(f"global_variances has shape {overall.shape} but local_variances_z {spread.shape}")
    active = (np.sqrt(overall) >= prune_threshold) & (overall > 0)
    if not active.any():
        raise MetricUndefined(f"no code has a standard deviation of {prune_threshold} or more")
    votes = factor_vae_votes(spread[:, active], overall[active])
    table = np.zeros((factor.max() + 1, active.sum()), dtype=np.int64)
    np.add.at(table, (factor, votes), 1)
    names = table.argmax(axis=0)
    scores = {"train_accuracy": float((names[votes] == factor).mean()), "active": float(active.sum())}
    if eval_local_variances_z is not None:
        name = "eval_local_variances_z"
        spread, factor = points_and_factors(eval_local_variances_z, eval_factor_index, name, "eval_factor_index")
        if spread.shape[1:] != overall.shape:
            raise ValueError(f"global_variances has shape {overall.shape} but {name} {spread.shape}")
        votes = factor_vae_votes(spread[:, active], overall[active])
        scores["eval_accuracy"] = float((names[votes] == factor).mean())
    return scores


def factor_vae_of_codes(
    train_z: Any, train_factors: Any, test_z: Any, test_factors: Any,
    *, train_votes: int = 10_000, test_votes: int = 5000, batch_size: int = 64, prune_threshold: float = 0.05,
    seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    """`factor_vae` of votes that `sample_votes` draws from codes and their factors.

    Votes from the training codes [N, D] name the codes, those from the test codes [M, D] are scored.
    """
    draw = {"batch_size": batch_size, "seed": seed}
    votes, factor = sample_votes(train_z, train_factors, num_votes=train_votes, **draw)
    held, held_factor = sample_votes(test_z, test_factors, num_votes=test_votes, **draw)
    overall = np.asarray(train_z, np.float64).var(axis=0, ddof=1)
    of_test = {"eval_local_variances_z": held, "eval_factor_index": held_factor}
    return factor_vae(votes, factor, overall, **of_test, prune_threshold=prune_threshold)


def factor_vae_votes(local_variances_z: Floats, global_variances: Floats) -> Ints:
    """Index [V] of the code with the smallest local / global variance (the lowest on ties)."""
    return np.argmin(local_variances_z / global_variances, axis=1)


def sample_votes(
    z: Any, factors: Any, *, num_votes: int = 10_000, batch_size: int = 64, seed: int = 0
) -> tuple[Floats, Ints]:
    """Draw FactorVAE votes from the codes [N, D] of images and their factors [N, F].

    A vote takes a factor and an image, both at random, and `batch_size` images (with replacement) of that image's
    value of the factor. Returns the codes' variances [num_votes, D] (ddof 1) and the factors [num_votes].
    """
    z, factors = codes_and_factors(z, factors, "z", "factors", learn=False)
    if batch_size < 2:
        raise ValueError(f"batch_size must be at least 2, got {batch_size}")
    rng = np.random.default_rng(seed)
    factor = rng.integers(factors.shape[1], size=num_votes)
    anchor = rng.integers(len(z), size=num_votes)
    rows = sharing(factors, factor, np.repeat(anchor[:, None], batch_size, axis=1), rng)
    spread = np.zeros((num_votes, z.shape[1]))
    step = max(1, CODES // (batch_size * z.shape[1]))
    for start in range(0, num_votes, step):
        spread[start : start + step] = z[rows[start : start + step]].var(axis=1, ddof=1)
    return spread, factor
