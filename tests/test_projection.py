"""What the page on scaling projects is what its tool says, of all methods that train."""

from pathlib import Path

import pytest
import torch

from disentangle_bench import methods
from tools import projection


@pytest.fixture(scope="module")
def page():
    """Cells of every row of its tables, by their first cell."""
    text = (Path(__file__).parent.parent / "docs" / "scaling.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {row[0]: row for row in rows}


def test_the_table_of_suites_is_the_projection(page):
    assert set(projection.PASSES) == {name for name in methods.available() if methods.find(name).trains}
    for row in projection.suite_hours(50e12):
        assert page[row[0]] == row


def test_operations_of_a_network_are_those_of_its_layers(page):
    """A ResNet-18 with a 3x3 stem: its first convolution, and a block, by hand; the page says the rest."""
    for edge in (32, 64, 96, 112, 224):
        assert page[str(edge)][2] == f"{projection.flops(edge) / 1e9:.2f}"
    stages = [(64, 32, 64, 1), (64, 32, 128, 2), (128, 16, 256, 2), (256, 8, 512, 2)]  # channels, edge, out, stride
    by_hand = 3 * 9 * 64 * 32**2
    for channels, edge, out, stride in stages:
        area = (edge // stride) ** 2
        by_hand += (9 * channels + 3 * 9 * out + (channels if stride == 2 else 0)) * out * area
    assert projection.flops(32) == 2 * by_hand


def test_k_means_is_counted_by_its_products():
    """Distances of 6 rows to 4 centres of 3 numbers, and sums by cluster, are a product of matrices each."""
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter:
        torch.ones(6, 3) @ torch.ones(3, 4)
        torch.ones(4, 6) @ torch.ones(6, 3)
    assert projection.lloyd_flops(6, 3, 4, 1) == counter.get_total_flops()
    assert projection.start_bytes(6, 3, 4) == 4 * torch.ones(6, 3).nelement() * 4
