"""Cross-entropies between the views' scores for prototypes.

SwAV: Caron et al., 2020, arXiv 2006.09882; DINO: Caron et al., 2021, arXiv 2104.14294.
"""

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


def self_distillation(
    student1: Tensor,
    student2: Tensor,
    teacher1: Tensor,
    teacher2: Tensor,
    center: Tensor | float = 0.0,
    temperature: float = 0.1,
    teacher_temperature: float = 0.04,
    *,
    gather: Gather | None = None,
) -> Tensor:
    """The student's softmax of each view learns the teacher's of the other: mean cross-entropy (DINO, eq. 3).

    student1, student2, teacher1, teacher2: [B, K], scores of the views; the teacher's get no gradient. center: [K],
    subtracted from the teacher's scores against collapse to one prototype.

    Raises:
        ValueError: shapes differ or aren't [B, K], a temperature <= 0.
    """
    check_matrix("student1", student1)
    check_same_shape(student1=student1, student2=student2, teacher1=teacher1, teacher2=teacher2)
    check_positive(temperature=temperature, teacher_temperature=teacher_temperature)
    students = prepare(student1, student2, gather=gather)
    teachers = prepare(teacher1.detach(), teacher2.detach(), gather=gather)
    p1, p2 = (((scores - center) / teacher_temperature).softmax(1) for scores in teachers)
    log_p1, log_p2 = ((scores / temperature).log_softmax(1) for scores in students)
    return -((p1 * log_p2).sum(1) + (p2 * log_p1).sum(1)).mean() / 2
