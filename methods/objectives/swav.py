"""Swapped prediction of cluster assignments (SwAV: Caron et al., 2020, arXiv 2006.09882)."""

import math

from torch import Tensor

from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import check_matrix, check_positive, check_same_shape, prepare


def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Soft assignments [B, K] that use all K prototypes equally: Sinkhorn-Knopp on exp(scores / epsilon) (eq. 3-5).

    scores: [B, K], cosines of codes and prototypes. Rows of the result sum to 1, columns to about B / K. Computed with
    logarithms, so that no epsilon overflows.

    Raises:
        ValueError: scores isn't [B, K], epsilon <= 0.
    """
    check_matrix("scores", scores)
    check_positive(epsilon=epsilon)
    (scores,) = prepare(scores)
    log_q = scores / epsilon
    for _ in range(iterations):
        log_q = log_q - log_q.logsumexp(0) - math.log(scores.shape[1])
        log_q = log_q - log_q.logsumexp(1, keepdim=True)
    return log_q.exp()


def swapped_prediction(
    scores1: Tensor,
    scores2: Tensor,
    temperature: float = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
    *,
    gather: Gather | None = None,
) -> Tensor:
    """Each view predicts the other's assignment: mean cross-entropy over both directions (eq. 2).

    scores1, scores2: [B, K], cosines of the views' codes and the prototypes. Assignments are constants.

    Raises:
        ValueError: shapes differ or aren't [B, K], temperature or epsilon <= 0.
    """
    check_matrix("scores1", scores1)
    check_same_shape(scores1=scores1, scores2=scores2)
    check_positive(temperature=temperature)
    scores1, scores2 = prepare(scores1, scores2, gather=gather)
    q1, q2 = (sinkhorn(scores.detach(), epsilon, iterations) for scores in (scores1, scores2))
    log_p1, log_p2 = ((scores / temperature).log_softmax(1) for scores in (scores1, scores2))
    return -((q1 * log_p2).sum(1) + (q2 * log_p1).sum(1)).mean() / 2
