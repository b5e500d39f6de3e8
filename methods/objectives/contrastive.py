"""Two-view objectives: InfoNCE, over a batch or a queue, Barlow Twins, VICReg, prediction of the other view.

Where they differ from the first publication's code: VICReg's covariance term is averaged over the branches,
as its variance term is (the original code adds the two branches up).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torch.utils.checkpoint import checkpoint

from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import check_matrix, check_positive, check_same_shape, matmul, prepare

AT_ONCE = 8192**2
"""Entries of a matrix that are held at once: 0.27 GB in float32, of which the backward pass needs three or four."""


def info_nce(z1: Tensor, z2: Tensor, temperature: float = 0.5, *, gather: Gather | None = None) -> Tensor:
    """NT-Xent: 2B anchors, each with its other view as positive and 2B-2 negatives (SimCLR, 2002.05709, eq. 1).

    z1, z2: [B, d], unit rows (never normalised here). One image has no negatives: 0, still in the graph.

    Raises:
        ValueError: shapes differ or aren't [B, d], temperature <= 0.
    """
    check_matrix("z1", z1)
    check_same_shape(z1=z1, z2=z2)
    check_positive(temperature=temperature)
    z1, z2 = prepare(z1, z2, gather=gather)
    z = torch.cat([z1, z2])

    def terms(rows: slice) -> Tensor:
        logits = matmul(z[rows], z.T) / temperature
        logits.diagonal(rows.start).fill_(-torch.inf)  # in place: no mask and no second copy of the matrix
        # Both diagonals, rather than the row-wise product again: one image gives 0 exactly.
        positive = torch.cat([logits.diagonal(rows.start + len(z1)), logits.diagonal(rows.start - len(z1))])
        return logits.logsumexp(1) - positive

    return by_rows(terms, len(z), len(z)).mean()


def momentum_info_nce(query: Tensor, key: Tensor, negatives: Tensor, temperature: float = 0.2) -> Tensor:
    """InfoNCE of queries against their keys and stored codes (MoCo, 1911.05722, eq. 1); keys get no gradient.

    query, key: [B, d], negatives: [K, d], all unit rows. A mean over the images of one process: nothing is pooled.

    Raises:
        ValueError: shapes differ or aren't [B, d], temperature <= 0.
    """
    check_matrix("query", query)
    check_same_shape(query=query, key=key)
    check_matrix("negatives", negatives)
    if negatives.shape[1] != query.shape[1]:
        raise ValueError(f"query is {list(query.shape)} but negatives is {list(negatives.shape)}")
    check_positive(temperature=temperature)
    query, key, negatives = prepare(query, key.detach(), negatives.detach())
    positive = (query * key).sum(1, keepdim=True)
    logits = torch.cat([positive, matmul(query, negatives.T)], 1) / temperature
    return (logits.logsumexp(1) - logits[:, 0]).mean()


def negative_cosine(prediction: Tensor, target: Tensor, *, gather: Gather | None = None) -> Tensor:
    """Negative mean cosine similarity of predictions and targets, which get no gradient (SimSiam, 2011.10566, eq. 1).

    prediction, target: [B, d], any scale. BYOL's squared distance of unit rows (2006.07733, eq. 2) is 2 + 2 times this.

    Raises:
        ValueError: shapes differ or aren't [B, d].
    """
    check_matrix("prediction", prediction)
    check_same_shape(prediction=prediction, target=target)
    prediction, target = prepare(prediction, target.detach(), gather=gather)
    return -cosine_similarity(prediction, target, dim=1).mean()


def barlow_twins(
    z1: Tensor, z2: Tensor, off_diagonal_weight: float = 0.0051, *, gather: Gather | None = None
) -> Tensor:
    """Cross-correlation of the views towards the identity (Barlow Twins, 2103.03230, eq. 1).

    z1, z2: [B, d], any scale; standardised over the batch here (biased variance, eps 1e-5). Sums, not means, over d.

    Raises:
        ValueError: shapes differ or aren't [B, d].
    """
    check_matrix("z1", z1)
    check_same_shape(z1=z1, z2=z2)
    z1, z2 = (_standardised(z) for z in prepare(z1, z2, gather=gather))
    correlation = matmul(z1.T, z2) / len(z1)
    on_diagonal = (correlation.diagonal() - 1).square().sum()
    return on_diagonal + off_diagonal_weight * _off_diagonal_squares(correlation)


def vicreg(
    z1: Tensor,
    z2: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    *,
    gather: Gather | None = None,
) -> Tensor:
    """Mean squared distance of the views, plus each view's variance hinge and covariance (VICReg, 2105.04906, eq. 6).

    z1, z2: [B, d] with B >= 2, any scale. Variance and covariance terms are averaged over the two views.

    Raises:
        ValueError: shapes differ or aren't [B, d] with B >= 2.
    """
    check_matrix("z1", z1, min_rows=2)
    check_same_shape(z1=z1, z2=z2)
    z1, z2 = prepare(z1, z2, gather=gather)
    (hinge1, squares1), (hinge2, squares2) = variance_covariance(z1), variance_covariance(z2)
    distance = (z1 - z2).square().mean()
    return invariance * distance + variance * (hinge1 + hinge2) / 2 + covariance * (squares1 + squares2) / 2


def variance_covariance(z: Tensor) -> tuple[Tensor, Tensor]:
    """VICReg's two terms of one view z [B, d]: mean of relu(1 - sqrt(var + 1e-4)), off-diagonal cov^2 summed / d."""
    centred = z - z.mean(0)
    variance = centred.square().sum(0) / (len(z) - 1)
    hinge = (1 - (variance + 1e-4).sqrt()).relu().mean()
    covariance = matmul(centred.T, centred) / (len(z) - 1)
    return hinge, _off_diagonal_squares(covariance) / z.shape[1]


def _standardised(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    return centred / (centred.square().mean(0) + 1e-5).sqrt()


def _off_diagonal_squares(matrix: Tensor) -> Tensor:
    # The diagonal is blanked, not subtracted from the total: the total may be far larger than what is left.
    return matrix.clone().fill_diagonal_(0).square().sum()


def by_rows(terms: Callable[[slice], Tensor], rows: int, columns: int) -> Tensor:
    """One term for each row of a matrix of similarities [rows, columns]: [rows].

    A matrix of up to `AT_ONCE` entries is computed in one call of `terms`; a larger one in blocks of rows, which the
    backward pass recomputes instead of storing them (values then differ by rounding).

    Args:
        terms: function of a slice of rows that returns their terms.
        rows: number of rows.
        columns: number of columns.
    """
    if rows * columns <= AT_ONCE:
        return terms(slice(0, rows))
    size = max(1, AT_ONCE // columns)
    blocks = (slice(start, min(start + size, rows)) for start in range(0, rows, size))
    return torch.cat([checkpoint(terms, block, use_reentrant=False) for block in blocks])
