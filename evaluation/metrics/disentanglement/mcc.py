"""Mean correlation coefficient: does each factor, a number, have a code of its own?"""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from disentangle_bench.evaluation.metrics.arrays import Array, check_array, check_same_width
from disentangle_bench.evaluation.metrics.disentanglement.checks import Floats
from disentangle_bench.evaluation.metrics.errors import MetricUndefined


def mcc(z: Any, factors: Any, *, ranks: bool = False, held: tuple[Any, Any] | None = None) -> dict[str, float]:
    """Mean |correlation| over the one-to-one assignment of codes to factors with the largest sum.

    As in nonlinear ICA (Hyvarinen & Morioka 2016; Zimmermann et al. 2021). The best of many codes correlates with
    anything in a small sample: give codes that are wide the points `held` for scoring the assignment.

    Args:
        z: [N, D], D at least F.
        factors: numbers [N, F].
        ranks: correlation of ranks (Spearman's) instead of values (Pearson's).
        held: codes [M, D] and factors [M, F] on which the assignment found on `z` is scored; the same if not given.

    Returns:
        mcc: in [0, 1].
    """
    found = correlations(z, factors, ranks=ranks)
    if found.shape[0] > found.shape[1]:
        raise MetricUndefined(f"{found.shape[0]} factors can't each have one of {found.shape[1]} codes")
    rows, columns = linear_sum_assignment(found, maximize=True)
    scored = found if held is None else correlations(*held, ranks=ranks)
    if scored.shape != found.shape:
        raise ValueError(f"held has {scored.shape} factors and codes but {found.shape} were assigned")
    return {"mcc": float(scored[rows, columns].mean())}


def correlations(z: Any, factors: Any, *, ranks: bool = False) -> Floats:
    """|correlation| of each factor with each code, [F, D]; 0 where one of them is constant."""
    z, factors = (check_array(a, name).astype(np.float64) for a, name in ((z, "z"), (factors, "factors")))
    check_same_width(z.T, "z transposed", factors.T, "factors transposed")
    z, factors = (_standardized(rankdata(a, axis=0) if ranks else a) for a in (z, factors))
    return np.minimum(np.abs(factors.T @ z) / len(z), 1)


def _standardized(values: Array) -> Array:
    centred = values - values.mean(axis=0)
    # as np.corrcoef: what is constant may keep a rest of rounding, which is no variation
    deviation = np.where(np.ptp(values, axis=0) > 0, centred.std(axis=0), np.inf)
    return centred / np.where(deviation > 0, deviation, np.inf)
