"""The minimisation step: what the encoder learns from, given partitions (2110.15255, section 4, step 1)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from disentangle_bench.methods.objectives.contrastive import info_nce
from disentangle_bench.methods.objectives.gather import Gather
from disentangle_bench.methods.objectives.inputs import (
    check_matrix,
    check_positive,
    check_rows,
    check_same_shape,
    prepare,
)
from disentangle_bench.methods.objectives.ip_irm.layout import column_gradients, laid_out
from disentangle_bench.methods.objectives.ip_irm.subsets import pooled_on_host, split_by_subset


def irm_penalty(z1: Tensor, z2: Tensor, temperature: float = 0.5, *, gather: Gather | None = None) -> Tensor:
    """|| d/dw CE(w * logits) ||^2 at w = 1, one weight a logit column (2110.15255; IRMv1, 1907.02893).

    z1, z2: [B, d], unit rows (never normalised here). In closed form: sum_k g_k^2 with
    g_k = mean_i (softmax(l_i)_k - [k = 0]) l_ik. One image: 0. Depends on the order of the batch (see `layout`).

    Raises:
        ValueError: shapes differ or aren't [B, d], temperature <= 0.
    """
    check_matrix("z1", z1)
    check_same_shape(z1=z1, z2=z2)
    check_positive(temperature=temperature)
    z1, z2 = prepare(z1, z2, gather=gather)
    return _penalty(laid_out(z1, z2) / temperature)


def invariant_loss(
    z1: Tensor,
    z2: Tensor,
    assignments: Sequence[Tensor],
    *,
    num_subsets: int = 2,
    temperature: float = 0.5,
    irm_temperature: float = 0.5,
    penalty_weight: float = 0.2,
    keep_global: bool = True,
    gather: Gather | None = None,
) -> Tensor:
    """Minimisation step: InfoNCE and penalty inside each subset of each partition (2110.15255, section 4, step 1).

    mean InfoNCE (+ the whole batch's, if `keep_global`) + penalty_weight * mean penalty, all of it divided by
    penalty_weight where that is above 1.

    z1, z2: [B, d], unit rows. assignments: one int64 [B] a kept partition, values in [0, num_subsets).
    A subset with one image counts as 0 in both means; an empty one is left out of them. Assignments may lie on the
    processor, whatever the device of the codes: it isn't waited for then.

    Raises:
        ValueError: shapes differ, no partition, values out of range, temperature <= 0.
    """
    check_matrix("z1", z1)
    check_same_shape(z1=z1, z2=z2)
    check_positive(temperature=temperature, irm_temperature=irm_temperature)
    if not assignments:
        raise ValueError("assignments is empty but needs one kept partition at least")
    for assignment in assignments:
        check_rows("z1", z1, "assignment", assignment)
    pooled = pooled_on_host(assignments, z1.device, gather)
    z1, z2 = prepare(z1, z2, gather=gather)

    losses, penalties = [], []
    for subsets in split_by_subset(pooled, num_subsets, z1.device):
        for rows in subsets:
            similarity = laid_out(z1.index_select(0, rows), z2.index_select(0, rows))
            losses.append(_cross_entropy(similarity / temperature))
            penalties.append(_penalty(similarity / irm_temperature))

    loss = torch.stack(losses).mean() + penalty_weight * torch.stack(penalties).mean()
    if keep_global:
        loss = loss + info_nce(z1, z2, temperature)
    return loss / max(penalty_weight, 1.0)


def _cross_entropy(logits: Tensor) -> Tensor:
    return (logits.logsumexp(1) - logits[:, 0]).mean()


def _penalty(logits: Tensor) -> Tensor:
    return column_gradients(logits).mean(0).square().sum()
