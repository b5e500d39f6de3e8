"""InfoNCE, Barlow Twins and VICReg against the papers' code, and against what they mean."""

import pytest
import torch

from disentangle_bench.methods.objectives.contrastive import barlow_twins, info_nce, vicreg


def check(loss, inputs, case, names, rtol, atol):
    """The loss and its gradients are the golden case's."""
    torch.testing.assert_close(loss, case.tensor("out_loss"), rtol=rtol, atol=atol)
    for name, grad in zip(names, torch.autograd.grad(loss, inputs), strict=True):
        torch.testing.assert_close(grad, case.tensor(f"grad_{name}"), rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    ("name", "views"),
    [
        ("ipirm/infonce_a", ("out1", "out2")),
        ("ipirm/infonce_b", ("out1", "out2")),
        ("ipirm/infonce_unnormalized", ("out1", "out2")),
        ("cade/instance_a", ("zi", "zj")),
        ("cade/instance_b", ("zi", "zj")),
    ],
)
def test_info_nce_is_the_reference(golden, name, views):
    case = golden(name)
    z1, z2 = (case.tensor(f"in_{view}", grad=True) for view in views)
    check(info_nce(z1, z2, case.options["temperature"]), (z1, z2), case, views, 1e-9, 1e-12)


@pytest.mark.parametrize(
    ("name", "rtol", "atol"), [("style_blocks/barlowtwins", 1e-8, 1e-11), ("style_blocks/vicreg", 2e-6, 2e-6)]
)
def test_batch_statistics_are_the_reference(golden, name, rtol, atol):
    case = golden(name)
    z = case.tensor("in_z", grad=True)
    if case.options["fn"] == "barlowtwins":
        loss = barlow_twins(z[0], z[1], case.options["lambd_bts"])
    else:
        options = case.options
        loss = vicreg(z[0], z[1], options["lambd"], options["std_coeff"], options["cov_coeff"])
    check(loss, (z,), case, ("z",), rtol, atol)


def test_one_image_has_no_negatives_but_stays_in_the_graph():
    z1, z2 = torch.randn(2, 1, 5, dtype=torch.float64, requires_grad=True).unbind()
    loss = info_nce(z1, z2)
    assert loss.item() == 0
    grads = torch.autograd.grad(loss, (z1, z2))
    assert all((grad == 0).all() for grad in grads)


def test_equal_images_cannot_be_told_apart():
    z = torch.ones(4, 3) / 3**0.5
    torch.testing.assert_close(info_nce(z, z, 0.01), torch.tensor(7.0).log())  # 1 positive among 7 equal logits


def test_decorrelated_equal_views_cost_barlow_twins_and_vicreg_nothing():
    z = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    assert barlow_twins(z, z) < 1e-8
    assert vicreg(z, z) == 0


def test_vicreg_needs_two_images():
    with pytest.raises(ValueError, match=r"z1 is \[1, 4\].*B >= 2"):
        vicreg(torch.zeros(1, 4), torch.zeros(1, 4))
