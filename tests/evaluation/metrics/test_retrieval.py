"""Cross-domain retrieval against a plain loop, closed forms and undefined cases."""

import numpy as np
import pytest

from disentangle_bench.evaluation.metrics import MetricUndefined, retrieval
from disentangle_bench.evaluation.metrics.retrieval import cross_domain


def data(n: int = 60, labels: int = 5, domains: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)), rng.integers(labels, size=n), rng.integers(domains, size=n)


def by_hand(x: np.ndarray, y: np.ndarray, d: np.ndarray, ks: tuple[int, ...]) -> dict[str, float]:
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    recall: dict[int, list[bool]] = {k: [] for k in ks}
    precision = []
    for i in range(len(x)):
        others = np.flatnonzero(d != d[i])
        hits = (y[others] == y[i])[np.argsort(-(x[others] @ x[i]), kind="stable")]
        if not hits.any():
            continue
        for k in ks:
            recall[k].append(hits[:k].any())
        precision.append(np.mean([hits[: r + 1].mean() for r in np.flatnonzero(hits)]))
    means = {f"recall@{k}": float(np.mean(recall[k])) for k in ks}
    return means | {"map": float(np.mean(precision)), "queries": float(len(precision))}


@pytest.mark.parametrize("similarities", [1, 2**23])
def test_is_the_plain_loop_in_any_block_size(monkeypatch, similarities):
    monkeypatch.setattr(retrieval, "SIMILARITIES", similarities)
    x, y, d = data()
    y[:4], d[:4] = [77, 78, 78, 79], [0, 1, 1, 2]  # labels of one domain only: no queries
    expected = by_hand(x, y, d, (1, 3, 500))
    assert expected["queries"] == 56
    assert cross_domain(x, y, d, ks=(1, 3, 500)) == pytest.approx(expected, abs=1e-9)
    assert cross_domain(x * np.linspace(1, 90, 60)[:, None], y - 7, d * 5, ks=(1, 3, 500)) == pytest.approx(expected)


def test_perfect_and_chance():
    rng = np.random.default_rng(0)
    y, d = rng.integers(5, size=1000), rng.integers(2, size=1000)
    scores = cross_domain(np.eye(5)[y] + 0.01 * rng.normal(size=(1000, 5)), y, d)
    assert scores == {"recall@1": 1, "recall@5": 1, "map": 1, "queries": 1000}
    scores = cross_domain(rng.normal(size=(1000, 16)), y, d)
    assert scores["recall@1"] == pytest.approx(0.2, abs=0.04)
    assert scores["map"] == pytest.approx(0.2, abs=0.02)


def test_same_domain_is_never_retrieved():
    # the same label lies close in its own domain, and far in the other
    x = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    scores = cross_domain(x, [0, 1, 1, 0], [0, 0, 1, 1], ks=(1, 2))
    assert scores["recall@1"] == pytest.approx(
        by_hand(x, np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]), (1,))["recall@1"]
    )
    own = cross_domain(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.6]]), [0, 0, 0, 1], [0, 0, 1, 1], ks=(1,))
    assert own["recall@1"] == pytest.approx(1 / 3)
    assert own["queries"] == 3


def test_undefined_and_wrong_inputs():
    x, y, d = data()
    with pytest.raises(MetricUndefined, match="two domains, all samples are of 4"):
        cross_domain(x, y, np.full(60, 4))
    with pytest.raises(MetricUndefined, match="no sample's label occurs in another domain"):
        cross_domain(x, d, d)
    with pytest.raises(MetricUndefined, match="constant"):
        cross_domain(np.ones_like(x), y, d)
    with pytest.raises(MetricUndefined, match="4 non-finite"):
        cross_domain(np.where(np.arange(60)[:, None] == 2, np.nan, x), y, d)
    with pytest.raises(ValueError, match=r"\(59,\) but features \(60, 4\)"):
        cross_domain(x, y, d[1:])
    with pytest.raises(ValueError, match="at least 1"):
        cross_domain(x, y, d, ks=(0, 1))
