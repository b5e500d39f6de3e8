"""The MixUp variant of IP-IRM's minimisation step (Wang et al., NeurIPS 2021, arXiv 2110.15255, table 2).

Anchors are mixed images, share_i * image i + (1 - share_i) * image partner_i, both of one subset; the candidates are
the plain images' other views, so that logits are B x B, one direction only, without negatives inside a view.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import (
    check_matrix,
    check_positive,
    check_rows,
    check_same_shape,
    matmul,
    prepare,
    upload,
)
from disentangle_bench.methods.objectives.ip_irm.subsets import pooled_on_host, subset_rows


def mixed_invariant_loss(
    mixed: Tensor,
    plain: Tensor,
    partner: Tensor,
    share: Tensor,
    assignment: Tensor,
    *,
    num_subsets: int = 2,
    temperature: float = 0.2,
    irm_temperature: float = 0.5,
    gather: Gather | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and mean penalty over the subsets of one partition; those with one image count as 0.

    Deviations from the authors' code: `share` weighs the anchor's own two cross-entropies (there: its mean over the
    batch, which is the same as giving every anchor that mean); the penalty's dummy weights belong to the positive and
    the negatives in order, as without MixUp (there: to the candidates, so that a positive has another one each time).

    mixed, plain: [B, d], unit rows. partner: int64 [B], rows of the pooled batch, in the anchor's own subset.
    share: [B] in [0, 1]. assignment: int64 [B] in [0, num_subsets). Partner and assignment may lie on the processor,
    whatever the device of the codes: it isn't waited for then.

    Raises:
        ValueError: shapes differ, a partner of another subset, temperature <= 0.
    """
    check_matrix("mixed", mixed)
    check_same_shape(mixed=mixed, plain=plain)
    check_positive(temperature=temperature, irm_temperature=irm_temperature)
    for name, rows in {"partner": partner, "share": share, "assignment": assignment}.items():
        check_rows("mixed", mixed, name, rows)
    assignment, partner = pooled_on_host([assignment, partner], mixed.device, gather)
    if bool((assignment[partner] != assignment).any()):
        raise ValueError("a partner lies in another subset than its anchor")
    order, sizes = subset_rows(assignment, num_subsets)
    place = torch.cat([torch.arange(size) for size in sizes])  # of each row of `order` within its subset
    others = place[order.argsort()][partner[order]]
    mixed, plain, share = prepare(mixed, plain, share, gather=gather)
    table = upload(torch.stack([order, place, others]), mixed.device)
    losses, penalties = [], []
    for rows, own, other in (part.unbind() for part in table.split(sizes, 1)):
        if len(rows) == 0:
            continue
        similarity = matmul(mixed[rows], plain[rows].T)
        loss = column = similarity.new_zeros(())
        for target, part in ((own, share[rows]), (other, 1 - share[rows])):
            loss = loss + (part * cross_entropy(similarity / temperature, target, reduction="none")).mean()
            column = column + _column_gradients(similarity / irm_temperature, target, part)
        losses.append(loss)
        penalties.append(column.square().sum())
    return torch.stack(losses).mean(), torch.stack(penalties).mean()


def draw_partners(assignment: Tensor, generator: torch.Generator) -> Tensor:
    """A random partner for each image, int64 [B] like `assignment` on the processor: a permutation in each subset."""
    noise = torch.rand(len(assignment), generator=generator)
    by_subset = assignment.argsort(stable=True)
    shuffled = noise.argsort()
    shuffled = shuffled[assignment[shuffled].argsort(stable=True)]
    return torch.empty_like(by_subset).index_copy(0, by_subset, shuffled)


def _column_gradients(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """d/dw of mean_i weight_i CE(w * [positive, negatives by increasing image]) at w = 1, one a column: [B]."""
    column = torch.arange(logits.shape[1], device=logits.device).expand_as(logits)
    positive_first = torch.where(column == target[:, None], -1, column).argsort(1)
    laid_out = logits.gather(1, positive_first)
    gradient = laid_out.softmax(1) * laid_out
    gradient = torch.cat([gradient[:, :1] - laid_out[:, :1], gradient[:, 1:]], 1)
    return (weight[:, None] * gradient).mean(0)
