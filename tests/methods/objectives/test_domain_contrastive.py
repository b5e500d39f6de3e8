"""The domain-wise contrastive loss against the authors' code."""

import pytest
import torch
from torch.nn.functional import normalize

from disentangle_bench.methods.objectives.domain_contrastive import domain_info_nce

CASES = ["two_classes", "three_positives", "two_positives", "capped_negatives", "no_classes", "not_normalized"]


@pytest.mark.parametrize("name", [*CASES, "no_positives"])
def test_loss_and_gradients_are_the_reference(golden, name):
    case = golden(f"dcodr/loss_{name}")
    options = case.options
    z, pos = case.tensor("in_z", grad=True), case.tensor("in_pos", grad=True)
    codes, positives = (normalize(z, dim=-1), normalize(pos, dim=-1)) if options["normalize"] else (z, pos)
    if options["num_pos"] == 0:  # the reference puts the constant 1 there: a code's similarity with itself
        positives = codes.detach()[:, None]
    domains = case.tensor("in_classes") if options["use_classes"] else torch.zeros(len(z), dtype=torch.long)
    loss = domain_info_nce(codes, positives, domains, options["tau"])
    torch.testing.assert_close(loss, case.tensor("out_loss"), rtol=1e-9, atol=1e-12)
    grads = torch.autograd.grad(loss, (z, pos), allow_unused=True, materialize_grads=True)
    for key, grad in zip(("z", "pos"), grads, strict=True):
        torch.testing.assert_close(grad, case.tensor(f"grad_{key}"), rtol=1e-9, atol=1e-12)


def test_unequal_domains_use_every_image_of_the_domain():
    codes = normalize(torch.randn(6, 4, dtype=torch.float64), dim=1)
    positives = normalize(torch.randn(6, 1, 4, dtype=torch.float64), dim=2)
    domains = torch.tensor([0, 1, 0, 0, 2, 1])
    terms = []
    for i, own in enumerate([(2, 3), (5,), (0, 3), (0, 2), (), (1,)]):
        logits = torch.stack([positives[i, 0] @ codes[i], *(codes[j] @ codes[i] for j in own)]) / 0.2
        terms.append(logits.logsumexp(0) - logits[0])
    assert terms[4] == 0  # alone in its domain
    torch.testing.assert_close(domain_info_nce(codes, positives, domains), torch.stack(terms).mean())


def test_an_image_that_comes_twice_is_not_its_own_negative():
    codes = normalize(torch.randn(4, 3, dtype=torch.float64), dim=1)[[0, 1, 0, 2]]
    positives = normalize(torch.randn(4, 1, 3, dtype=torch.float64), dim=2)
    domains, index = torch.zeros(4, dtype=torch.long), torch.tensor([7, 5, 7, 6])
    terms = []
    for i, others in enumerate([(1, 3), (0, 2, 3), (1, 3), (0, 1, 2)]):
        logits = torch.stack([positives[i, 0] @ codes[i], *(codes[j] @ codes[i] for j in others)]) / 0.2
        terms.append(logits.logsumexp(0) - logits[0])
    torch.testing.assert_close(domain_info_nce(codes, positives, domains, index=index), torch.stack(terms).mean())
    alone = domain_info_nce(codes, positives, domains, index=torch.arange(4))
    assert torch.equal(alone, domain_info_nce(codes, positives, domains))


def test_wrong_shapes_are_named():
    codes, domains = torch.zeros(4, 3), torch.zeros(4, dtype=torch.long)
    with pytest.raises(ValueError, match=r"codes is \[4, 3\] but positives is \[4, 1, 2\]"):
        domain_info_nce(codes, torch.zeros(4, 1, 2), domains)
    with pytest.raises(ValueError, match=r"codes is \[4, 3\] but positives is \[4, 0, 3\]"):
        domain_info_nce(codes, torch.zeros(4, 0, 3), domains)
    with pytest.raises(ValueError, match=r"codes is \[4, 3\] but domains is \[3\]"):
        domain_info_nce(codes, codes[:, None], domains[:3])
    with pytest.raises(ValueError, match=r"codes is \[4, 3\] but index is \[3\]"):
        domain_info_nce(codes, codes[:, None], domains, index=domains[:3])
