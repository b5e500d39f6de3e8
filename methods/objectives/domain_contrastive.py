"""Domain-wise contrastive objective, DCoDR (Kahana & Hoshen, ECCV 2022, arXiv 2203.11284).

Differs from the authors' code: all other images of the domain are negatives, by a mask; there a random subset is
drawn where domains have unequal counts, and one image in a domain is an error. Where counts are equal both agree.
An image that comes twice in a batch (small domains are filled up so; there they are short) is not its own negative.
"""

import torch
from torch import Tensor

from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import check_matrix, check_positive, check_rows, matmul, prepare


def domain_info_nce(
    codes: Tensor,
    positives: Tensor,
    domains: Tensor,
    temperature: float = 0.2,
    *,
    index: Tensor | None = None,
    gather: Gather | None = None,
) -> Tensor:
    """InfoNCE whose negatives are the other images of the same domain (2203.11284, the domain-wise loss).

    L_i = logsumexp([negatives, positives] / temperature) - logsumexp(positives / temperature), mean over i.

    codes: [B, d] of the unaugmented images; positives: [B, P, d] of P augmentations of each; unit rows (never
    normalised here). domains: int [B]. index: int [B], which image each row is of: rows of the same image are no
    negatives of each other; without it every row is an image of its own. An image alone in its domain has loss 0. All
    domains equal: no restriction.

    Raises:
        ValueError: shapes differ, P = 0, temperature <= 0.
    """
    check_matrix("codes", codes)
    check_rows("codes", codes, "positives", positives, ndim=3)
    if positives.shape[1] == 0 or positives.shape[2] != codes.shape[1]:
        raise ValueError(f"codes is {list(codes.shape)} but positives is {list(positives.shape)}: [B, P, d], P >= 1")
    check_rows("codes", codes, "domains", domains)
    if index is not None:
        check_rows("codes", codes, "index", index)
        (index,) = prepare(index, gather=gather)
    check_positive(temperature=temperature)
    codes, positives, domains = prepare(codes, positives, domains, gather=gather)
    positive = (positives * codes[:, None]).sum(2) / temperature
    negative = matmul(codes, codes.T) / temperature
    excluded = domains[:, None] != domains
    if index is not None:
        excluded |= index[:, None] == index
    excluded.fill_diagonal_(True)
    negative.masked_fill_(excluded, -torch.inf)
    return (torch.cat([positive, negative], 1).logsumexp(1) - positive.logsumexp(1)).mean()
