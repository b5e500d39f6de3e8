"""What holds for every objective: gradients, the order of the batch, extremes, inputs left alone, ranks.

Run as a script it is one rank of the two-process test.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.nn.functional import normalize

from disentangle_bench.methods.objectives import (
    cluster_contrast,
    clustering,
    contrastive,
    domain_contrastive,
    ip_irm,
    looc,
    prototypes,
    style_blocks,
    variational,
)
from disentangle_bench.methods.objectives.gather import all_gather

BLOCKS = style_blocks.block_slices(6, [0.5, 0.5])
STYLE = {"all_keys_for_content": True, "content_negatives": True, "trim": 0.3}

# Of each: the loss of float inputs with a row an image (and what goes to every rank), and which inputs it takes.
Loss = Callable[..., torch.Tensor]
OBJECTIVES: dict[str, tuple[Loss, str]] = {
    "info_nce": (lambda a, b, **kw: contrastive.info_nce(a, b, **kw), "unit unit"),
    "barlow_twins": (lambda a, b, **kw: contrastive.barlow_twins(a, b, **kw), "any any"),
    "vicreg": (lambda a, b, **kw: contrastive.vicreg(a, b, **kw), "any any"),
    "irm_penalty": (lambda a, b, **kw: ip_irm.irm_penalty(a, b, **kw), "unit unit"),
    "invariant_loss": (
        lambda a, b, domain, **kw: ip_irm.invariant_loss(a, b, [domain, 1 - domain], penalty_weight=2.0, **kw),
        "unit unit domain",
    ),
    "soft_info_nce": (lambda a, b, w, **kw: ip_irm.soft_info_nce(a, b, w, **kw), "unit unit membership"),
    "partition_risk": (lambda a, b, s, **kw: ip_irm.partition_risk(a, b, s, **kw), "unit unit logits"),
    "style_info_nce": (
        lambda q, a, b, **kw: style_blocks.style_info_nce(q, [a, b], BLOCKS, **STYLE, **kw).loss,
        "any any any",
    ),
    "style_vicreg": (
        lambda q, a, b, **kw: style_blocks.style_vicreg(q, [a, b], BLOCKS, **STYLE, **kw).loss,
        "any any any",
    ),
    "domain_info_nce": (
        lambda c, p, domain, **kw: domain_contrastive.domain_info_nce(c, p, domain, **kw),
        "unit positives domain",
    ),
    "cluster_loss": (lambda q, **kw: clustering.cluster_loss(q, **kw), "assignment"),
    "anchor_loss": (lambda q, c, **kw: clustering.anchor_loss(q, c, **kw), "assignment assignment"),
    "target_distribution": (
        lambda q, **kw: (clustering.target_distribution(q, **kw) * torch.tensor([1, 2, 4.0]).to(q)).sum(1).mean(),
        "assignment",
    ),
    "negative_cosine": (lambda p, z, **kw: contrastive.negative_cosine(p, z, **kw), "any any"),
    "swapped_prediction": (lambda a, b, **kw: prototypes.swapped_prediction(a / 4, b / 4, **kw), "any any"),
    "self_distillation": (
        lambda a, b, t, u, **kw: prototypes.self_distillation(a / 4, b / 4, t / 4, u / 4, **kw),
        "any any any any",
    ),
    "looc": (lambda q, a, b, **kw: looc.looc([q, a, b], BLOCKS, **kw).loss, "any any any"),
    "cluster_info_nce": (lambda a, b, **kw: cluster_contrast.cluster_info_nce(a, b, **kw), "assignment assignment"),
    "imbalance": (lambda q, **kw: cluster_contrast.imbalance(q, **kw), "assignment"),
    "gaussian_kl": (lambda m, v, gather=None: variational.gaussian_kl(m, v), "any any"),
}
CONSTANTS = {"partition_risk": [0, 1], "anchor_loss": [1], "negative_cosine": [1], "self_distillation": [2, 3]}
"""Inputs, by number, that get no gradient."""
TEMPERED = ["info_nce", "irm_penalty", "invariant_loss", "soft_info_nce", "partition_risk", "style_info_nce"]
TEMPERED += ["domain_info_nce", "swapped_prediction", "looc", "cluster_info_nce", "self_distillation"]
ORDERED = [
    "irm_penalty",
    "invariant_loss",
    "partition_risk",
]  # IP-IRM's penalty: a column is another image in other rows


def inputs(kinds: str, size: int, dtype: torch.dtype = torch.float64, equal: bool = False) -> list[torch.Tensor]:
    """Inputs of `size` images; with `equal` all images are one image."""
    generator = torch.Generator().manual_seed(size)

    def draw(*shape: int) -> torch.Tensor:
        values = torch.randn(size, *shape, generator=generator, dtype=torch.float64)
        return values[:1].expand_as(values) * 1.0 if equal else values

    def one(kind: str) -> torch.Tensor:
        if kind == "domain":
            return torch.arange(size) % 2
        values = {
            "any": lambda: draw(6),
            "unit": lambda: normalize(draw(6), dim=-1),
            "positives": lambda: normalize(draw(2, 6), dim=-1),
            "logits": lambda: draw(3),
            "membership": lambda: draw().sigmoid(),
            "assignment": lambda: draw(3).softmax(-1),
        }[kind]()
        return values.to(dtype).requires_grad_()

    return [one(kind) for kind in kinds.split()]


def value_and_grads(loss: Loss, tensors: list[torch.Tensor], **options) -> list[torch.Tensor]:
    value = loss(*tensors, **options)
    leaves = [t for t in tensors if t.requires_grad]
    return [value.detach(), *torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients(name):
    loss, kinds = OBJECTIVES[name]
    tensors = inputs(kinds, 5)
    if name == "cluster_loss":  # its target is a constant, which finite differences can't know
        q = tensors[0].detach()
        (grad,) = value_and_grads(loss, tensors)[1:]
        torch.testing.assert_close(grad, -clustering.target_distribution(q) / (q + 1e-8) / 5)
        return
    constants = CONSTANTS.get(name, [])
    if name == "swapped_prediction":  # whose assignments are constants, too
        a, b = (t.detach() for t in tensors)
        q2 = prototypes.sinkhorn(b / 4)
        grad, _ = value_and_grads(loss, tensors)[1:]
        expected = ((a / 4 / 0.1).softmax(1) - q2) / 0.1 / 10 / 4
        torch.testing.assert_close(grad, expected)
        return
    tensors = [t.detach() if i in constants else t for i, t in enumerate(tensors)]
    assert torch.autograd.gradcheck(loss, tensors)


def test_gradients_of_the_student_t_assignment():
    h, centers = torch.randn(5, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(clustering.student_t_assignment, (h.requires_grad_(), centers.requires_grad_()))


@pytest.mark.parametrize("name", sorted(OBJECTIVES.keys() - set(ORDERED)))
def test_order_of_the_batch_does_not_matter(name):
    loss, kinds = OBJECTIVES[name]
    tensors = inputs(kinds, 9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    value, *grads = value_and_grads(loss, tensors)
    permuted, *permuted_grads = value_and_grads(
        loss, [t.detach()[order].requires_grad_(t.requires_grad) for t in tensors]
    )
    torch.testing.assert_close(permuted, value)
    for grad, permuted_grad in zip(grads, permuted_grads, strict=True):
        torch.testing.assert_close(permuted_grad, grad[order])


@pytest.mark.parametrize("name", ["invariant_loss", "partition_risk"])
def test_without_the_penalty_order_does_not_matter_in_ip_irm_either(name):
    loss = {
        "invariant_loss": lambda a, b, domain: ip_irm.invariant_loss(a, b, [domain], penalty_weight=0.0),
        "partition_risk": lambda a, b, s: ip_irm.partition_risk(a, b, s, irm_weight=0.0),
    }[name]
    tensors = [t.detach() for t in inputs(OBJECTIVES[name][1], 9)]
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss(*(t[order] for t in tensors)), loss(*tensors))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_extremes_are_finite(name, size, equal, dtype):
    """One image, one image a domain, one image many times, half precision, each at a temperature of 0.01 too."""
    loss, kinds = OBJECTIVES[name]
    if size == 1 and name in ("vicreg", "style_info_nce", "style_vicreg", "looc"):
        with pytest.raises(ValueError, match="B >= 2"):
            loss(*inputs(kinds, size, dtype))
        return
    for options in [{}, {"temperature": 0.01}][: 1 + (name in TEMPERED)]:
        value, *grads = value_and_grads(loss, inputs(kinds, size, dtype, equal), **options)
        assert value.isfinite()
        assert value.dtype == (torch.float32 if dtype == torch.bfloat16 else dtype)
        assert all(grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_half_precision_and_autocast_compute_in_float32(name):
    loss, kinds = OBJECTIVES[name]
    half = inputs(kinds, 8, torch.bfloat16)
    full = [t.detach().float().requires_grad_() if t.requires_grad else t for t in half]
    expected = loss(*full)
    torch.testing.assert_close(loss(*half), expected, rtol=0, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss(*full), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_inputs_are_left_alone(name):
    loss, kinds = OBJECTIVES[name]
    tensors = inputs(kinds, 6)
    before = [t.detach().clone() for t in tensors]
    value_and_grads(loss, tensors)
    assert all(torch.equal(t, b) for t, b in zip(tensors, before, strict=True))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_wrong_shapes_name_both(name):
    loss, kinds = OBJECTIVES[name]
    tensors = [t.detach() for t in inputs(kinds, 6)]
    if len(tensors) == 1:
        with pytest.raises(ValueError, match=r"[pq] is \[3\]"):
            loss(tensors[0][0])
        return
    second = tensors[1][:5]
    with pytest.raises(ValueError, match=r"is \[6, \d\] but .* is \[5, "):
        loss(tensors[0], second, *tensors[2:])


@pytest.mark.parametrize("name", TEMPERED)
@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperatures_must_be_positive(name, temperature):
    loss, kinds = OBJECTIVES[name]
    with pytest.raises(ValueError, match=r"temperature is .* but must be above 0"):
        loss(*inputs(kinds, 4), temperature=temperature)


WORLD = 2


def run_rank(rank: int, folder: Path) -> None:
    """Every objective on this rank's rows; leaves its value and gradients in `folder`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'init'}", rank=rank, world_size=WORLD)
    results = {}
    for name, (loss, kinds) in OBJECTIVES.items():
        own = [t.detach().chunk(WORLD)[rank].clone().requires_grad_(t.requires_grad) for t in inputs(kinds, 8)]
        results[name] = value_and_grads(loss, own, gather=all_gather)
    z1, z2 = (t.detach().chunk(WORLD)[rank] for t in inputs("unit unit", 8))
    generator = torch.Generator().manual_seed(0)
    results["learn_partition"] = [ip_irm.learn_partition(z1, z2, max_epochs=3, generator=generator, gather=all_gather)]
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_are_one_process_on_the_stacked_batch(tmp_path):
    """Means over ranks, of values and of gradients (a rank's gradient of the other's rows is 0)."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    ranks = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)], env=environment) for rank in range(WORLD)
    ]
    try:
        assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
    results = [torch.load(tmp_path / f"{rank}.pt") for rank in range(WORLD)]
    for name, (loss, kinds) in OBJECTIVES.items():
        value, *grads = value_and_grads(loss, inputs(kinds, 8))
        own = [result[name] for result in results]
        assert abs(sum(o[0] for o in own) / WORLD - value) <= 1e-10, name
        for i, grad in enumerate(grads, start=1):
            stacked = torch.cat([o[i] for o in own]) / WORLD
            assert (stacked - grad).abs().max() <= 1e-10, name
    z1, z2 = (t.detach() for t in inputs("unit unit", 8))
    expected = ip_irm.learn_partition(z1, z2, max_epochs=3, generator=torch.Generator().manual_seed(0))
    for result in results:
        torch.testing.assert_close(result["learn_partition"][0], expected, rtol=1e-10, atol=1e-10)


if __name__ == "__main__":
    run_rank(int(sys.argv[1]), Path(sys.argv[2]))
