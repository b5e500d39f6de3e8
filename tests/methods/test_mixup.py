"""The MixUp variant's loss: by hand on small numbers, as the authors', and its partners stay in their subset."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize
from torch.testing import assert_close

from disentangle_bench.methods.objectives import mixup
from disentangle_bench.methods.objectives.mixup import draw_partners, mixed_invariant_loss, mixed_loss


def test_partners_are_a_permutation_inside_each_subset():
    assignment = torch.tensor([2, 0, 1, 0, 2, 0, 0, 2, 1, 2])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_partners(assignment, generator) for _ in range(200)])
    assert (drawn.sort(1).values == torch.arange(10)).all()
    assert (assignment[drawn] == assignment).all()
    for subset in range(3):
        members = set((assignment == subset).nonzero().flatten().tolist())
        assert all(set(drawn[:, i].tolist()) == members for i in members)


def test_value_is_the_definition_by_autograd_over_column_weights():
    generator = torch.Generator().manual_seed(1)
    mixed, plain = (normalize(torch.randn(9, 5, generator=generator, dtype=torch.float64), dim=1) for _ in range(2))
    assignment = torch.tensor([0, 1, 0, 0, 1, 2, 0, 1, 0])  # the last subset has one image, a fourth has none
    partner = draw_partners(assignment, generator)
    share = torch.rand(9, generator=generator, dtype=torch.float64)
    losses, penalties = [], []
    for subset in range(3):
        rows = (assignment == subset).nonzero().flatten().tolist()
        ones = torch.ones(len(rows), dtype=torch.float64, requires_grad=True)
        total = scaled = 0
        for i in rows:
            for positive, part in ((i, share[i]), (int(partner[i]), 1 - share[i])):
                columns = [positive, *(j for j in rows if j != positive)]
                cosines = (plain[columns] @ mixed[i])[None]
                first = torch.zeros(1, dtype=torch.int64)
                total = total + part * cross_entropy(cosines / 0.2, first) / len(rows)
                scaled = scaled + part * cross_entropy(cosines / 0.5 * ones, first) / len(rows)
        losses.append(total)
        penalties.append(torch.autograd.grad(scaled, ones)[0].square().sum())
    loss, penalty = mixed_invariant_loss(mixed, plain, partner, share, assignment, num_subsets=4)
    assert_close(loss, torch.stack(losses).mean())
    assert_close(penalty, torch.stack(penalties).mean())


@pytest.mark.parametrize(
    ("partitions", "options", "expected"),
    [
        (2, {}, (1 + 2) / 2 + 0.5 * (10 + 20) / 2 + 4),
        (2, {"sum_partitions": True}, (1 + 2) + 0.5 * (10 + 20) + 4),
        (2, {"keep_global": False}, (1 + 2) / 2 + 0.5 * (10 + 20) / 2),
        (2, {"penalty_weight": 8.0}, ((1 + 2) / 2 + 8 * (10 + 20) / 2 + 4) / 8),
        (0, {}, 1),  # the whole batch's, without a penalty
    ],
)
def test_the_losses_and_penalties_of_partitions_are_put_together_as_written(partitions, options, expected, monkeypatch):
    told = iter([(1.0, 10.0), (2.0, 20.0), (4.0, 40.0)])
    monkeypatch.setattr(mixup, "mixed_invariant_loss", lambda *_, **__: map(torch.tensor, next(told)))
    views = torch.rand(2, 6, 3, 4, 4)
    assignments = [torch.arange(6) % 2] * partitions
    options = {"penalty_weight": 0.5, "generator": torch.Generator()} | options
    loss = mixed_loss(lambda image: normalize(image.flatten(1)), *views, assignments, **options)
    assert float(loss) == pytest.approx(expected)


def test_a_partner_of_another_subset_is_an_error():
    z, share = normalize(torch.randn(3, 4), dim=1), torch.rand(3)
    with pytest.raises(ValueError, match="another subset"):
        mixed_invariant_loss(z, z, torch.tensor([1, 0, 2]), share, torch.tensor([0, 1, 1]))


@pytest.mark.parametrize("name", ["mixup_a", "mixup_b"])
@pytest.mark.parametrize("form", ["batch mean", "own"])
def test_loss_is_the_reference(golden, name, form):
    """With the batch's mean share for every anchor it is the authors' to the digit, gradients too."""
    case = golden(f"ipirm_mixup/{name}")
    mixed, plain, share = case.tensor("in_out1", grad=True), case.tensor("in_out2", grad=True), case.tensor("in_lam")
    whole, tau = torch.zeros(len(share), dtype=torch.int64), case.options["temperature"]
    share = share if form == "own" else share.mean().expand(len(share))
    partner = case.tensor("in_permutation")
    options = {"num_subsets": 1, "temperature": tau, "irm_temperature": tau}
    loss, penalty = mixed_invariant_loss(mixed, plain, partner, share, whole, **options)
    tight = {"rtol": 1e-9, "atol": 1e-12}
    if form == "own":
        assert_close(loss, case.tensor("out_per_sample_mixup"), **tight)
        return
    assert_close(loss, case.tensor("out_global"), **tight)
    for given, value in {"out1": mixed, "out2": plain}.items():
        grad = torch.autograd.grad(loss, value, retain_graph=True)[0]
        assert_close(grad, case.tensor(f"grad_global_{given}"), **tight)
    # The deviation that the objective names: the authors' dummy weights belong to candidates, whosever positive they
    # are; here the first is the positive's. Laid out as theirs, the penalty is theirs.
    logits, weight = mixed @ plain.T / tau, torch.ones(len(share), dtype=mixed.dtype, requires_grad=True)
    own = torch.arange(len(share))
    parts = [part * cross_entropy(logits * weight, to) for to, part in ((own, share[0]), (partner, 1 - share[0]))]
    theirs = torch.autograd.grad(sum(parts), weight)[0].square().sum()
    assert_close(theirs, case.tensor("out_env_penalty"), **tight)
    assert not torch.isclose(penalty, theirs, rtol=1e-3)
