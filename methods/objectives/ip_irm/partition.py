"""The maximisation step: the partition on which the loss varies most (2110.15255, section 4, step 2)."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from disentangle_bench.methods.objectives.gather import Gather, from_first
from disentangle_bench.methods.objectives.inputs import (
    check_matrix,
    check_positive,
    check_rows,
    check_same_shape,
    matmul,
    prepare,
)
from disentangle_bench.methods.objectives.ip_irm.layout import laid_out, without_own

BALANCED_ENTROPY = 0.6365  # nats of a 1/3 : 2/3 split; the paper's constant, also for more than two subsets
LEARNING_RATE, MILESTONES, DECAY = 0.5, (5, 35), 0.2  # of the maximisation step's Adam
MIN_EPOCHS, PATIENCE = 50, 5


def soft_info_nce(
    z1: Tensor, z2: Tensor, membership: Tensor, temperature: float = 0.5, *, gather: Gather | None = None
) -> Tensor:
    """InfoNCE of one subset with soft members (2110.15255, section 4, step 2; `v2` in the authors' code).

    An anchor's negatives have the weights of their images, scaled to average 1 over its negatives; the anchors'
    losses are averaged with the anchors' own weights.

    z1, z2: [B, d], unit rows. membership: [B] in (0, 1). A membership of exactly 0 counts as the smallest
    normal number, and gets no gradient; so a subset whose weight all sits on one image stays finite.

    Raises:
        ValueError: shapes differ or aren't [B, d] and [B], temperature <= 0.
    """
    check_matrix("z1", z1)
    check_same_shape(z1=z1, z2=z2)
    check_rows("z1", z1, "membership", membership)
    check_positive(temperature=temperature)
    z1, z2, membership = prepare(z1, z2, membership, gather=gather)
    membership = membership.clamp_min(torch.finfo(membership.dtype).tiny)

    size = len(z1)
    others = without_own(membership.log().expand(size, 1, size))
    log_weight = others.log_softmax(-1) + math.log(max(size - 1, 1))  # weights average 1, whatever their total
    log_weight = log_weight.expand(2, size, 2, size - 1).reshape(2 * size, -1)
    logits = laid_out(z1, z2) / temperature + F.pad(log_weight, (1, 0))  # the positive keeps weight 1
    losses = logits.logsumexp(1) - logits[:, 0]
    return (losses * membership.repeat(2)).sum() / (2 * membership.sum())


def partition_risk(
    z1: Tensor,
    z2: Tensor,
    logits: Tensor,
    *,
    temperature: float = 0.5,
    irm_temperature: float = 0.5,
    irm_weight: float = 0.5,
    balance: bool = True,
    gather: Gather | None = None,
) -> Tensor:
    """Risk of a soft partition, which the maximisation step minimises over its logits (2110.15255, section 4, step 2).

    -(mean over subsets of `soft_info_nce` + irm_weight * mean of its penalty, laid out as in `irm_penalty`), and with
    `balance` + relu(0.6365 - H(mean membership)), H in nats: no push until the split is worse than 2:1.

    z1, z2: [B, d], unit rows, taken as constants. logits: [B, K]; memberships are their softmax.

    Raises:
        ValueError: shapes differ or aren't [B, d] and [B, K], temperature <= 0.
    """
    check_matrix("z1", z1)
    check_same_shape(z1=z1, z2=z2)
    check_matrix("logits", logits)
    check_rows("z1", z1, "logits", logits, ndim=2)
    check_positive(temperature=temperature, irm_temperature=irm_temperature)
    z1, z2, logits = prepare(z1.detach(), z2.detach(), logits, gather=gather)
    z1, z2 = _wide_enough(z1, z2, min(temperature, irm_temperature))
    return _risk(z1, z2, logits, temperature, irm_temperature, irm_weight, balance, _scratch(z1, len(z1)))


@torch.inference_mode(False)
@torch.enable_grad()  # the optimiser needs gradients, also where the caller disabled them
def learn_partition(
    z1: Tensor,
    z2: Tensor,
    *,
    num_subsets: int = 2,
    irm_weight: float = 0.5,
    temperature: float = 0.5,
    irm_temperature: float = 0.5,
    balance: bool = True,
    batch_size: int = 3096,
    max_epochs: int = 61,
    generator: torch.Generator | None = None,
    init: Tensor | None = None,
    order: Tensor | None = None,
    progress: Callable[[int, float], None] | None = None,
    lr: float = LEARNING_RATE,
    milestones: Sequence[int] = MILESTONES,
    min_epochs: int = MIN_EPOCHS,
    redraw: Callable[[int], tuple[Tensor, Tensor]] | None = None,
    gather: Gather | None = None,
) -> Tensor:
    """Maximisation step: the partition on which the contrastive loss varies most (2110.15255, section 4, step 2).

    Adam (`lr`, x0.2 after the epochs `milestones`) on `partition_risk` over shuffled mini-batches, the last one
    possibly smaller; every step moves all rows, because Adam's momentum is dense. Ends after `max_epochs`, or once past
    epoch `min_epochs` with 5 epochs without a lower mean risk. As in the authors' code, what is kept are the logits
    *after* the epoch whose mean risk, each mini-batch's taken *before* its step, was lowest.

    z1, z2: [N, d], unit rows of the whole training split. Returns logits [N, num_subsets]; argmax is the partition.
    `init` [N, num_subsets] and `order` [epochs, N] replace what `generator` would draw; the epochs end with `order`'s
    rows. `progress(epoch, mean risk)` is called after each epoch. With `gather`, N counts the rows of all ranks, and
    every rank does the same work: their generators must be in the same state. `redraw(epoch)` gives z1 and z2 of other
    views for every epoch but the first.

    Raises:
        ValueError: shapes differ, batch_size or max_epochs < 1, a temperature <= 0, or no finite risk.
    """
    check_matrix("z1", z1)
    check_same_shape(z1=z1, z2=z2)
    check_positive(temperature=temperature, irm_temperature=irm_temperature)
    check_positive(batch_size=batch_size, max_epochs=max_epochs, num_subsets=num_subsets)
    z1, z2 = (z.detach() for z in prepare(z1, z2, gather=gather))
    device = "cpu" if generator is None else generator.device
    if init is None:
        init = torch.randn(len(z1), num_subsets, dtype=z1.dtype, device=device, generator=generator)
    if init.shape != (len(z1), num_subsets):
        raise ValueError(f"init is {list(init.shape)} but z1 has {len(z1)} rows and num_subsets is {num_subsets}")
    if order is not None and (order.ndim != 2 or order.shape[1] != len(z1)):
        raise ValueError(f"order is {list(order.shape)} but z1 is {list(z1.shape)}: it must be [epochs, {len(z1)}]")

    logits = init.detach().to(z1, copy=True).requires_grad_()
    z1, z2 = _wide_enough(z1, z2, min(temperature, irm_temperature))
    scratch = _scratch(z1, min(batch_size, len(z1)))
    optimizer = torch.optim.Adam([logits], lr=lr)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(milestones), DECAY)
    best, best_risk, best_epoch = None, math.inf, 0
    for epoch in range(max_epochs if order is None else min(max_epochs, len(order))):
        permutation = order[epoch] if order is not None else torch.randperm(len(z1), device=device, generator=generator)
        risks = []
        if redraw is not None and epoch:
            first, second = (z.detach().to(z1) for z in redraw(epoch))
            z1, z2 = _wide_enough(first, second, min(temperature, irm_temperature))
        for batch in permutation.to(z1.device).split(batch_size):
            risk = _risk(
                z1[batch], z2[batch], logits[batch], temperature, irm_temperature, irm_weight, balance, scratch
            )
            optimizer.zero_grad()
            risk.backward()
            optimizer.step()
            risks.append(risk.detach())
        schedule.step()
        # Processes differ by rounding; were one to stop an epoch before the others, those would wait for it for ever.
        mean_risk = from_first(torch.stack(risks).mean()).item()
        if progress is not None:
            progress(epoch, mean_risk)
        if mean_risk < best_risk:
            best, best_risk, best_epoch = logits.detach().clone(), mean_risk, epoch
        if epoch > min_epochs and epoch - best_epoch >= PATIENCE:
            break
    if best is None:
        raise ValueError("the risk was never finite: are all rows of z1 and z2 finite?")
    return best


# The soft subsets. Only memberships carry gradient, and they enter linearly once the exponentials are known: one
# constant 2B x 2B matrix of them serves all subsets, and autograd only sees its products with [K, 2B] matrices.


def _scratch(z: Tensor, size: int) -> list[Tensor]:
    """Memory for four matrices of up to `size` images: fresh pages every mini-batch would cost a third more time."""
    return [z.new_empty((2 * size) ** 2) for _ in range(4)]


def _wide_enough(z1: Tensor, z2: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """float64 where a row's exponentials may spread beyond what float32 holds (small temperatures, long rows)."""
    spread = 2 * max(z.square().sum(1).max().item() for z in (z1, z2)) / temperature
    return (z1.double(), z2.double()) if spread > 40 else (z1, z2)


def _risk(
    z1: Tensor,
    z2: Tensor,
    logits: Tensor,
    temperature: float,
    irm_temperature: float,
    irm_weight: float,
    balance: bool,
    scratch: list[Tensor],
) -> Tensor:
    """`partition_risk` of checked inputs. Its backward must run before `scratch` is used again.

    `soft_info_nce` is the readable form of one subset's loss: there the logits of each anchor's negatives carry the log
    of their weights; here one matrix of exponentials, its row's largest logit taken out, serves all subsets, whose
    weights multiply it: loss = sum_i share_i * (log(first_i + scale_i * sum_j weight_j * exp_ij) - log first_i).

    scratch: `similarity`, in which logits then stand (the penalty's, where temperatures differ), and their `exp`; for
    the loss's own temperature `other_logits` and `other_exp`; at last `other_logits` is a second one of the penalty.
    """
    log_membership = logits.log_softmax(1).T
    members = _Members.of(log_membership.to(z1.dtype))
    z = torch.cat([z1, z2])
    similarity, exp, other_logits, other_exp = (memory[: len(z) ** 2].view(len(z), len(z)) for memory in scratch)
    torch.mm(z, z.T, out=similarity)
    if temperature == irm_temperature:
        kernel = irm_kernel = _Kernel.of(similarity.div_(temperature), out=exp)
        totals = irm_totals = _totals(kernel, members)
    else:
        kernel = _Kernel.of(torch.div(similarity, temperature, out=other_logits), out=other_exp)
        irm_kernel = _Kernel.of(similarity.div_(irm_temperature), out=exp)
        totals, irm_totals = _totals(kernel, members), _totals(irm_kernel, members)
    losses = (members.share * (totals.log() - kernel.log_first)).sum(1)
    penalties = _soft_penalties(irm_kernel, irm_totals, members, out=other_logits)
    gain = (losses.mean() + irm_weight * penalties.mean()).to(logits.dtype)
    if not balance:
        return -gain
    log_mean = log_membership.logsumexp(1) - math.log(len(z1))
    entropy = -(log_mean.exp() * log_mean).sum()
    return (BALANCED_ENTROPY - entropy).relu() - gain


class _Kernel(NamedTuple):
    """Log-sum-exp's exponentials, the row's largest logit taken out. 0 at the anchor itself and its positive."""

    positive: Tensor  # [2B], logit of the positive
    log_first: Tensor  # [2B], the same less the row's largest
    logits: Tensor  # [2B, 2B]
    exp: Tensor  # [2B, 2B]

    @classmethod
    def of(cls, logits: Tensor, out: Tensor) -> "_Kernel":
        """Takes over `logits` [2B, 2B], and `out` for the exponentials."""
        size = len(logits) // 2
        positive = torch.cat([logits.diagonal(size), logits.diagonal(-size)])
        largest = logits.fill_diagonal_(-torch.inf).amax(1)
        torch.sub(logits, largest[:, None], out=out).exp_()
        for offset in (-size, 0, size):
            logits.diagonal(offset).zero_()
            out.diagonal(offset).zero_()
        return cls(positive, positive - largest, logits, out)


class _Members(NamedTuple):
    """Weights of the 2B rows in each subset, each [K, 2B]."""

    weight: Tensor  # relative to the subset's largest: only ratios count, and so they don't all underflow
    share: Tensor  # the weights, summing to 1
    scale: Tensor  # what makes the weights of a row's negatives average 1

    @classmethod
    def of(cls, log_membership: Tensor) -> "_Members":
        weight = (log_membership - log_membership.detach().amax(1, keepdim=True)).exp()
        # Added up from both ends: total minus own would cancel where one image dominates.
        before = F.pad(weight[:, :-1].cumsum(1), (1, 0))
        after = F.pad(weight[:, 1:].flip(1).cumsum(1).flip(1), (0, 1))
        # An image alone in its subset has negatives of weight 0; the floor keeps them at 0 rather than 0/0.
        others = (before + after).clamp_min(torch.finfo(weight.dtype).tiny ** 0.8)
        scale = (math.log(max(weight.shape[1] - 1, 1)) - others.log()).exp()
        share = weight / (2 * weight.sum(1, keepdim=True))
        return cls(*(t.repeat(1, 2) for t in (weight, share, scale)))


def _totals(kernel: _Kernel, members: _Members) -> Tensor:
    """Each anchor's denominator in each subset, its largest logit taken out: [K, 2B]."""
    negatives = members.scale * matmul(members.weight, kernel.exp.T)
    return (kernel.log_first.exp() + negatives).clamp_min(torch.finfo(negatives.dtype).tiny)


def _soft_penalties(kernel: _Kernel, totals: Tensor, members: _Members, out: Tensor) -> Tensor:
    """The closed-form penalty of every subset, [K]. Uses up `kernel.logits`, and `out` for a second matrix."""
    first = ((kernel.log_first.exp() / totals - 1) * kernel.positive * members.share).sum(1)

    image = torch.arange(len(out) // 2, device=out.device)
    is_later = (image[:, None, None] > image).to(out.dtype)  # [B, 1, B]: the anchor's image than the column's
    by_image = (2, len(image), 2, len(image))
    weighted = kernel.logits.mul_(kernel.exp)
    torch.mul(weighted.view(by_image), is_later, out=out.view(by_image))
    later, earlier = out, weighted.sub_(out)

    anchors = members.share * members.scale / totals
    later, earlier = ((members.weight * matmul(anchors, part)).unflatten(1, (2, -1)) for part in (later, earlier))
    # Image k is the k-th negative in its view of later anchors, and the (k-1)-th of earlier ones.
    column = later[..., :-1] + earlier[..., 1:]
    return first.square() + column.square().sum((1, 2))
