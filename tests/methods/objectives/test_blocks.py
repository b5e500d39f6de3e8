"""Losses of large batches: by blocks of rows they are what they are at once, and hold no whole matrix."""

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from disentangle_bench.methods.objectives import contrastive
from disentangle_bench.methods.objectives.contrastive import info_nce
from disentangle_bench.methods.objectives.style_blocks import style_info_nce


def simclr(views):
    return info_nce(views[0], views[1])


def style(views):
    options = {"content_negatives": True, "temperature": 0.5}
    return style_info_nce(views[0], views[1:], [slice(0, 4), slice(4, 6), slice(6, 8)], **options).loss


@pytest.mark.parametrize(("loss", "images"), [(simclr, 1), (simclr, 9), (style, 9)])
@pytest.mark.parametrize("at_once", [1, 60, 100, 200])  # one row a block, several with the rest in the last
def test_by_blocks_value_and_gradients_are_the_same(loss, images, at_once, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    views = [normalize(torch.randn(images, 8, generator=generator, dtype=torch.float64), dim=1) for _ in range(4)]
    found = []
    for most in (10**6, at_once):
        monkeypatch.setattr(contrastive, "AT_ONCE", most)
        given = [view.clone().requires_grad_() for view in views]
        value = loss(given)
        value.backward()
        found.append([value, *(view.grad for view in given if view.grad is not None)])
    assert_close(found[1], found[0])


@pytest.mark.parametrize("loss", [simclr, style])
def test_no_whole_matrix_is_kept_for_the_backward_pass(loss, monkeypatch):
    kept = []

    def largest(at_once):
        kept.clear()
        monkeypatch.setattr(contrastive, "AT_ONCE", at_once)
        views = [torch.ones(40, 8, requires_grad=True) for _ in range(4)]
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
            loss(views)
        return max(kept, default=0)

    assert largest(10**6) >= 80**2
    assert largest(80 * 20) < 80 * 20
