"""The world of known content and style: what views share, that nothing is lost in mixing, what depends on what."""

import numpy as np
import pytest
import torch
from torch import Generator
from torch.nn.functional import leaky_relu
from torch.testing import assert_close

from tools.identifiability import SLOPE, CausalBlocks, code_blocks


def test_views_share_the_content_and_the_style_that_is_kept():
    data, generator = CausalBlocks(content=2, style=2), Generator().manual_seed(0)
    latents = data.draw(50, generator)
    view = data.view(latents, "style 2", generator)
    same = {name: torch.equal(view[:, block], latents[:, block]) for name, block in data.blocks().items()}
    assert same == {"content": True, "style 1": False, "style 2": True}


def test_the_mixing_can_be_undone():
    data = CausalBlocks(seed=3)
    latents = data.draw(20, Generator().manual_seed(1)).double()
    *others, last = [matrix.double() for matrix in reversed(data.mixing)]
    x = data.observe(latents.float()).double()
    for matrix in others:
        x = leaky_relu(x @ matrix.inverse(), 1 / SLOPE)
    assert_close(x @ last.inverse(), latents, atol=1e-3, rtol=1e-3)
    assert not torch.equal(data.mixing[0], CausalBlocks(seed=4).mixing[0])


@pytest.mark.parametrize(("dependence", "least", "most"), [(0.0, 0.0, 0.1), (2.0, 0.3, 1.0)])
def test_style_follows_content_as_asked(dependence, least, most):
    data = CausalBlocks(dependence=dependence)
    latents = data.draw(2000, Generator().manual_seed(0)).numpy()
    correlation = np.abs(np.corrcoef(latents.T)[: data.content, data.content :])
    assert least <= correlation.max() <= most


def test_blocks_of_a_code_cover_it():
    blocks = code_blocks(CausalBlocks(content=3, style=1), "style_blocks")
    assert [(block.start, block.stop) for block in blocks] == [(0, 4), (4, 6), (6, 8)]
