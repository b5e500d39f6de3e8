"""LooC, AugSelf, contrastive clustering and ODR against reference figures; SwAV, MoCo and BYOL against closed forms."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn.functional import batch_norm, cross_entropy, linear, normalize
from torch.testing import assert_close

from disentangle_bench.methods.objectives import augself, cluster_contrast, contrastive, looc, prototypes, variational

TIGHT = {"rtol": 1e-9, "atol": 1e-12}


def grads_are(case, loss, leaves, prefix="grad"):
    grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    for name, grad in zip(leaves, grads, strict=True):
        assert_close(grad, case.tensor(f"{prefix}_{name}"), **TIGHT)


# ---- LooC ----


@pytest.mark.parametrize("name", ["looc_two_styles", "looc_one_style_weighted"])
def test_looc_is_the_corrected_reference(golden, name):
    case = golden(f"looc/{name}")
    views = {f"z{k}": case.tensor(f"in_z{k}", grad=True) for k in range(case.options["n_views"])}
    edges = dict.fromkeys([*case["in_block_starts"].tolist(), case.options["dim"]])
    blocks = [slice(start, end) for start, end in pairwise(edges)]
    temperature = case.options["temperature"]
    found = looc.looc(list(views.values()), blocks, weights=case.options["lambdas"], temperature=temperature)
    assert_close(found.loss, case.tensor("out_corrected_loss"), **TIGHT)
    assert_close(found.alignment, case.tensor("out_corrected_pos"), **TIGHT)
    assert_close(found.repulsion, case.tensor("out_corrected_neg_log"), **TIGHT)
    grads_are(case, found.loss, views, "grad_corrected")


def test_looc_of_alike_views_has_nothing_to_align():
    view = torch.randn(4, 6, dtype=torch.float64)
    found = looc.looc([view] * 4, [slice(0, 2), slice(2, 4), slice(4, 6)], temperature=0.3)
    assert_close(found.constraints(4, 0.3), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)


def test_looc_by_the_papers_formula(golden):
    case = golden("looc/looc_paper_formula")
    query = case.tensor("in_query", grad=True)
    args = case.tensor("in_keys"), case.tensor("in_negatives"), case.options["temperature"]
    loss = looc.looc_queue(query, *args)
    assert_close(loss, case.tensor("out_loss"), **TIGHT)
    grads_are(case, loss, {"query": query})


def test_looc_names_what_does_not_fit():
    with pytest.raises(ValueError, match="2 views but 2 blocks"):
        looc.looc([torch.zeros(3, 4)] * 2, [slice(0, 2), slice(2, 4)])
    with pytest.raises(ValueError, match=r"query is \[3, 2, 4\] but keys is \[3, 2, 3, 4\]"):
        looc.looc_queue(torch.zeros(3, 2, 4), torch.zeros(3, 2, 3, 4), torch.zeros(5, 2, 4))


# ---- AugSelf ----


def head(case, task, x):
    """The reference's predictor: two layers without bias, batch norm by the batch's statistics, and a last layer."""
    sd = {key.removeprefix(f"sd_{task}."): case.tensor(key) for key in case.arrays if key.startswith(f"sd_{task}.")}
    for layer, norm in ((0, 1), (3, 4)):
        x = linear(x, sd[f"{layer}.weight"])
        x = batch_norm(x, None, None, sd[f"{norm}.weight"], sd[f"{norm}.bias"], training=True).relu()
    return linear(x, sd["6.weight"], sd["6.bias"])


@pytest.mark.parametrize("name", ["augself_losses_symmetric", "augself_losses_crop_color"])
def test_prediction_losses_are_the_reference(golden, name):
    case = golden(f"augself/{name}")
    y = {k: case.tensor(f"in_{k}", grad=True) for k in ("y1", "y2")}
    pairs = torch.cat([torch.cat([y["y1"], y["y2"]], 1), torch.cat([y["y2"], y["y1"]], 1)])
    total = 0
    for task, weight in case.options["weights"].items():
        target = torch.cat([case.tensor(f"in_d{k}_{task}") for k in (1, 2)])
        loss = augself.prediction_loss(task, head(case, task, pairs), target)
        assert_close(loss, case.tensor(f"out_{task}"), **TIGHT)
        total = total + weight * loss
    assert_close(total, case.tensor("out_total"), **TIGHT)
    grads_are(case, total, y)


def test_targets_of_how_views_were_drawn_are_the_reference(golden):
    case = golden("augself/augself_targets")
    boxes = [case.tensor(f"in_crop{k}_top_left_height_width_relative") for k in (1, 2)]
    flips = [case.tensor(f"in_flip{k}") for k in (1, 2)]
    crops = [augself.crop(box, flip) for box, flip in zip(boxes, flips, strict=True)]
    assert_close(augself.difference("crop", *crops), case.tensor("out_crop_corrected"), rtol=1e-9, atol=1e-12)
    assert_close(
        augself.difference("flip", *(flip[:, None] for flip in flips)), case.tensor("out_flip"), check_dtype=False
    )
    colors = []
    for k in (1, 2):
        values = case.tensor(f"in_jitter{k}_brightness_contrast_saturation_hue")
        changes = values - torch.tensor([1.0, 1, 1, 0])
        colors.append(augself.color(changes, case.tensor(f"in_jitter{k}_applied"), (0.8, 0.8, 0.8, 0.2)))
    assert_close(augself.difference("color", *colors), case.tensor("out_color"), rtol=1e-9, atol=1e-12)
    rest = {"blur": "blur{}_sigma_or_0", "rot": "rot{}_quarter_turns_or_0", "sol": "solarize{}_threshold_or_1"}
    for task, key in rest.items():
        drawn = [case.tensor(f"in_{key.format(k)}") for k in (1, 2)]
        assert_close(augself.difference(task, *drawn).flatten(), case.tensor(f"out_{task}").flatten(), **TIGHT)


def test_its_contrastive_part_is_the_reference(golden):
    case = golden("augself/augself_simclr")
    z = {k: case.tensor(f"in_{k}", grad=True) for k in ("z1", "z2")}
    loss = contrastive.info_nce(*(normalize(v, dim=1) for v in z.values()), case.options["temperature"])
    assert_close(loss, case.tensor("out_loss"), **TIGHT)
    grads_are(case, loss, z)


# ---- contrastive clustering ----


@pytest.mark.parametrize("name", ["cc_a", "cc_b"])
def test_instances_and_clusters_are_contrasted_as_in_the_reference(golden, name):
    case = golden(f"cc/{name}")
    z = {k: case.tensor(f"in_{k}", grad=True) for k in ("zi", "zj")}
    c = {k: case.tensor(f"in_{k}", grad=True) for k in ("ci", "cj")}
    instance = contrastive.info_nce(*z.values(), case.options["instance_temperature"])
    contrast = cluster_contrast.cluster_info_nce(*c.values(), case.options["cluster_temperature"])
    balance = sum(cluster_contrast.imbalance(p) for p in c.values())
    assert_close(instance, case.tensor("out_instance"), **TIGHT)
    assert_close(contrast, case.tensor("out_cluster_contrast"), **TIGHT)
    assert_close(balance, case.tensor("out_cluster_negative_entropy"), **TIGHT)
    assert_close(instance + contrast + balance, case.tensor("out_total"), **TIGHT)
    grads_are(case, instance, z)
    grads_are(case, contrast + balance, c)


def test_an_unused_cluster_is_no_nan():
    p = torch.tensor([[1.0, 0, 0], [0, 1, 0]], requires_grad=True)
    loss = cluster_contrast.imbalance(p)
    assert_close(loss, torch.tensor(math.log(3) - math.log(2)))
    assert torch.autograd.grad(loss, p)[0].isfinite().all()


# ---- ODR ----


def test_terms_of_odr(golden):
    case = golden("odr/odr_terms")
    uniform = variational.cross_entropy_to_uniform(case.tensor("in_sensitive_logits"))
    assert_close(uniform, case.tensor("out_cross_entropy_to_uniform"), **TIGHT)
    for code in "ts":
        args = [case.tensor(f"in_{part}_{code}") for part in ("mean", "logvar", "prior_mean")]
        assert_close(variational.gaussian_kl(*args), case.tensor(f"out_kl_{code}"), **TIGHT)


def test_a_sure_discriminator_gives_its_odds_and_permuting_keeps_each_dimension():
    logits = torch.tensor([[2.0, -1.0], [0.0, 1.0]])
    assert variational.total_correlation(logits) == pytest.approx((3 - 1) / 2)
    z = torch.randn(5, 3)
    permuted = variational.permute_dimensions(z, torch.rand(5, 3).argsort(0))
    assert_close(permuted.sort(0).values, z.sort(0).values)
    assert not torch.equal(permuted, z)


# ---- SwAV, MoCo, BYOL ----


def test_assignments_use_all_prototypes_equally():
    scores = torch.randn(12, 4, dtype=torch.float64).tanh()
    q = prototypes.sinkhorn(scores, 0.5, iterations=200)
    assert_close(q.sum(1), torch.ones(12, dtype=torch.float64))
    assert_close(q.sum(0), torch.full((4,), 3.0, dtype=torch.float64), rtol=1e-6, atol=0)
    # as the authors' loop computes it: columns to 1/K, rows to 1/B, in turn
    plain = (scores / 0.5).exp()
    for _ in range(3):
        plain = plain / plain.sum(0) / 4
        plain = plain / plain.sum(1, keepdim=True) / 12
    assert_close(prototypes.sinkhorn(scores, 0.5, iterations=3), plain * 12)
    assert prototypes.sinkhorn(scores, 1e-3).isfinite().all()


def test_swapped_prediction_is_cross_entropy_with_the_other_views_assignment():
    a, b = (torch.randn(8, 5, dtype=torch.float64).tanh() for _ in "ab")
    expected = (
        cross_entropy(a / 0.2, prototypes.sinkhorn(b, 0.1)) + cross_entropy(b / 0.2, prototypes.sinkhorn(a, 0.1))
    ) / 2
    assert_close(prototypes.swapped_prediction(a, b, 0.2, 0.1), expected)


def test_queries_are_classified_among_their_key_and_the_queue():
    query, key, queue = (normalize(torch.randn(n, 4, dtype=torch.float64), dim=1) for n in (6, 6, 9))
    expected = torch.stack(
        [cross_entropy(torch.cat([k[None], queue]) @ q / 0.3, torch.tensor(0)) for q, k in zip(query, key, strict=True)]
    ).mean()
    assert_close(contrastive.momentum_info_nce(query, key, queue, 0.3), expected)
    with pytest.raises(ValueError, match=r"query is \[6, 4\] but negatives is \[9, 3\]"):
        contrastive.momentum_info_nce(query, key, queue[:, :3])


def test_keys_and_stored_codes_get_no_gradient():
    codes = [torch.randn(5, 3, requires_grad=True) for _ in range(3)]
    first, *others = torch.autograd.grad(contrastive.momentum_info_nce(*codes), codes, allow_unused=True)
    assert first is not None
    assert others == [None, None]


def test_the_targets_of_a_prediction_get_no_gradient():
    p, z = (torch.randn(5, 3, dtype=torch.float64, requires_grad=True) for _ in "pz")
    loss = contrastive.negative_cosine(p, z)
    assert_close(2 + 2 * loss, (normalize(p, dim=1) - normalize(z, dim=1)).square().sum(1).mean())
    grads = torch.autograd.grad(loss, (p, z), allow_unused=True)
    assert grads[0] is not None
    assert grads[1] is None


def test_self_distillation_is_the_papers_cross_entropy_computed_by_hand():
    rng = np.random.default_rng(5)
    s1, s2, t1, t2 = rng.normal(size=(4, 7, 5))
    center = rng.normal(size=5)

    def softmax(values):
        raised = np.exp(values - values.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)

    expected = 0.0
    for taught, learnt in ((t1, s2), (t2, s1)):  # eq. 3 with two views: each is the teacher's once
        q, p = softmax((taught - center) / 0.04), softmax(learnt / 0.1)
        expected += -(q * np.log(p)).sum(1).mean() / 2
    tensors = [torch.tensor(values, requires_grad=True) for values in (s1, s2, t1, t2)]
    loss = prototypes.self_distillation(*tensors, torch.tensor(center))
    assert_close(loss.item(), expected)
    loss.backward()
    assert_close(tensors[0].grad, torch.tensor((softmax(s1 / 0.1) - softmax((t2 - center) / 0.04)) / 0.1 / 7 / 2))
    assert tensors[2].grad is None


def test_self_distillation_knows_both_ways_to_collapse():
    same = torch.ones(6, 8, dtype=torch.float64)
    spread = prototypes.self_distillation(same, same, same, same)  # uniform: the entropy of K values
    assert_close(spread.item(), math.log(8))
    one = torch.zeros(6, 8, dtype=torch.float64)
    one[:, 3] = 5.0
    assert prototypes.self_distillation(one, one, one, one) < 1e-9  # all on one prototype: nothing left to learn
    centred = prototypes.self_distillation(one, one, one, one, one.mean(0))  # the centre makes that costly
    assert centred > 40
