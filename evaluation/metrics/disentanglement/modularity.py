"""Modularity of single codes, explicitness of all of them."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics.disentanglement.checks import Floats, Ints, at_least_two, both_splits
from disentangle_bench.evaluation.metrics.disentanglement.mig import mutual_information
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


def modularity_explicitness(
    train_z: Any, train_factors: Any, test_z: Any, test_factors: Any, *, bins: int = 20
) -> dict[str, float]:
    """Modularity and explicitness (Ridgeway & Mozer 2018).

    Modularity: mean over codes of 1 - (sum of the other factors' squared mutual information) / (the largest squared
    one x (F - 1)), from the training points; a code without information counts 0, pure noise does not score 0.
    Explicitness: one logistic regression a factor on all codes (standardised, constant ones dropped; scikit-learn's
    defaults); area under the ROC of each value against the rest, mean over values, then over factors. A value that
    all or none of the points have has no such area and is left out.

    Returns:
        modularity: in [0, 1]; explicitness_train, explicitness_test: in [0, 1], 0.5 is chance.

    Raises:
        MetricUndefined: also if no value of a factor has an area.
    """
    train_z, train_factors, test_z, test_factors = both_splits(train_z, train_factors, test_z, test_factors)
    at_least_two(train_factors, "factors")
    square = mutual_information(train_z, train_factors, bins=bins) ** 2
    largest = square.max(axis=1)
    others = (square.sum(axis=1) - largest) / (square.shape[1] - 1)
    per_code = np.where(largest > 0, 1 - others / np.where(largest > 0, largest, 1.0), 0.0)
    varying = np.ptp(train_z, axis=0) > 0
    mean, std = train_z[:, varying].mean(axis=0), train_z[:, varying].std(axis=0)
    train_x, test_x = ((z[:, varying] - mean) / std for z in (train_z, test_z))
    areas = np.zeros((2, train_factors.shape[1]))
    with threadpool_limits(1), warnings.catch_warnings():  # sums in one order
        warnings.simplefilter("ignore", ConvergenceWarning)  # the library's 100 iterations are part of the score
        for j, (train_y, test_y) in enumerate(zip(train_factors.T, test_factors.T, strict=True)):
            model = LogisticRegression().fit(train_x, train_y)
            areas[:, j] = _area(model, train_x, train_y, j), _area(model, test_x, test_y, j)
    return {
        "modularity": float(per_code.mean()),
        "explicitness_train": float(areas[0].mean()),
        "explicitness_test": float(areas[1].mean()),
    }


def _area(model: LogisticRegression, x: Floats, y: Ints, factor: int) -> float:
    probability = model.predict_proba(x)
    hits = [y == value for value in model.classes_]
    areas = [roc_auc_score(hit, p) for hit, p in zip(hits, probability.T, strict=True) if 0 < hit.sum() < len(y)]
    if not areas:
        raise MetricUndefined(f"explicitness: the points have one value of factor {factor}, or none of the known ones")
    return float(np.mean(areas))
