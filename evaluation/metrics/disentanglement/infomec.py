"""InfoMEC: modularity, compactness and explicitness by information, each code in its own units."""

import warnings
from typing import Any

import numpy as np
from scipy.stats import entropy
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mutual_info_score
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics.disentanglement.checks import Floats, Ints, at_least_two, codes_and_factors
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

LEAST_RANGE = 20
"""A continuous code counts as active if its range is above the widest one's divided by this."""


def infomec(z: Any, factors: Any, *, neighbours: int = 10, discrete: bool = False, seed: int = 0) -> dict[str, float]:
    """InfoMEC of codes and factors (Hsu et al. 2023, section 5).

    Information is estimated by nearest neighbours, or counted where codes are discrete, and divided by the factor's
    entropy. Explicitness is how far a logistic regression from all codes lowers the cross-entropy, on the points that
    it is fitted to: it says little where there are not many more points than codes.

    Args:
        z: [N, D].
        factors: int [N, F].
        neighbours: of the estimator.
        discrete: whether codes are names of values, not numbers.
        seed: of the estimator's noise of 1e-10, which breaks ties.

    Returns:
        modularity, compactness, explicitness; active: number of codes that vary enough; silent: of those, codes with no
        information on any factor, whose modularity counts as 0.

    Raises:
        MetricUndefined: also if fewer than two codes are active, or a factor has another value at each point.
    """
    z, factors = codes_and_factors(z, factors, "z", "factors", learn=True)
    at_least_two(factors, "factors")
    width = np.ptp(z, axis=0)
    active = width > (0 if discrete else width.max() / LEAST_RANGE)
    if active.sum() < 2:
        raise MetricUndefined("this metric compares codes, and only one of them varies enough")
    for k, factor in enumerate(factors.T):
        if len(np.unique(factor)) == len(factor):
            raise MetricUndefined(f"each value of factor {k} occurs once, which tells nothing of its neighbours")
    shares = normalized_information(z, factors, neighbours=neighbours, discrete=discrete, seed=seed)[:, active]
    count, codes = shares.shape
    total = shares.sum(axis=0)
    silent = total == 0
    leading = np.where(silent, 0.0, shares.max(axis=0) / np.where(silent, 1, total))
    by_factor = shares.sum(axis=1)
    if not by_factor.all():
        raise MetricUndefined(f"no code has information on factor {int((by_factor == 0).argmax())}")
    compact = shares.max(axis=1) / by_factor
    return {
        "modularity": float((np.where(silent, 1 / count, leading).mean() - 1 / count) / (1 - 1 / count)),
        "compactness": float((compact.mean() - 1 / codes) / (1 - 1 / codes)),
        "explicitness": _explicitness(z, factors, discrete),
        "active": float(active.sum()),
        "silent": float(silent.sum()),
    }


def normalized_information(
    z: Floats, factors: Ints, *, neighbours: int = 10, discrete: bool = False, seed: int = 0
) -> Floats:
    """I(factor; code) / H(factor), [F, D]."""
    if discrete:
        rows = [[mutual_info_score(factor, code) for code in z.T] for factor in factors.T]
    else:
        scaled = StandardScaler().fit_transform(z)
        rows = [mutual_info_classif(scaled, y, n_neighbors=neighbours, random_state=seed) for y in factors.T]
    entropies = [entropy(np.unique(factor, return_counts=True)[1]) for factor in factors.T]
    return np.asarray(rows) / np.asarray(entropies)[:, None]


def _explicitness(z: Floats, factors: Ints, discrete: bool) -> float:
    """Share of the cross-entropy of a uniform guess that the regression takes away, the mean over factors."""
    x = OneHotEncoder(sparse_output=False).fit_transform(z) if discrete else StandardScaler().fit_transform(z)
    found = []
    with threadpool_limits(1):  # sums in one order
        for y in factors.T:
            head = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=100, tol=1e-4)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # 100 steps are part of the definition
                answers = head.fit(x, y).predict_proba(x)
            before = np.log(len(head.classes_))
            found.append((before - log_loss(y, answers, labels=head.classes_)) / before)
    return float(np.mean(found))
