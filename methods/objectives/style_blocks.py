"""Style blocks: one content block and M style blocks (Eastwood et al., 2023, arXiv 2311.08815).

Views of B images: the query and M+1 keys; key 0 is drawn anew, key m shares the query's parameters of augmentation
group m. Block 0 is the content; block m is aligned between the query and key m only.

Left out of the authors' code: interleaved views (two views a batch, key type by row), the plain decoupled SimCLR
and the plain VICReg with trimming.
Differs from it: `trim` leaves out nothing where its count is 0 (there: everything, a NaN); VICReg's trim leaves out
the worst images (there: errors are sorted along features and the last images of the batch left out); variances are
computed in the inputs' precision (there: always float32); fractions need to sum to 1 within a tolerance (there:
exactly, in one place).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from disentangle_bench.methods.objectives.contrastive import by_rows, variance_covariance
from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import check_matrix, check_positive, check_same_shape, matmul, prepare


class StyleLoss(NamedTuple):
    """The loss and its parts: loss = sum_m weights_m * alignment_m / (M+1) + entropy."""

    loss: Tensor  # scalar
    # [M+1]: A_m, before weights; the constraint is A_m * temperature + 1, or A_m in VICReg's form
    alignment: Tensor
    entropy: Tensor  # scalar


def block_slices(dim: int, fractions: Sequence[float]) -> list[slice]:
    """Contiguous blocks of `dim` columns: trunc(dim * fraction) each, what is left goes to block 0.

    Truncates the floating-point product, as the authors' code does: 100 * 0.29 gives 28.

    Raises:
        ValueError: fractions don't sum to 1 (within 1e-6), or leave a block without a column.
    """
    if abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions {list(fractions)} sum to {sum(fractions)} but must sum to 1")
    sizes = [int(dim * fraction) for fraction in fractions]
    sizes[0] += dim - sum(sizes)
    if min(sizes) < 1:
        raise ValueError(f"{dim} columns cut by {list(fractions)} give blocks of {sizes}: each needs one at least")
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def style_info_nce(
    query: Tensor,
    keys: Sequence[Tensor],
    blocks: Sequence[slice],
    *,
    weights: Tensor | Sequence[float] | None = None,
    temperature: float = 0.15,
    all_keys_for_content: bool = False,
    content_negatives: bool = False,
    trim: float = 0.0,
    gather: Gather | None = None,
) -> StyleLoss:
    """SimCLR form (2311.08815): blocks aligned one by one, spread out together; decoupled.

    A_m = -mean <query, key_m> / temperature on block m. Entropy: mean over all (M+2)B rows of log-sum-exp of the
    joint vectors' similarities / temperature with the views of *other* images.

    query: [B, D] with B >= 2, keys: M+1 tensors [B, D], any scale: every block is normalised here, and the joint
    vector divided by sqrt(M+1). weights: M+1 numbers, 1 each by default.
    all_keys_for_content: A_0 is the mean over all keys. content_negatives: adds the entropy of the content block
    as it stands in the joint vector (norm 1/sqrt(M+1)). trim: the floor(trim * B) worst terms of each mean in A_m
    are left out.

    Raises:
        ValueError: shapes differ, B < 2, as many keys or weights as blocks aren't given, temperature <= 0, trim
            outside [0, 1).
    """
    check_positive(temperature=temperature)
    views, scales = _checked(query, keys, blocks, weights, trim, gather, default_weight=1.0)
    # [view][block]
    split = [[F.normalize(view[:, block], dim=1) for block in blocks] for view in views]

    def misalignment(a: Tensor, b: Tensor) -> Tensor:
        return -(a * b).sum(1) / temperature

    alignment = _alignment(split, misalignment, all_keys_for_content, trim)
    norm = math.sqrt(len(blocks))
    entropy = _other_images(torch.stack([torch.cat(view, 1) for view in split]) / norm, temperature)
    if content_negatives:
        entropy = entropy + _other_images(torch.stack([view[0] for view in split]) / norm, temperature)
    return StyleLoss((scales * alignment).mean() + entropy, alignment, entropy)


def style_vicreg(
    query: Tensor,
    keys: Sequence[Tensor],
    blocks: Sequence[slice],
    *,
    weights: Tensor | Sequence[float] | None = None,
    variance: float = 25.0,
    covariance: float = 1.0,
    all_keys_for_content: bool = False,
    content_negatives: bool = False,
    trim: float = 0.0,
    gather: Gather | None = None,
) -> StyleLoss:
    """VICReg form (2311.08815): A_m = mean squared distance of query and key_m on block m, not normalised.

    Entropy: variance * hinge + covariance * off-diagonal squares of each view's joint vector, averaged over the
    M+2 views; with `content_negatives` also of its content block. Arguments as in `style_info_nce`; weights are
    25 each by default.

    Raises:
        ValueError: shapes differ, B < 2, as many keys or weights as blocks aren't given, trim outside [0, 1).
    """
    views, scales = _checked(query, keys, blocks, weights, trim, gather, default_weight=25.0)
    split = [[view[:, block] for block in blocks] for view in views]

    def misalignment(a: Tensor, b: Tensor) -> Tensor:
        return (a - b).square().mean(1)

    alignment = _alignment(split, misalignment, all_keys_for_content, trim)
    spread = [torch.cat(view, 1) for view in split]
    if content_negatives:
        spread += [view[0] for view in split]
    terms = [variance_covariance(z) for z in spread]
    entropy = torch.stack([variance * hinge + covariance * squares for hinge, squares in terms]).sum() / len(views)
    return StyleLoss((scales * alignment).mean() + entropy, alignment, entropy)


def update_weights(weights: Tensor, constraints: Tensor, lr: float, tolerance: float) -> Tensor:
    """One step of dual ascent: relu(weights + lr * (constraints - tolerance)) (2311.08815), detached.

    weights, constraints: [M+1]. A constraint is 0 at perfect alignment (see StyleLoss). The authors' runs use each
    process's own constraints, so that weights drift apart between ranks; average them over ranks before.

    Raises:
        ValueError: shapes differ.
    """
    check_same_shape(weights=weights, constraints=constraints)
    return (weights + lr * (constraints - tolerance)).relu().detach()


def _checked(
    query: Tensor,
    keys: Sequence[Tensor],
    blocks: Sequence[slice],
    weights: Tensor | Sequence[float] | None,
    trim: float,
    gather: Gather | None,
    default_weight: float,
) -> tuple[list[Tensor], Tensor]:
    """The views, query first, and the weights [M+1]."""
    check_matrix("query", query, min_rows=2)
    check_same_shape(query=query, **{f"key {i}": key for i, key in enumerate(keys)})
    if len(keys) != len(blocks):
        raise ValueError(f"{len(keys)} keys but {len(blocks)} blocks: block m needs key m")
    if not 0 <= trim < 1:
        raise ValueError(f"trim is {trim} but must be in [0, 1)")
    views = prepare(query, *keys, gather=gather)
    scales = torch.as_tensor([default_weight] * len(blocks) if weights is None else weights).to(views[0])
    if scales.shape != (len(blocks),):
        raise ValueError(f"weights is {list(scales.shape)} but there are {len(blocks)} blocks")
    return views, scales


def _alignment(
    split: list[list[Tensor]],
    misalignment: Callable[[Tensor, Tensor], Tensor],
    all_keys_for_content: bool,
    trim: float,
) -> Tensor:
    """A_m of every block [M+1], from the per-image misalignment of query and key."""
    query, *keys = split

    def aligned(block: int, key: int) -> Tensor:
        terms = misalignment(query[block], keys[key][block])
        kept = len(terms) - int(trim * len(terms))
        return terms.sort().values[:kept].mean()

    content = [aligned(0, key) for key in range(len(keys) if all_keys_for_content else 1)]
    return torch.stack([torch.stack(content).mean(), *(aligned(m, m) for m in range(1, len(keys)))])


def _other_images(views: Tensor, temperature: float) -> Tensor:
    """Mean over all rows of [V, B, d] of log-sum-exp of their similarities with the views of other images."""
    count, size, _ = views.shape
    z = views.flatten(0, 1)
    own = size * torch.arange(count, device=z.device)

    def terms(rows: slice) -> Tensor:
        logits = matmul(z[rows], z.T) / temperature
        images = torch.arange(rows.start, rows.stop, device=z.device) % size
        logits.scatter_(1, images[:, None] + own, -torch.inf)  # in place: no mask, no copy
        return logits.logsumexp(1)

    return by_rows(terms, len(z), len(z)).mean()
