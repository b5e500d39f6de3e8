"""Contrastive clustering's losses against the authors' code."""

import pytest
import torch
from torch.nn.functional import linear, normalize

from disentangle_bench.methods.objectives.clustering import (
    anchor_loss,
    cluster_loss,
    student_t_assignment,
    target_distribution,
)
from disentangle_bench.methods.objectives.contrastive import info_nce

TIGHT = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.parametrize("name", ["cluster_prob_alpha1", "cluster_prob_alpha3"])
def test_assignment_is_the_reference(golden, name):
    case = golden(f"cade/{name}")
    h, centers = case.tensor("in_h", grad=True), case.tensor("in_centers", grad=True)
    q = student_t_assignment(h, centers, case.options["alpha"])
    torch.testing.assert_close(q, case.tensor("out_q"), **TIGHT)
    grads = torch.autograd.grad(q, (h, centers), case.tensor("in_cot"))
    for key, grad in zip(("h", "centers"), grads, strict=True):
        torch.testing.assert_close(grad, case.tensor(f"grad_{key}"), **TIGHT)


@pytest.mark.parametrize("name", ["target_a", "target_b"])
def test_target_is_the_reference(golden, name):
    case = golden(f"cade/{name}")
    target = target_distribution(case.tensor("in_q"))
    torch.testing.assert_close(target, case.tensor("out_target"), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["cluster_loss_a", "cluster_loss_b"])
def test_cluster_loss_is_the_reference(golden, name):
    case = golden(f"cade/{name}")
    q = case.tensor("in_q", grad=True)
    loss = cluster_loss(q)
    torch.testing.assert_close(loss, case.tensor("out_loss"), **TIGHT)
    torch.testing.assert_close(torch.autograd.grad(loss, q)[0], case.tensor("grad_q"), **TIGHT)


@pytest.mark.parametrize("name", ["anchor_a", "anchor_b"])
def test_anchor_loss_is_the_reference(golden, name):
    case = golden(f"cade/{name}")
    view, anchor = case.tensor("in_p", grad=True), case.tensor("in_c", grad=True)
    loss = anchor_loss(view, anchor)
    torch.testing.assert_close(loss, case.tensor("out_loss"), **TIGHT)
    grads = torch.autograd.grad(loss, (view, anchor), allow_unused=True, materialize_grads=True)
    for key, grad in zip(("p", "c"), grads, strict=True):
        torch.testing.assert_close(grad, case.tensor(f"grad_{key}"), **TIGHT)


@pytest.mark.parametrize("name", ["total_a", "total_b"])
def test_whole_step_is_the_reference(golden, name):
    case = golden(f"cade/{name}")
    names = ["h", "h_i", "h_j", "centers"]
    inputs = {key: case.tensor(f"in_{key}", grad=True) for key in names}
    layers = ["0.weight", "0.bias", "2.weight", "2.bias"]
    weights = {f"sd_{key}": case.tensor(f"sd_{key}", grad=True) for key in layers}
    w0, b0, w2, b2 = weights.values()

    z_i, z_j = (normalize(linear(linear(inputs[key], w0, b0).relu(), w2, b2), dim=1) for key in ("h_i", "h_j"))
    q, q_i, q_j = (
        student_t_assignment(inputs[key], inputs["centers"], case.options["alpha"]) for key in ("h", "h_i", "h_j")
    )
    parts = {
        "instance": info_nce(z_i, z_j, case.options["instance_temperature"]),
        "cluster": cluster_loss(q),
        "anchor_i": anchor_loss(q_i, q),
        "anchor_j": anchor_loss(q_j, q),
    }
    for key, part in parts.items():
        torch.testing.assert_close(part, case.tensor(f"out_{key}"), rtol=1e-9, atol=1e-11)
    leaves = inputs | weights
    for key, grad in zip(leaves, torch.autograd.grad(sum(parts.values()), list(leaves.values())), strict=True):
        torch.testing.assert_close(grad, case.tensor(f"grad_{key}"), rtol=1e-9, atol=1e-11)


def test_images_on_their_centre_and_far_away_stay_finite():
    centers = torch.tensor([[0.0, 0], [1e4, 0], [0, 1e-4]], requires_grad=True)
    h = torch.tensor([[0.0, 0], [1e8, 1e8]], requires_grad=True)
    q = student_t_assignment(h, centers)
    torch.testing.assert_close(q.sum(1), torch.ones(2))
    loss = cluster_loss(q) + anchor_loss(q, q.flip(0))
    assert loss.isfinite()
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(loss, (h, centers)))


def test_hard_assignments_and_empty_clusters_stay_finite():
    q = torch.tensor([[1.0, 0, 0], [0, 1, 0]], requires_grad=True)
    torch.testing.assert_close(target_distribution(q), q)
    assert torch.autograd.grad(cluster_loss(q) + anchor_loss(q, q.flip(0)), q)[0].isfinite().all()


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"h is \[4, 3\] but centers is \[2, 5\]"):
        student_t_assignment(torch.zeros(4, 3), torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"q_view is \[4, 3\] but q_anchor is \[4, 2\]"):
        anchor_loss(torch.zeros(4, 3), torch.zeros(4, 2))
