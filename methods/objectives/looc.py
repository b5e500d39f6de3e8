"""Leave-one-out contrastive learning (LooC: Xiao et al., ICLR 2021, arXiv 2008.05659).

Space 0 is to ignore all augmentations, space s all but the s-th. The authors have published no code. `looc` is the
form of the style-blocks paper's own comparison (2311.08815), decoupled and within a batch; `looc_queue` the formula of
LooC's paper, with stored negatives.

Differs from the code of that comparison, which is wrong in three places: the negatives' term is added (there: taken
away, which draws images together); space s is aligned with the key that shares the s-th augmentation (there: with the
one before it); the constraint of space 0 is 0 for views that are alike (there: -2 t ln(V-1)).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import check_matrix, check_positive, check_same_shape, matmul, prepare


class LeaveOneOut(NamedTuple):
    """loss = mean over the S spaces of weights * alignment + repulsion."""

    loss: Tensor  # scalar
    alignment: Tensor  # [S], p_s
    repulsion: Tensor  # [S], n_s

    def constraints(self, views: int, temperature: float) -> Tensor:
        """Misalignment of each space, [S]: 0 where aligned views are identical. `views`: V, the views an image."""
        best = self.alignment.detach() * temperature
        best[0] += temperature * math.log(views - 1)
        return best + 1


def looc(
    views: Sequence[Tensor],
    blocks: Sequence[slice],
    *,
    weights: Sequence[float] | None = None,
    temperature: float = 0.15,
    gather: Gather | None = None,
) -> LeaveOneOut:
    """LooC within a batch: query, key 0 (all redrawn), key s (the query's parameters for augmentation s); S + 1 views.

    E = exp(cosine / t) in one space, over all rows of all views. Space 0: p = -mean ln (sum of E with the image's other
    views), n = mean ln (sum of E with other images). Space s: p = -mean cosine / t of query and key s, n = mean
    ln (sum of E with all rows but that pair and the row itself): the image's other views are negatives.

    views: S+1 tensors [B, D], B >= 2, any scale: each block of columns is normalised here. weights: S numbers, 1 each.

    Raises:
        ValueError: shapes differ, B < 2, other counts of views or weights than of blocks, temperature <= 0.
    """
    check_matrix("view 0", views[0], min_rows=2)
    check_same_shape(**{f"view {number}": view for number, view in enumerate(views)})
    check_positive(temperature=temperature)
    if len(views) != len(blocks) + 1:
        raise ValueError(f"{len(views)} views but {len(blocks)} blocks: one view more than blocks is needed")
    scales = [1.0] * len(blocks) if weights is None else list(weights)
    if len(scales) != len(blocks):
        raise ValueError(f"{len(scales)} weights but {len(blocks)} blocks")
    codes = torch.stack(prepare(*views, gather=gather))  # [V, B, D]
    terms = [_space(normalize(codes[..., block], dim=2), number, temperature) for number, block in enumerate(blocks)]
    alignment, repulsion = (torch.stack(parts) for parts in zip(*terms, strict=True))
    weighted = torch.stack([scale * part for scale, part in zip(scales, alignment, strict=True)])
    return LeaveOneOut((weighted + repulsion).mean(), alignment, repulsion)


def _space(codes: Tensor, number: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Alignment p and repulsion n, scalars, of space `number`, for its unit rows [V, B, d] (see `looc`)."""
    count, size, _ = codes.shape
    rows = codes.flatten(0, 1)
    logits = matmul(rows, rows.T) / temperature
    same = logits.view(count, size, count, size).diagonal(dim1=1, dim2=3)  # [V, V, B]: of one image, in place
    if number == 0:
        others = same.clone()
        others.diagonal(dim1=0, dim2=1).fill_(-torch.inf)
        alignment = -others.logsumexp(1).mean()
        same.fill_(-torch.inf)
    else:
        key = number + 1
        alignment = -same[0, key].mean()
        same.diagonal(dim1=0, dim2=1).fill_(-torch.inf)
        same[0, key].fill_(-torch.inf)
        same[key, 0].fill_(-torch.inf)
    return alignment, logits.logsumexp(1).mean()


def looc_queue(query: Tensor, keys: Tensor, negatives: Tensor, temperature: float = 0.2) -> Tensor:
    """The paper's form: in each space, queries against keys and stored negatives, both without gradient.

    -1/S mean [ sum_v ln E_0v / (E_0v + N_0) + sum_s ln E_ss / (sum_v E_sv + N_s) ], E_sv = exp(query . key v / t) and
    N_s = sum of exp(query . negative / t) in space s. A mean over the images of one process: nothing is pooled.

    query: [B, S, d]; keys: [B, S views, S spaces, d], view 0 with everything redrawn; negatives: [K, S, d]. Unit rows.

    Raises:
        ValueError: shapes don't fit, temperature <= 0.
    """
    size, spaces, dim = query.shape
    if keys.shape != (size, spaces, spaces, dim) or negatives.shape[1:] != (spaces, dim):
        raise ValueError(
            f"query is {list(query.shape)} but keys is {list(keys.shape)} and negatives {list(negatives.shape)}"
        )
    check_positive(temperature=temperature)
    query, keys, negatives = prepare(query, keys.detach(), negatives.detach())
    with torch.autocast(query.device.type, enabled=False):
        e = torch.einsum("bsd,bvsd->bsv", query, keys) / temperature
        n = torch.einsum("bsd,ksd->bsk", query, negatives).div(temperature).logsumexp(2)  # [B, S]
    invariant = (e[:, 0] - torch.logaddexp(e[:, 0], n[:, :1])).sum(1)
    own = e[:, 1:].diagonal(offset=1, dim1=1, dim2=2)  # [B, S-1]: key s in space s
    kept = (own - torch.logaddexp(e[:, 1:].logsumexp(2), n[:, 1:])).sum(1)
    return -(invariant + kept).mean() / spaces
