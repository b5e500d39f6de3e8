"""Contrastive clustering with a cluster-centre predictor (Sundareswaran et al., 2021, arXiv 2109.12714).

The instance loss is `contrastive.info_nce`. Cluster loss and target are those of deep embedded clustering (Xie et
al., 2016, 1511.06335, eq. 1-3), the target's column sums taken over the batch rather than the data set.
"""

import torch
from torch import Tensor

from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import check_matrix, check_positive, check_same_shape, prepare

SUM_EPS, LOG_EPS = 1e-9, 1e-8  # the authors' constants: in the target's column sums, and inside logarithms


def student_t_assignment(h: Tensor, centers: Tensor, alpha: float = 1.0) -> Tensor:
    """q_ik, proportional to (1 + |h_i - mu_k|^2 / alpha)^(-(alpha+1)/2), summing to 1 over k (1511.06335, eq. 1).

    h: [B, d] as they are, not normalised; centers: [K, d]. Returns [B, K].

    Raises:
        ValueError: h and centers differ in d, alpha <= 0.
    """
    check_matrix("h", h)
    check_matrix("centers", centers)
    if h.shape[1] != centers.shape[1]:
        raise ValueError(f"h is {list(h.shape)} but centers is {list(centers.shape)}")
    check_positive(alpha=alpha)
    h, centers = prepare(h, centers)
    # Exact distances: expanded into products they cancel close to a centre, and leave [B, K, d] out of memory.
    distance = torch.cdist(h, centers, compute_mode="donot_use_mm_for_euclid_dist")
    return (-(alpha + 1) / 2 * (distance.square() / alpha).log1p()).softmax(1)


def target_distribution(q: Tensor, *, gather: Gather | None = None) -> Tensor:
    """p_ik, proportional to q_ik^2 / sum_i q_ik, summing to 1 over k (1511.06335, eq. 3; 1e-9 in the sum).

    q: [B, K], rows sum to 1. Returns [B, K]; with `gather`, this rank's rows, by the column sums of all ranks.

    Raises:
        ValueError: q isn't [B, K].
    """
    check_matrix("q", q)
    (local,), (pooled,) = prepare(q), prepare(q, gather=gather)
    weight = local.square() / (pooled.sum(0) + SUM_EPS)
    return weight / weight.sum(1, keepdim=True)


def cluster_loss(q: Tensor, *, gather: Gather | None = None) -> Tensor:
    """KL(target || q) / B, the target a constant; 1e-8 inside q's logarithm only (1511.06335, eq. 2).

    q: [B, K], rows sum to 1.

    Raises:
        ValueError: q isn't [B, K].
    """
    check_matrix("q", q)
    (q,) = prepare(q, gather=gather)
    target = target_distribution(q).detach()
    return (torch.xlogy(target, target) - target * (q + LOG_EPS).log()).sum() / len(q)


def anchor_loss(q_view: Tensor, q_anchor: Tensor, *, gather: Gather | None = None) -> Tensor:
    """KL(anchor || view), a mean over the batch, the anchor a constant; 1e-8 in both logarithms (2109.12714).

    q_view, q_anchor: [B, K], assignments of an augmented view and of the clean one.

    Raises:
        ValueError: shapes differ or aren't [B, K].
    """
    check_matrix("q_view", q_view)
    check_same_shape(q_view=q_view, q_anchor=q_anchor)
    q_view, q_anchor = prepare(q_view, q_anchor.detach(), gather=gather)
    return (q_anchor * ((q_anchor + LOG_EPS).log() - (q_view + LOG_EPS).log())).sum(1).mean()
