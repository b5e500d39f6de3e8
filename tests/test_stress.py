"""The stress lab plants what it says, and its verdicts are those of curves that anybody would judge alike."""

import numpy as np
import pytest

from tools.stress import POINTS, curve, factors, plant, verdict


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9, 0.5, 0.1], "holds"),
        ([0.9, 0.9, 0.85], "blind"),
        ([0.9, 0.2, 0.5], "rises"),
        ([0.4, 0.2, 0.1], "shifted"),
        ([0.9, float("nan"), 0.1], "undefined"),
    ],
)
def test_verdicts(scores, expected):
    assert verdict(scores, [0.95, 0.5, 0.1]) == expected


def test_codes_are_planted_as_asked():
    values = factors(0)
    alone, mixed = (plant(values, mixing, 8, "noise", 1.0, 0, 0) for mixing in (0.0, 1.0))
    own = (values - values.mean(0)) / values.std(0)
    np.testing.assert_allclose(alone[:, :4], own)
    assert np.array_equal(alone[:, 4:], mixed[:, 4:])
    np.testing.assert_allclose(np.linalg.norm(mixed[:, :4], axis=1), np.linalg.norm(own, axis=1))
    shares = np.abs(np.corrcoef(np.c_[mixed[:, :4], own].T)[:4, 4:])
    np.testing.assert_allclose(shares, 0.5, atol=0.1)  # the factors themselves correlate by chance, by up to 0.09
    copies = plant(values, 0.0, 8, "copies", 100.0, 0, 0)
    assert [round(float(np.corrcoef(copies[:, k], own[:, k % 4])[0, 1]), 2) for k in range(8)] == [1.0] * 8
    assert copies[:, 0].std() > 50 * copies[:, 4].std()
    assert abs(np.corrcoef(values[:, 0], values[:, 1])[0, 1]) < 0.1
    linked = factors(0, correlated=True)
    assert (linked[:, 0] == linked[:, 1]).sum() > 0.7 * POINTS


def test_a_measure_that_reads_the_truth_falls_along_its_curve():
    def truth(z, f, *_):
        return float(np.mean([abs(np.corrcoef(z[:, k], f[:, k])[0, 1]) for k in range(4)]))

    scores = curve(truth, width=8, seed=0)
    assert scores[0] == pytest.approx(1)
    assert scores == sorted(scores, reverse=True)
