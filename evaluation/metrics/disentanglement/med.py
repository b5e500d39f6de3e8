"""MED: DCI of mutual information instead of trees, which codes of any width can pay for."""

from typing import Any

import numpy as np

from disentangle_bench.evaluation.metrics.disentanglement.checks import Floats, Ints, at_least_two, codes_and_factors
from disentangle_bench.evaluation.metrics.disentanglement.dci import dci_from_importance
from disentangle_bench.evaluation.metrics.disentanglement.mig import mutual_information


def med(z: Any, factors: Any, *, bins: int = 20, top: int = 1) -> dict[str, float]:
    """Disentanglement and completeness of the matrix of mutual information, and of its best codes (Cao et al. 2022).

    Information is counted with each code cut in `bins` of equal width; every factor's column is made to sum to 1. The
    `top` scores are of the codes that `best_codes` picks, so that unused ones of a wide representation don't count.

    Args:
        z: [N, D].
        factors: int [N, F].
        bins: of each code.
        top: codes a factor.

    Returns:
        disentanglement, completeness, top_disentanglement, top_completeness, top_codes: how many were picked.
    """
    z, factors = codes_and_factors(z, factors, "z", "factors", learn=True)
    at_least_two(z, "codes")
    at_least_two(factors, "factors")
    importance = information_shares(z, factors, bins=bins)
    scores = dci_from_importance(importance)
    picked = best_codes(importance, scores["per_code"], top)
    best = dci_from_importance(importance[picked])
    return {
        "disentanglement": float(scores["disentanglement"]),
        "completeness": float(scores["completeness"]),
        "top_disentanglement": float(best["disentanglement"]),
        "top_completeness": float(best["completeness"]),
        "top_codes": float(len(picked)),
    }


def information_shares(z: Floats, factors: Ints, *, bins: int = 20) -> Floats:
    """Share of each code in the information on a factor, [D, F]; columns sum to 1, or are 0 where there is none."""
    information = mutual_information(z, factors, bins=bins)
    total = information.sum(axis=0)
    return information / np.where(total > 0, total, 1)


def best_codes(importance: Floats, per_code: Floats, top: int) -> Ints:
    """Sorted positions of at most `top` codes a factor.

    By falling disentanglement, each code goes to the factor that it is most important for, until that has `top`. A
    factor for which no code is the most important gets none.
    """
    owners, picked = importance.argmax(axis=1), []
    held = np.zeros(importance.shape[1], dtype=int)
    for code in np.argsort(-per_code, kind="stable"):
        if held[owners[code]] < top:
            held[owners[code]] += 1
            picked.append(code)
    return np.sort(np.asarray(picked, dtype=np.int64))
