"""Contrastive clustering (CC: Li et al., AAAI 2021, arXiv 2009.09687): InfoNCE between columns of the assignments.

The instance loss is `contrastive.info_nce`. Differs from the authors' code: a cluster that no image has adds nothing to
the entropy (there: NaN).
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from disentangle_bench.methods.objectives.contrastive import info_nce
from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import check_matrix, check_same_shape, prepare


def cluster_info_nce(p1: Tensor, p2: Tensor, temperature: float = 1.0, *, gather: Gather | None = None) -> Tensor:
    """InfoNCE of the 2K columns of both views' assignments; positives: the same cluster in the other view (eq. 6).

    p1, p2: [B, K], probabilities; rows sum to 1. Columns are compared by their cosine.

    Raises:
        ValueError: shapes differ or aren't [B, K], temperature <= 0.
    """
    check_matrix("p1", p1)
    check_same_shape(p1=p1, p2=p2)
    p1, p2 = prepare(p1, p2, gather=gather)
    return info_nce(normalize(p1.T, dim=1), normalize(p2.T, dim=1), temperature)


def imbalance(p: Tensor, *, gather: Gather | None = None) -> Tensor:
    """Ln K minus the entropy of the mean assignment: 0 where all K clusters are used equally (below eq. 6).

    p: [B, K], probabilities; rows sum to 1.

    Raises:
        ValueError: p isn't [B, K].
    """
    check_matrix("p", p)
    (p,) = prepare(p, gather=gather)
    share = p.sum(0) / p.sum()
    # The smallest number instead of 0 inside the logarithm: 0 ln 0 is 0, but its gradient isn't finite.
    return math.log(p.shape[1]) + (share * share.clamp(min=torch.finfo(p.dtype).tiny).log()).sum()
