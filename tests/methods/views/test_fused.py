"""Colours in one pass: the same to the last bit as by tensor operations, which take over wherever it can't be used."""

import sys

import pytest
import torch

from disentangle_bench.methods.views import Augmentation, pixels

SHAPES = [(6, 3, 1, 1), (6, 3, 5, 7), (64, 3, 32, 32), (6, 3, 33, 65), (1, 3, 224, 200)]


@pytest.fixture
def plain(monkeypatch):
    """`pixels.recolour` without what is compiled."""

    def recolour(*given):
        with monkeypatch.context() as patch:
            patch.setattr(pixels, "compiled", lambda: None)
            return pixels.recolour(*given)

    return recolour


@pytest.fixture
def fused():
    pytest.importorskip("numba")
    return pixels.compiled()


def drawn(shape, seed=0):
    """Images, some grey and some with equal channels, and all kinds of changes."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low, high):
        return low + (high - low) * torch.rand(shape[0], generator=generator)

    images = torch.rand(shape, generator=generator)
    images[::3] = (images[::3] * 3).floor() / 2
    images[1::5] = images[1::5, :1]
    return (
        images, uniform(0, 1) < 0.7, uniform(0, 2), uniform(0, 2), uniform(0, 2), uniform(-1, 1), uniform(0, 1) < 0.3,
    )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_same_bits_as_tensor_operations(fused, plain, shape, layout):
    images, *params = drawn(shape)
    images = images.to(memory_format=layout)
    assert fused.takes(images, *params)
    expected, made = plain(images, *params), pixels.recolour(images, *params)
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert torch.equal(made, expected)
    else:  # there torch may round twice where it multiplies and adds
        torch.testing.assert_close(made, expected, atol=1e-6, rtol=0)


def test_what_was_given_is_left_alone(fused):
    given = drawn((6, 3, 5, 7))
    before = [one.clone() for one in given]
    pixels.recolour(*given)
    assert all(map(torch.equal, given, before))


@pytest.mark.parametrize(
    "kind", ["float64", "grey", "meta", "gradient", "gradient of a strength", "one for all", "shares"]
)
def test_what_it_does_not_take_goes_by_tensor_operations(fused, plain, kind):
    images, jitter, *params = drawn((6, 3, 5, 7))
    if kind == "float64":
        images = images.double()
    elif kind == "grey":
        images = images[:, :1]
    elif kind == "gradient":
        images.requires_grad_()
    elif kind == "one for all":  # of which what is compiled would read beyond the end
        params[0] = params[0][:1]
    elif kind == "shares":
        jitter = jitter.float()
    elif kind == "gradient of a strength":
        params[0].requires_grad_()
    else:
        images, jitter, *params = (one.to("meta") for one in (images, jitter, *params))
    made = pixels.recolour(images, jitter, *params)
    assert made.shape == images.shape
    assert made.dtype == images.dtype
    assert made.requires_grad == kind.startswith("gradient")
    if kind != "meta":
        assert torch.equal(made, plain(images, jitter, *params))


@pytest.fixture
def asked_anew(monkeypatch):
    """Whether numba can be used is found out in the test, and once more after it."""
    monkeypatch.delitem(sys.modules, "disentangle_bench.methods.views.fused", raising=False)
    pixels.compiled.cache_clear()
    yield monkeypatch
    pixels.compiled.cache_clear()


def test_views_need_no_numba(asked_anew):
    images, generator = torch.rand(8, 3, 16, 16), torch.Generator().manual_seed(0)
    params = Augmentation().draw(8, generator)
    expected = Augmentation().apply(images, params)
    pixels.compiled.cache_clear()
    asked_anew.setitem(sys.modules, "numba", None)  # as if it weren't installed
    made = Augmentation().apply(images, params)
    assert pixels.compiled() is None
    torch.testing.assert_close(made, expected, atol=1e-6, rtol=0)


def test_a_numba_that_cannot_be_used_costs_a_warning(asked_anew, fused):
    pixels.compiled.cache_clear()
    asked_anew.delitem(sys.modules, "disentangle_bench.methods.views.fused")
    asked_anew.setitem(sys.modules, "llvmlite", None)
    with pytest.warns(UserWarning, match="tensor operations, numba can't be used: .*llvmlite"):
        assert pixels.compiled() is None
