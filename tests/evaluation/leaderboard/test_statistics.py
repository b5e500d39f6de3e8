"""Intervals, paired tests and Holm's correction: against scipy and statsmodels, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from disentangle_bench.evaluation.leaderboard.frame import observations
from disentangle_bench.evaluation.leaderboard.statistics import (
    BETTER,
    NO_SPREAD,
    SAME,
    UNTESTED,
    WORSE,
    against,
    holm,
    interval,
    paired_tests,
    verdicts,
)
from disentangle_bench.evaluation.leaderboard.summary import summarise

KNOWN = [0.71, 0.74, 0.69, 0.77, 0.73]


def test_t_interval_is_that_of_statsmodels():
    assert interval(KNOWN) == pytest.approx(DescrStatsW(KNOWN).tconfint_mean(0.05), abs=1e-12)


def test_bootstrap_interval_is_near_the_t_interval_for_many_values_and_the_same_each_time():
    x = np.random.default_rng(0).normal(size=200)
    assert interval(x, method="bootstrap") == pytest.approx(interval(x), abs=0.02)
    assert interval(x, method="bootstrap") == interval(x, method="bootstrap")


@pytest.mark.parametrize("values", [[], [0.5]])
def test_no_interval_below_two_values(values):
    assert all(map(math.isnan, interval(values)))


def test_equal_values_have_an_interval_of_no_width():
    assert interval([0.5, 0.5], method="bootstrap") == interval([0.5, 0.5]) == (0.5, 0.5)


def test_paired_tests_are_those_of_scipy_and_statsmodels():
    rng = np.random.default_rng(1)
    pairs = [(rng.normal(size=n), rng.normal(0.3, 1, size=n)) for n in (5, 2, 5, 9, 1)]
    found = paired_tests([a - b for a, b in pairs])
    for k, (a, b) in enumerate(pairs[:-1]):
        wanted = stats.ttest_rel(a, b)
        assert found["p"][k] == pytest.approx(wanted.pvalue, rel=1e-10)
        assert found["difference"][k] == pytest.approx((a - b).mean())
        assert (found["low"][k], found["high"][k]) == pytest.approx(DescrStatsW(a - b).tconfint_mean(0.05))
    gap = pairs[0][0] - pairs[0][1]
    assert found["effect"][0] == pytest.approx(gap.mean() / gap.std(ddof=1) * (1 - 3 / 15))
    assert math.isnan(found["effect"][1])
    assert math.isnan(found["p"][4])
    assert found["n"].tolist() == [5, 2, 5, 9, 1]


def test_holm_is_that_of_statsmodels_and_skips_what_was_not_tested():
    rng = np.random.default_rng(2)
    for size in (1, 2, 7, 40):
        p = rng.uniform(size=size) ** 3
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-15)
    assert holm(np.array([0.02, math.nan, 0.03])) == pytest.approx([0.04, math.nan, 0.04], nan_ok=True)
    assert len(holm(np.array([]))) == 0


def test_verdicts_in_words():
    p = np.array([0.01, 0.01, 0.2, math.nan, math.nan, math.nan, math.nan])
    gain = np.array([0.1, -0.1, 0.1, 0.1, 0.1, 0.0, math.nan])
    n = np.array([3, 3, 3, 1, 3, 3, 0])
    assert verdicts(p, gain, n) == [
        BETTER,
        WORSE,
        SAME,
        UNTESTED,
        NO_SPREAD,
        SAME,
        "no seed in common: not tested",
    ]


def test_constant_differences_are_not_tested():
    found = paired_tests([np.full(3, 1 / 360) + np.array([0, 1e-17, 0]), np.zeros(3)])
    assert np.isnan(found["p"]).all()
    assert found["difference"] == pytest.approx([1 / 360, 0])


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_false_positives_of_simulated_ties_are_five_percent(n):
    """20,000 ties of two methods that share the seed's noise; the standard error of the rate is 0.15 %."""
    rng = np.random.default_rng(n)
    shared = rng.normal(size=(20_000, n))
    a, b = (0.9 + 0.01 * (shared + rng.normal(size=shared.shape)) for _ in range(2))
    tests = paired_tests(list(a - b))
    words = verdicts(tests["p"], tests["difference"], tests["n"])
    rate = np.mean([word != SAME for word in words])
    assert 0.044 < rate < 0.056
    assert 0.4 < words.count(BETTER) / (words.count(BETTER) + words.count(WORSE)) < 0.6


def test_false_positives_of_a_whole_column_are_at_most_five_percent():
    """With ten methods that all tie with the baseline, Holm keeps the chance of any verdict at 5 %."""
    rng = np.random.default_rng(0)
    tests = paired_tests(list(rng.normal(size=(20_000, 5))))
    families = tests["p"].reshape(2000, 10)
    rate = np.mean([(holm(family) < 0.05).any() for family in families])
    assert 0.035 < rate < 0.065


@pytest.mark.parametrize("n", [2, 3, 5])
def test_intervals_of_the_table_cover_the_truth_in_95_percent(n):
    """4,000 lines of the frame itself, standard error 0.34 %."""
    import pandas as pd

    rng = np.random.default_rng(n)
    size = 4000
    seen = pd.DataFrame(
        {
            "dataset": "d",
            "method": np.repeat([f"m{k:04}" for k in range(size)], n),
            "settings": np.repeat([f"s{k:04}" for k in range(size)], n),
            "labels": "none",
            "budget": "1 epochs",
            "seed": np.tile(np.arange(n), size),
            "run": "r",
            "space": "features",
            "measure": "linear@1",
            "score": "top1",
            "target": "class",
            "value": rng.normal(0.8, 0.02, size * n),
            "reason": "",
        }
    )
    table = summarise(seen)
    covered = ((table["low"] <= 0.8) & (table["high"] >= 0.8)).mean()
    assert 0.937 < covered < 0.963


def test_bootstrap_covers_nearly_95_percent_for_twenty_values():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 20))
    found = stats.bootstrap((x,), np.mean, axis=1, n_resamples=500, rng=rng).confidence_interval
    own = interval(x[0], method="bootstrap")
    assert own == pytest.approx((found.low[0], found.high[0]), abs=0.1)
    assert 0.89 < ((found.low <= 0) & (found.high >= 0)).mean() < 0.97


def test_against_a_baseline_pairs_seeds_and_says_what_cannot_be_told(record):
    base = {0: 0.80, 1: 0.82, 2: 0.78, 3: 0.81}
    up = {0: 0.90, 1: 0.921, 2: 0.882, 3: 0.909}
    records = [record(method="base", seed=s, top1=v) for s, v in base.items()]
    records += [record(method="up", seed=s, top1=v) for s, v in up.items() if s != 3] + [record(method="up", seed=9)]
    records += [record(method="same", seed=s, top1=v + 0.01 * (-1) ** s) for s, v in base.items()]
    records += [record(method="once", seed=0, top1=0.99), record(method="else", seed=7, top1=0.99)]
    table = against(observations(records), "base").set_index("method")
    assert set(table.index) == {"up", "same", "once", "else"}
    assert table.loc["up", "n"] == 3  # seed 9 has no partner
    wanted = stats.ttest_rel([0.90, 0.921, 0.882], [0.80, 0.82, 0.78])
    assert table.loc["up", "p"] == pytest.approx(wanted.pvalue)
    assert table.loc["up", "p_holm"] == pytest.approx(2 * wanted.pvalue)  # two of the four were tested
    assert table["verdict"].to_dict() == {
        "up": BETTER,
        "same": SAME,
        "once": UNTESTED,
        "else": "no seed in common: not tested",
    }


def test_less_leakage_is_better(record):
    def leaking(method, by):
        row = {"measure": "leakage@1", "target": "color"}
        return [
            record(
                method=method, seed=s, metrics=[row | {"scores": {"linear": 0.5 + by + 0.001 * s**2, "chance": 0.1}}]
            )
            for s in range(3)
        ]

    base = leaking("base", 0.0)
    for k, each in enumerate(base):
        each["metrics"][1]["scores"]["linear"] += 0.0007 * k
    table = against(observations([*base, *leaking("tight", -0.2)]), "base")
    leak = table[table["measure"] == "leakage@1"]
    assert leak["score"].tolist() == ["linear"]  # the chance level is not compared
    assert leak["verdict"].tolist() == [BETTER]
    assert leak["difference"].iloc[0] < 0


def test_a_space_that_the_baseline_lacks_is_compared_with_its_features(record):
    records = [record(method="base", seed=s, top1=0.5 + 0.01 * s) for s in range(3)]
    records += [record(method="new", seed=s, top1=0.6 + 0.03 * s**2, space="content") for s in range(3)]
    only = against(observations(records), "base").iloc[0]
    assert (only["space"], only["baseline_space"]) == ("content", "features")


def test_an_unknown_baseline_is_refused_with_the_known_ones(record):
    with pytest.raises(ValueError, match="no baseline 'simclrr' in these records: simclr"):
        against(observations([record()]), "simclrr")
