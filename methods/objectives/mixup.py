"""The MixUp variant of IP-IRM's minimisation step (Wang et al., NeurIPS 2021, arXiv 2110.15255, table 2).

Anchors are mixed images, share_i * image i + (1 - share_i) * image partner_i, both of one subset; the candidates are
the plain images' other views, so that logits are B x B, one direction only, without negatives inside a view.
"""

from collections.abc import Callable, Sequence

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
from disentangle_bench.methods.objectives.ip_irm.layout import column_gradients
from disentangle_bench.methods.objectives.ip_irm.subsets import pooled_on_host, subset_rows


def mixed_loss(
    project: Callable[[Tensor], Tensor],
    view1: Tensor,
    view2: Tensor,
    assignments: Sequence[Tensor],
    *,
    generator: torch.Generator,
    rank: int = 0,
    num_subsets: int = 2,
    temperature: float = 0.2,
    irm_temperature: float = 0.2,
    penalty_weight: float = 0.2,
    keep_global: bool = True,
    sum_partitions: bool = False,
    gather: Gather | None = None,
) -> Tensor:
    """Minimisation step with anchors mixed anew inside the subsets of each partition, and inside the whole batch.

    Mean of the partitions' losses (their sum, with `sum_partitions`) + penalty_weight * that of their penalties (+ the
    whole batch's loss, if `keep_global`), all of it divided by penalty_weight where that is above 1. Without a
    partition: the whole batch's loss.

    project: images [B, C, H, W] to codes [B, d], unit rows. view1, view2: images of this process, which is number
    `rank` of those that `gather` pools. assignments: one int64 [B] a kept partition. generator: draws for all
    processes alike.
    """
    all_views, plain = view1 if gather is None else gather(view1), project(view2)
    own = slice(rank * len(view1), (rank + 1) * len(view1))

    def terms(assignment: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        partner = draw_partners(pooled, generator)[own]
        drawn = 0.5 + 0.5 * torch.rand(len(pooled), generator=generator)
        share = upload(drawn[own], view1.device)  # Beta(1, 1), the larger part being the anchor's own
        weight = share[:, None, None, None]
        mixed = project(weight * view1 + (1 - weight) * all_views[upload(partner, view1.device)])
        taus = {"temperature": temperature, "irm_temperature": irm_temperature}
        return mixed_invariant_loss(
            mixed, plain, partner, share, assignment, num_subsets=num_subsets, **taus, gather=gather
        )

    kept = len(assignments)
    if keep_global or not kept:
        assignments = [*assignments, torch.zeros(len(view1), dtype=torch.int64)]
    pooled = pooled_on_host(assignments, view1.device, gather)
    losses, penalties = zip(*map(terms, assignments, pooled), strict=True)
    if not kept:
        return losses[-1]
    loss = torch.stack(losses[:kept]).sum() + penalty_weight * torch.stack(penalties[:kept]).sum()
    loss = loss if sum_partitions else loss / kept
    if keep_global:
        loss = loss + losses[-1]
    return loss / max(penalty_weight, 1.0)


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
            column = column + _penalty_columns(similarity / irm_temperature, target, part)
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


def _penalty_columns(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """d/dw of mean_i weight_i CE(w * [positive, negatives by increasing image]) at w = 1, one a column: [B]."""
    column = torch.arange(logits.shape[1], device=logits.device).expand_as(logits)
    positive_first = torch.where(column == target[:, None], -1, column).argsort(1)
    return (weight[:, None] * column_gradients(logits.gather(1, positive_first))).mean(0)
