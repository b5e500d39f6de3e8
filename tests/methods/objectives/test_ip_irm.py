"""IP-IRM's two steps against the authors' code, and against what they mean."""

import pytest
import torch

from disentangle_bench.methods.objectives.contrastive import info_nce
from disentangle_bench.methods.objectives.ip_irm import (
    invariant_loss,
    irm_penalty,
    learn_partition,
    partition,
    partition_risk,
    soft_info_nce,
)

TIGHT = {"rtol": 1e-9, "atol": 1e-12}


def check_grads(loss, case, tolerance, **inputs):
    for (name, _), grad in zip(inputs.items(), torch.autograd.grad(loss, list(inputs.values())), strict=True):
        torch.testing.assert_close(grad, case.tensor(f"grad_{name}"), **tolerance)


def unit(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator, dtype=dtype), dim=-1)


@pytest.mark.parametrize("name", ["irm_penalty_a", "irm_penalty_b", "irm_penalty_c"])
def test_penalty_is_the_reference(golden, name):
    case = golden(f"ipirm/{name}")
    out1, out2 = case.tensor("in_out1", grad=True), case.tensor("in_out2", grad=True)
    penalty = irm_penalty(out1, out2, case.options["irm_temp"])
    torch.testing.assert_close(penalty, case.tensor("out_penalty"), **TIGHT)
    check_grads(penalty, case, TIGHT, out1=out1, out2=out2)


def test_penalty_is_the_gradient_of_one_weight_a_column():
    """The definition itself, by autograd through a dummy classifier."""
    z1, z2 = unit(5, 4), unit(5, 4, seed=1)
    z = torch.cat([z1, z2])
    similarity = z @ z.T / 0.3
    rows = []
    for i in range(10):
        kept = [j for j in range(10) if j not in (i, (i + 5) % 10)]
        rows.append(torch.cat([similarity[i, (i + 5) % 10].view(1), similarity[i, kept]]))
    weight = torch.ones(9, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(torch.stack(rows) * weight, torch.zeros(10, dtype=torch.long))
    expected = torch.autograd.grad(loss, weight)[0].square().sum()
    torch.testing.assert_close(irm_penalty(z1, z2, 0.3), expected, **TIGHT)


def test_penalty_depends_on_the_order_of_the_batch():
    z1, z2 = unit(8, 4), unit(8, 4, seed=1)
    order = torch.tensor([3, 0, 6, 1, 7, 2, 5, 4])  # (the reverse order would leave it: columns swap places)
    assert not torch.isclose(irm_penalty(z1, z2), irm_penalty(z1[order], z2[order]), rtol=1e-6)


@pytest.mark.parametrize("name", ["single", "keepcont", "retain3_rescaled", "retain2", "warmup_zero_weight"])
def test_minimisation_step_is_the_reference(golden, name):
    case = golden(f"ipirm/min_step_{name}")
    options = case.options
    out1, out2 = case.tensor("in_out1", grad=True), case.tensor("in_out2", grad=True)
    assignments = list(case.tensor("in_split")[:, case.tensor("in_idx")].argmax(-1))
    loss = invariant_loss(
        out1,
        out2,
        assignments,
        num_subsets=options["env_num"],
        temperature=options["temperature"],
        irm_temperature=options["irm_temp"],
        penalty_weight=float(case["out_effective_weight"]),
        keep_global=options["keep_cont"],
    )
    torch.testing.assert_close(loss, case.tensor("out_loss"), **TIGHT)
    check_grads(loss, case, TIGHT, out1=out1, out2=out2)


def test_one_image_counts_as_zero_and_an_empty_subset_does_not_count():
    z1, z2 = unit(6, 4), unit(6, 4, seed=1)
    one = torch.tensor([0, 1, 1, 1, 1, 1])
    inside = info_nce(z1[1:], z2[1:])
    loss = invariant_loss(z1, z2, [one], penalty_weight=0.0, keep_global=False)
    torch.testing.assert_close(loss, inside / 2)
    loss = invariant_loss(z1, z2, [one], num_subsets=3, penalty_weight=0.0, keep_global=False)
    torch.testing.assert_close(loss, inside / 2)
    whole = invariant_loss(z1, z2, [torch.ones_like(one)], penalty_weight=0.0, keep_global=False)
    torch.testing.assert_close(whole, info_nce(z1, z2))


def test_assignments_are_checked():
    z = unit(4, 3)
    with pytest.raises(ValueError, match=r"outside \[0, 2\)"):
        invariant_loss(z, z, [torch.tensor([0, 1, 2, 0])])
    with pytest.raises(ValueError, match=r"z1 is \[4, 3\] but assignment is \[3\]"):
        invariant_loss(z, z, [torch.tensor([0, 1, 1])])
    with pytest.raises(ValueError, match="assignments is empty"):
        invariant_loss(z, z, [])


@pytest.mark.parametrize("name", ["norm", "ones"])
def test_soft_info_nce_is_the_reference(golden, name):
    case = golden(f"ipirm/soft_contrastive_{name}")
    f1, f2, w = (case.tensor(f"in_{key}", grad=True) for key in ("f1", "f2", "w"))
    loss = soft_info_nce(f1, f2, w, case.options["temperature"])
    torch.testing.assert_close(loss, case.tensor("out_loss"), **TIGHT)
    check_grads(loss, case, TIGHT, f1=f1, f2=f2, w=w)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight", [[1.0, 0, 0, 0], [1, 1, 0, 0], [1, 1e-30, 1e-35, 0], [0, 0, 0, 0]])
def test_soft_info_nce_stays_finite_at_hard_memberships(dtype, weight):
    z1, z2 = (unit(4, 3, seed=seed, dtype=dtype).requires_grad_() for seed in (0, 1))
    membership = torch.tensor(weight, dtype=dtype, requires_grad=True)
    loss = soft_info_nce(z1, z2, membership, 0.01)
    assert loss.isfinite()
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(loss, (z1, z2, membership)))


@pytest.mark.parametrize("name", ["plain", "relaxed_active", "relaxed_inactive"])
def test_partition_risk_is_the_reference(golden, name):
    case = golden(f"ipirm/max_objective_{name}")
    options = case.options
    split = case.tensor("in_soft_split", grad=True)
    risk = partition_risk(
        case.tensor("in_f1"),
        case.tensor("in_f2"),
        split[case.tensor("in_idx")],
        temperature=options["temperature"],
        irm_temperature=options["irm_temp"],
        irm_weight=options["irm_weight"],
        balance=options["constrain"],
    )
    tolerance = {"rtol": 1e-8, "atol": 1e-11}
    torch.testing.assert_close(risk, case.tensor("out_risk"), **tolerance)
    check_grads(risk, case, tolerance, soft_split=split)


@pytest.mark.parametrize("irm_temperature", [0.5, 0.2])
@pytest.mark.parametrize("size", [2, 3, 300])
def test_partition_risk_is_its_definition(size, irm_temperature):
    """Soft InfoNCE of every subset and, by autograd, the gradient of one weight a column; more than one block."""
    z1, z2, logits = unit(size, 5), unit(size, 5, seed=1), 2 * torch.randn(size, 3, dtype=torch.float64)
    logits.requires_grad_()
    kept = [[j for j in range(2 * size) if j % size != i % size] for i in range(2 * size)]
    z, kept = torch.cat([z1, z2]), torch.tensor(kept)
    similarity = z @ z.T
    positive = similarity[torch.arange(2 * size), torch.arange(2 * size).roll(size)]
    laid_out = torch.cat([positive[:, None], similarity.gather(1, kept)], 1) / irm_temperature
    expected = torch.zeros((), dtype=torch.float64)
    for membership in logits.softmax(1).T:
        weight = membership.repeat(2)
        column_weight = weight[kept] / weight[kept].mean(1, keepdim=True)
        column_weight = torch.cat([torch.ones_like(positive[:, None]), column_weight], 1)
        ones = torch.ones(laid_out.shape[1], dtype=torch.float64, requires_grad=True)
        scaled = laid_out * ones
        losses = (scaled + column_weight.log()).logsumexp(1) - scaled[:, 0]
        (column,) = torch.autograd.grad((losses * weight).sum() / weight.sum(), ones, create_graph=True)
        expected = expected - (soft_info_nce(z1, z2, membership) + 0.7 * column.square().sum()) / 3
    risk = partition_risk(z1, z2, logits, irm_temperature=irm_temperature, irm_weight=0.7, balance=False)
    torch.testing.assert_close(risk, expected, **TIGHT)
    torch.testing.assert_close(torch.autograd.grad(risk, logits)[0], torch.autograd.grad(expected, logits)[0], **TIGHT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("temperature", [0.5, 0.01])
@pytest.mark.parametrize("scale", [0.0, 1.0, 60.0, 1e4])
@pytest.mark.parametrize("size", [1, 2, 6])
def test_partition_risk_stays_finite_at_hard_memberships(dtype, temperature, scale, size):
    z1, z2 = unit(size, 3, dtype=torch.float32).to(dtype), unit(size, 3, seed=1, dtype=torch.float32).to(dtype)
    logits = torch.zeros(size, 2, dtype=dtype)
    logits[0, 0], logits[1:, 1] = scale, scale  # one image a subset, then none near it
    logits.requires_grad_()
    risk = partition_risk(z1, z2, logits, temperature=temperature, irm_temperature=temperature)
    assert risk.isfinite()
    assert torch.autograd.grad(risk, logits)[0].isfinite().all()


@pytest.mark.parametrize("temperature", [0.5, 0.05, 0.01])
def test_float32_risk_is_the_float64_risk(temperature):
    z1, z2, logits = unit(50, 4), unit(50, 4, seed=1), 5 * unit(50, 2, seed=2)
    options = {"temperature": temperature, "irm_temperature": temperature}
    exact = partition_risk(z1, z2, logits, **options)
    single = partition_risk(z1.float(), z2.float(), logits.float(), **options)
    torch.testing.assert_close(single.double(), exact, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["fullbatch", "minibatch"])
def test_learnt_partition_is_the_reference(golden, name):
    case = golden(f"ipirm/auto_split_{name}")
    options, risks = case.options, []
    order = case.tensor("in_order")
    order = torch.cat([order, order])[:61]  # the reference's ends where it stopped; here it must stop by itself
    logits = learn_partition(
        case.tensor("in_f1"),
        case.tensor("in_f2"),
        num_subsets=options["env_num"],
        irm_weight=options["irm_weight"],
        temperature=options["temperature"],
        irm_temperature=options["irm_temp"],
        balance=options["constrain"],
        batch_size=options["batch_size"],
        max_epochs=options["max_epochs"],
        init=case.tensor("in_init_split"),
        order=order,
        progress=lambda _, risk: risks.append(risk),
    )
    torch.testing.assert_close(
        torch.tensor(risks, dtype=torch.float64), case.tensor("out_avg_risk_per_epoch"), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(logits.softmax(1), case.tensor("out_prob"), rtol=0, atol=1e-5)
    assert (logits.argmax(1) == case.tensor("out_partition")).all()


def adjusted_rand(a, b):
    table = torch.stack([a, 1 - a]).double() @ torch.stack([b, 1 - b]).double().T

    def pairs(n):
        return (n * (n - 1) / 2).sum()

    total = pairs(torch.tensor([len(a)], dtype=torch.double))
    chance = pairs(table.sum(0)) * pairs(table.sum(1)) / total
    return (pairs(table) - chance) / ((pairs(table.sum(0)) + pairs(table.sum(1))) / 2 - chance)


def planted(nuisance, generator):
    """Two views of 32 content dimensions and a nuisance of +-4."""
    content = torch.cat([torch.randn(400, 32, generator=generator), 8.0 * nuisance[:, None] - 4], 1)
    views = [content + 0.3 * torch.randn(content.shape, generator=generator) for _ in range(2)]
    return [torch.nn.functional.normalize(view, dim=1) for view in views]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_planted_nuisance_is_found(seed):
    generator = torch.Generator().manual_seed(seed)
    nuisance = torch.randint(2, (400,), generator=generator)
    found = learn_partition(*planted(nuisance, generator), generator=generator).argmax(1)
    assert adjusted_rand(found, nuisance) > 0.8


def test_balance_keeps_both_subsets_large():
    """With one image in ten on the other side of the nuisance, only the balance term prevents a split of 1:9."""
    generator = torch.Generator().manual_seed(0)
    views = planted((torch.rand(400, generator=generator) < 0.1).long(), generator)
    for balance in (True, False):
        found = learn_partition(*views, generator=generator, balance=balance).argmax(1)
        assert (found.double().mean().sub(0.5).abs() < 0.3) == balance


@pytest.mark.parametrize("frozen", [torch.no_grad, torch.inference_mode])
def test_the_generator_alone_decides_and_frozen_features_do(frozen):
    z1, z2 = unit(10, 4, dtype=torch.float32), unit(10, 4, seed=1, dtype=torch.float32)
    options = {"num_subsets": 3, "batch_size": 4, "max_epochs": 3}  # mini-batches of 4, 4 and 2
    first = learn_partition(z1, z2, generator=torch.Generator().manual_seed(5), **options)
    torch.manual_seed(1)
    with frozen():
        again = learn_partition(z1 + 0, z2 + 0, generator=torch.Generator().manual_seed(5), **options)
    assert first.shape == (10, 3)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    other = learn_partition(z1, z2, generator=torch.Generator().manual_seed(6), **options)
    assert not torch.equal(first, other)


def test_the_first_process_decides_when_the_epochs_end(monkeypatch):
    """Each by its own rounding, one would stop and the others wait for it where they encode fresh views."""
    z1, z2 = unit(8, 4, seed=0), unit(8, 4, seed=1)
    theirs, epochs = iter([3.0, 2.0, 1.0] + [4.0] * 20), []
    monkeypatch.setattr(partition, "from_first", lambda risk: torch.full_like(risk, next(theirs)))
    learn_partition(z1, z2, max_epochs=20, min_epochs=0, progress=lambda epoch, risk: epochs.append(risk))
    assert epochs == [3.0, 2.0, 1.0] + [4.0] * 5


def test_wrong_partition_arguments_are_named():
    z = unit(4, 3)
    with pytest.raises(ValueError, match=r"init is \[4, 3\]"):
        learn_partition(z, z, init=torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"order is \[2, 3\] but z1 is \[4, 3\]"):
        learn_partition(z, z, order=torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="never finite"):
        learn_partition(z * torch.nan, z, max_epochs=1)
    with pytest.raises(ValueError, match="batch_size is 0"):
        learn_partition(z, z, batch_size=0)
