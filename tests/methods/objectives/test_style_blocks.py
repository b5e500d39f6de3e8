"""Style blocks: both forms of the loss, the blocks and the dual step against the authors' code."""

import pytest
import torch

from disentangle_bench.methods.objectives.style_blocks import block_slices, style_info_nce, style_vicreg, update_weights

SIMCLR = ["two", "three_mcont", "four_addneg", "exclude", "all_options", "separate_style"]
VICREG = ["two", "three_mcont", "four_addneg"]


def slices(options):
    """Blocks by the reference's rule; with a style projector of its own, the content block is all of `z_size`."""
    content, style, fractions = options["z_size"], options["z_style"], options["split_fracts"]
    return separate(content, fractions, style) if style else block_slices(content, fractions)


def separate(content, fractions, style):
    rest = [fraction / sum(fractions[1:]) for fraction in fractions[1:]]
    moved = [slice(block.start + content, block.stop + content) for block in block_slices(style, rest)]
    return [slice(0, content), *moved]


def run(case, z):
    options = case.options
    common = {
        "weights": case.tensor("in_lambdas"),
        "all_keys_for_content": options["m_cont_views"],
        "content_negatives": options["add_cont_neg"],
        "trim": options["exclude_fract"],
    }
    if options["fn"] == "simclrmultihead":
        return style_info_nce(z[0], z[1:].unbind(), slices(options), temperature=options["temperature"], **common)
    coefficients = {"variance": options["std_coeff"], "covariance": options["cov_coeff"]}
    return style_vicreg(z[0], z[1:].unbind(), slices(options), **coefficients, **common)


@pytest.mark.parametrize(
    ("name", "rtol", "atol"),
    [(f"simclr_mh_{name}", 1e-9, 1e-12) for name in SIMCLR] + [(f"vicreg_mh_{name}", 2e-6, 2e-6) for name in VICREG],
)
def test_loss_parts_and_gradient_are_the_reference(golden, name, rtol, atol):
    case = golden(f"style_blocks/{name}")
    z = case.tensor("in_z", grad=True)
    result = run(case, z)
    for part, expected in [("loss", "loss"), ("alignment", "inv_constraint"), ("entropy", "entropy_term")]:
        torch.testing.assert_close(getattr(result, part), case.tensor(f"out_{expected}"), rtol=rtol, atol=atol)
    (grad,) = torch.autograd.grad(result.loss, z)
    torch.testing.assert_close(grad, case.tensor("grad_z"), rtol=rtol, atol=atol)


def test_trimmed_vicreg_differs_from_the_reference(golden):
    """The reference sorts the errors along features and leaves out the batch's last images, not the worst."""
    case = golden("style_blocks/vicreg_mh_exclude_bug")
    z, options = case.tensor("in_z"), case.options
    result = run(case, z)
    torch.testing.assert_close(result.entropy, case.tensor("out_entropy_term"), rtol=2e-6, atol=2e-6)
    kept = 20 - 2
    for m, block in enumerate(slices(options)):
        errors = (z[0] - z[1 + m])[:, block].square().mean(1)
        torch.testing.assert_close(errors[:kept].mean(), case.tensor("out_inv_constraint")[m])  # the fault
        torch.testing.assert_close(result.alignment[m], errors.sort().values[:kept].mean())
    assert not torch.isclose(result.loss, case.tensor("out_loss"), rtol=1e-3)


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("loss", [style_info_nce, style_vicreg])
def test_trim_below_one_image_leaves_out_none(loss, size):
    """The reference leaves out all of them there: a NaN."""
    z = torch.randn(3, size, 6, dtype=torch.float64)
    blocks = block_slices(6, [0.5, 0.5])
    assert loss(z[0], z[1:], blocks, trim=0.1).loss == loss(z[0], z[1:], blocks).loss


def test_default_weights():
    z = torch.randn(3, 5, 6, dtype=torch.float64)
    blocks = block_slices(6, [0.5, 0.5])
    assert style_info_nce(z[0], z[1:], blocks).loss == style_info_nce(z[0], z[1:], blocks, weights=[1, 1]).loss
    assert style_vicreg(z[0], z[1:], blocks).loss == style_vicreg(z[0], z[1:], blocks, weights=[25, 25]).loss


def test_perfect_alignment_meets_the_constraint():
    z = torch.randn(5, 6, dtype=torch.float64)
    blocks = block_slices(6, [0.5, 0.5])
    torch.testing.assert_close(
        style_info_nce(z, [z, z], blocks, temperature=0.15).alignment * 0.15 + 1, torch.zeros(2, dtype=torch.float64)
    )
    assert (style_vicreg(z, [z, z], blocks).alignment == 0).all()


@pytest.mark.parametrize("name", ["split_indices", "split_indices_separate"])
def test_blocks_are_the_reference(golden, name):
    case = golden(f"style_blocks/{name}")
    offsets = case["out_offsets"]
    for combo, begin, end in zip(case.options["combos"], offsets[:-1], offsets[1:], strict=True):
        dim, fractions, style = combo
        blocks = separate(dim, fractions, style) if style else block_slices(dim, fractions)
        assert [block.start for block in blocks] == case["out_start"][begin:end].tolist()
        assert [block.stop - block.start for block in blocks] == case["out_sizes"][begin:end].tolist()


def test_blocks_truncate_but_tolerate_rounding_of_the_sum():
    assert block_slices(100, [0.71, 0.29]) == [slice(0, 72), slice(72, 100)]
    assert block_slices(10, [0.6, 0.3, 0.1]) == [slice(0, 6), slice(6, 9), slice(9, 10)]
    with pytest.raises(ValueError, match=r"sum to 0\.9"):
        block_slices(10, [0.5, 0.4])
    with pytest.raises(ValueError, match=r"give blocks of \[4, 0\]"):
        block_slices(4, [0.9, 0.1])


@pytest.mark.parametrize("name", ["update_lambdas", "update_lambdas_frozen_content"])
def test_dual_step_is_the_reference(golden, name):
    case = golden(f"style_blocks/{name}")
    weights = case.tensor("in_lambda0")
    steps = zip(
        case.tensor("in_constraints"), case["out_lr"], case["out_active"], case.tensor("out_lambdas"), strict=True
    )
    for constraints, lr, active, expected in steps:
        if active:
            content = weights[0]
            weights = update_weights(weights, constraints, float(lr), case.options["tolerance"])
            if case.options["adapt_cont"] is False:
                weights[0] = content
        torch.testing.assert_close(weights, expected, rtol=1e-10, atol=1e-12)


def test_weights_stay_at_or_above_zero():
    weights, constraints = torch.tensor([1.0, 0.5]), torch.tensor([2.0, -8.0])
    assert update_weights(weights, constraints, 0.5, 1.0).tolist() == [1.5, 0.0]
    assert weights.tolist() == [1.0, 0.5]
    with pytest.raises(ValueError, match=r"weights is \[2\] but constraints is \[3\]"):
        update_weights(weights, torch.zeros(3), 0.5, 1.0)


def test_wrong_arguments_are_named():
    z = torch.randn(3, 4, 6)
    blocks = block_slices(6, [0.5, 0.5])
    with pytest.raises(ValueError, match=r"query is \[4, 6\] but key 1 is \[4, 5\]"):
        style_info_nce(z[0], [z[1], z[2, :, :5]], blocks)
    with pytest.raises(ValueError, match="1 keys but 2 blocks"):
        style_vicreg(z[0], [z[1]], blocks)
    with pytest.raises(ValueError, match=r"weights is \[3\] but there are 2 blocks"):
        style_vicreg(z[0], z[1:], blocks, weights=[1, 2, 3])
    with pytest.raises(ValueError, match="trim is 1"):
        style_vicreg(z[0], z[1:], blocks, trim=1.0)
    with pytest.raises(ValueError, match="B >= 2"):
        style_info_nce(z[0, :1], z[1:, :1], blocks)
