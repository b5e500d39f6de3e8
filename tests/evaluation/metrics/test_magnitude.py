"""What goes by directions doesn't ask how long rows are, even where single precision can't hold their squares."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from disentangle_bench.evaluation.metrics.arrays import unit_rows, within_range
from disentangle_bench.evaluation.metrics.probes import knn_scores
from disentangle_bench.evaluation.metrics.retrieval import cross_domain

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
LABELS, DOMAINS = RNG.integers(3, size=60), RNG.integers(2, size=60)


@pytest.mark.parametrize("power", [110, -110])
@pytest.mark.parametrize(
    "measured",
    [
        lambda x: unit_rows(x, "x"),
        lambda x: knn_scores(x[:40], LABELS[:40], x[40:], num_classes=3, k=5),
        lambda x: list(cross_domain(x, LABELS, DOMAINS).values()),
    ],
)
def test_directions_are_the_same_of_huge_and_of_tiny_rows(measured: Callable[[np.ndarray], Any], power: int):
    lengths = np.where(np.arange(60) % 2, power, 0)[:, None]  # beside rows of the usual size
    np.testing.assert_allclose(measured(np.ldexp(X, lengths)), measured(X), rtol=1e-5, atol=1e-6)


def test_usual_rows_keep_every_bit_and_zeros_stay():
    assert within_range(X) is X
    x = np.vstack([X, np.zeros_like(X[:1]), np.full_like(X[:1], 3e38)])
    moved = within_range(x)
    assert (moved[:61] == x[:61]).all()
    assert moved[61] == pytest.approx(1, abs=0.5)
