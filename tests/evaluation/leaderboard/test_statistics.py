"""Intervals that cover, rank sets that are right, and gaps that are found: known answers and simulated tables."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import ndtri

from disentangle_bench.evaluation.leaderboard.statistics import Layout, column, critical
from disentangle_bench.evaluation.leaderboard.summary import leaderboard
from tests.evaluation.leaderboard.conftest import at

pytestmark = pytest.mark.filterwarnings("error")
ROWS, LEVEL = 20, 0.9
"""Rows of a simulated table, and their accuracy."""


def accuracies(rng, n, images, gap=0.0, sd=0.012, shared=0.5, own=0.2):
    """Right or wrong [rows, n, images]: seeds differ by `sd`, images are hard for all rows, for one, or for one run.

    A normal variable above a threshold: its variance is `shared` between all rows, `own` to a row's image, and the
    rest is of the single run. The last row is less accurate by `gap`.
    """
    accuracy = np.full(ROWS, LEVEL)
    accuracy[-1] -= gap
    limit = ndtri(accuracy)
    seeds = sd * rng.normal(size=(ROWS, n)) / stats.norm.pdf(limit)[:, None]
    hard = np.sqrt(shared) * rng.normal(size=images) + np.sqrt(own) * rng.normal(size=(ROWS, 1, images))
    noise = np.sqrt(1 - shared - own) * rng.normal(size=(ROWS, n, images))
    return limit[:, None, None] + seeds[..., None] + hard + noise > 0


def named(outcomes):
    return {f"row {k}": row for k, row in enumerate(outcomes)}


@pytest.mark.parametrize("rows", [2, 20])
@pytest.mark.parametrize("df", [2, 7, 33, 1e9])
def test_the_studentised_range_is_scipys(rows, df):
    assert critical(rows, np.array(df)) == pytest.approx(stats.studentized_range.ppf(0.95, rows, df), rel=3e-3)


def test_parts_of_a_known_column():
    rng = np.random.default_rng(0)
    rows = named(rng.normal(size=(3, 4, 50)) + rng.normal(size=(3, 4, 1)) + rng.normal(size=(3, 1, 50)))
    found = column(rows)
    seeds = np.stack([row.mean(axis=1) for row in rows.values()])
    images = np.stack([row.mean(axis=0) for row in rows.values()])
    pooled = seeds.var(axis=1, ddof=1).mean()
    assert found["mean"].to_numpy() == pytest.approx(seeds.mean(axis=1))
    assert found["seed_part"].to_numpy() == pytest.approx(np.full(3, pooled / 4))
    assert found["image_part"].to_numpy() == pytest.approx(images.var(axis=1, ddof=1) / 50)
    rest = [row - row.mean(0) - row.mean(1, keepdims=True) + row.mean() for row in rows.values()]
    both = sum((r**2).sum() for r in rest) / (3 * 3 * 49) / (4 * 50)
    total = pooled / 4 + found["image_part"] - both
    squares = (pooled / 4) ** 2 / 9 + found["image_part"] ** 2 / 49 + both**2 / (3 * 3 * 49)
    assert found["df"].to_numpy() == pytest.approx(total**2 / squares)
    half = stats.t.ppf(0.975, found["df"]) * np.sqrt(total)
    assert found["high"].to_numpy() == pytest.approx(found["mean"] + half)
    assert (column(rows, level=0.5)["high"] < found["high"]).all()


def test_seeds_alone_are_tukey_kramers_test_of_scipy():
    rng = np.random.default_rng(1)
    rows = {name: rng.normal(mean, 0.1, size=n) for name, mean, n in (("a", 1.0, 3), ("b", 0.98, 5), ("c", 0.2, 4))}
    found = column(rows)
    p = stats.tukey_hsd(*rows.values()).pvalue
    order = [row.mean() for row in rows.values()]
    above = np.array([[p[i, j] < 0.05 and order[i] > order[j] for j in range(3)] for i in range(3)])
    assert found["rank_low"].tolist() == (1 + above.sum(axis=0)).tolist() == [1, 1, 3]
    assert found["rank_high"].tolist() == (3 - above.sum(axis=1)).tolist() == [2, 2, 3]
    assert found["best"].tolist() == [True, True, False]
    assert found["image_part"].isna().all()


def wrong_and_covered(rng, tables, draw):
    """Shares of tables of equal rows with a wrong rank set, and of intervals that hold the truth."""
    wrong = covered = 0.0
    for _ in range(tables):
        found = column(named(draw(rng)))
        wrong += ((found["rank_low"] > 1) | (found["rank_high"] < ROWS)).any()
        covered += ((found["low"] <= LEVEL) & (found["high"] >= LEVEL)).mean()
    return wrong / tables, covered / tables


DRAWS = {
    "outcomes": lambda n: lambda rng: accuracies(rng, n, 360),
    "independent outcomes": lambda n: lambda rng: accuracies(rng, n, 360, shared=0, own=0),
    "normal figures": lambda n: lambda rng: LEVEL + 0.012 * rng.normal(size=(ROWS, n)),
    "quantised figures": lambda n: lambda rng: np.round((LEVEL + 0.012 * rng.normal(size=(ROWS, n))) * 360) / 360,
}


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("n", [3, 5, 10])
def test_equal_rows_are_told_apart_in_few_tables_and_intervals_cover(kind, n):
    """At full size (4,000 tables each): wrong 2.5 to 5.5 %, coverage 94.6 to 95.5 %."""
    wrong, covered = wrong_and_covered(np.random.default_rng(n), 150, DRAWS[kind](n))
    assert wrong <= 0.10  # of 150 tables: 5 % and 2.8 standard errors
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(("n", "images", "gap", "tables"), [(3, 360, 0.10, 40), (5, 2000, 0.05, 20)])
def test_a_gap_is_found(n, images, gap, tables):
    """The row that is worse is not among the best, and is told from any one of the others."""
    rng, lost, apart = np.random.default_rng(0), 0, 0.0
    for _ in range(tables):
        found = column(named(accuracies(rng, n, images, gap)))
        lost += not found["best"].iloc[-1]
        apart += (found["rank_low"].iloc[-1] - 1) / (ROWS - 1)
    assert lost / tables >= 0.95
    assert apart / tables >= 0.90


def test_less_is_better_and_blocks_compete_inside():
    rng = np.random.default_rng(0)
    rows = {f"{block}{k}": 0.1 * k + 0.001 * rng.normal(size=4) for block in "xy" for k in range(3)}
    found = column(rows, down=True, blocks={name: name[0] for name in rows})
    assert found["rank_low"].tolist() == found["rank_high"].tolist() == [1, 2, 3, 1, 2, 3]
    assert found["best"].tolist() == [True, False, False] * 2
    assert column(rows)["rank_low"].tolist() == [5, 3, 1, 5, 3, 1]  # without blocks and upwards
    numbered = column(rows, down=True, blocks={name: -1 if name[0] == "x" else -2 for name in rows})  # of equal hashes
    pd.testing.assert_frame_equal(numbered, found)


def test_below_three_seeds_images_alone_decide_and_nothing_is_ranked():
    images = np.arange(400)
    outcomes = {"right": images < 390, "near": images < 388, "wrong": images < 200}
    one = column({name: row[None] for name, row in outcomes.items()})
    assert one["rank_low"].isna().all()
    assert one["seed_part"].isna().all()
    assert one["best"].tolist() == [True, True, False]
    half = stats.t.ppf(0.975, 399) * outcomes["wrong"].std(ddof=1) / 20
    assert one.loc["wrong", "high"] == pytest.approx(0.5 + half)
    figures = column({"a": np.array([0.9, 0.91]), "b": np.array([0.5, 0.51])})
    assert figures["rank_low"].isna().all()
    assert not figures["best"].any()
    assert column({"a": np.array([0.9])})[["low", "high"]].isna().all(axis=None)


def test_a_single_lucky_run_unseats_no_ranked_row_but_can_be_unseated():
    rng = np.random.default_rng(0)
    rows = named(accuracies(rng, 5, 2000)[:3]) | {"lucky": np.ones((1, 2000)), "poor": np.zeros((1, 2000))}
    found = column(rows)
    assert found["best"].tolist() == [True, True, True, True, False]
    assert found["rank_low"].iloc[:3].tolist() == [1, 1, 1]
    assert found["rank_high"].iloc[:3].tolist() == [3, 3, 3]
    assert found["rank_low"].iloc[3:].isna().all()
    assert found["seed_part"].iloc[3:].isna().all(), "what seeds do to other rows is none of theirs"
    assert found["high"].iloc[3:].tolist() == [1, 0], "of the images, which all say the same"


def test_a_row_that_no_seed_changes_tells_nothing_of_the_others_noise():
    rng = np.random.default_rng(0)
    outcomes = named(accuracies(rng, 3, 200)[:4])
    apart = column(outcomes)
    outcomes["pixels"] = np.tile(rng.random(200) < 0.7, (3, 1))
    found, without = column(outcomes, fixed={"pixels"}), column(outcomes)
    pd.testing.assert_frame_equal(found.drop("pixels")[apart.columns[:6]], apart[apart.columns[:6]])
    assert found.loc["pixels", "seed_part"] == 0
    outcomes["rounded"] = outcomes["pixels"] + np.array([[0.0], [1e-3], [2e-3]])
    rounded = column(outcomes, fixed={"pixels", "rounded"})
    assert rounded.loc["row 0", "seed_part"] == found.loc["row 0", "seed_part"], "nor one whose figures differ a little"
    image = outcomes["pixels"][0].var(ddof=1) / 200
    half = stats.t.ppf(0.975, 199) * np.sqrt(image)
    assert found.loc["pixels", "high"] - found.loc["pixels", "mean"] == pytest.approx(half)
    assert without.loc["row 0", "seed_part"] == pytest.approx(apart.loc["row 0", "seed_part"] * 4 / 5)
    alone = column({"pixels": outcomes["pixels"]}, fixed={"pixels"})
    assert alone.loc["pixels", ["low", "high"]].tolist() == found.loc["pixels", ["low", "high"]].tolist()


def test_a_description_has_the_interval_of_its_own_seeds_and_pixels_none_of_seeds(record):
    """Effective rank goes with a space's width: what seeds do to one row says nothing of another."""
    values = {"narrow": (8.0, 8.1, 8.2), "wide": (60.0, 70.0, 80.0), "pixels": (69.0, 69.0, 69.0)}
    found = []
    for method, ranks in values.items():
        for seed, value in enumerate(ranks):
            row = {"space": "features", "measure": "intrinsic@1", "target": "", "scores": {"rankme": value}}
            one = record(seed=seed, method=method, top1=value / 100, metrics=[row])
            one["provenance"]["encoder"] = method if method == "pixels" else f"{method}{seed}"
            found.append(one)
    frame = leaderboard(at(found)).set_index(["score", "method"])
    half = frame["high"] - frame["mean"]
    for method, ranks in [*values.items()][:2]:
        own = stats.t.ppf(0.975, 2) * np.std(ranks, ddof=1) / 3**0.5
        assert half["rankme", method] == pytest.approx(own)
    pooled = np.sqrt((np.var(values["narrow"], ddof=1) + np.var(values["wide"], ddof=1)) / 2) / 100
    expected = pytest.approx(stats.t.ppf(0.975, 4) * pooled / 3**0.5)
    assert [half["top1", "narrow"], half["top1", "wide"]] == [expected, expected]
    assert np.isnan([half["top1", "pixels"], half["rankme", "pixels"]]).all()  # their noise is of unknown images
    ranks = frame.loc["top1", ["rank_low", "rank_high"]]
    assert ranks.to_dict("index") == {m: dict(ranks.loc["wide"]) for m in ("wide", "pixels")} | {
        "narrow": {"rank_low": 3, "rank_high": 3}
    }


def test_one_encoder_that_is_not_judged_alike_each_time_has_the_noise_of_its_seeds(record):
    found = [record(seed=seed, method="pixels", top1=value) for seed, value in enumerate((0.6, 0.7, 0.8))]
    for one in found:
        one["provenance"]["encoder"] = "the same"
    line = leaderboard(at(found)).set_index("score").loc["top1"]
    assert line["high"] - line["mean"] == pytest.approx(stats.t.ppf(0.975, 2) * 0.1 / 3**0.5)


def test_unequal_n_is_the_harmonic_form():
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=n) for n in (3, 12)]
    spread = Layout.of(rows).differences()
    pooled = sum(((row - row.mean()) ** 2).sum() for row in rows) / 13
    assert spread.total[0, 1] == pytest.approx(pooled * (1 / 3 + 1 / 12))


@pytest.mark.parametrize(
    "rows",
    [
        {"only": np.ones((3, 7))},
        {"a": np.ones((3, 7)), "b": np.ones((3, 7))},
        {"a": np.full(3, 0.1 + 0.2), "b": np.full(3, 0.3)},
        {"a": np.full((3, 7), 0.1 + 0.2), "b": np.full((4, 7), 0.3)},
        {"a": np.ones((3, 1)), "b": np.ones((3, 1))},
        {"a": np.array([[0, 1, 0, 1]] * 3) > 0, "b": np.array([[1, 0, 1, 0]] * 3) > 0},
    ],
)
def test_equal_rows_without_noise_share_all_ranks(rows):
    found = column(rows)
    assert found["rank_low"].tolist() == [1] * len(rows)
    assert found["rank_high"].tolist() == [len(rows)] * len(rows)
    assert found["best"].all()
    assert (found["low"] <= found["mean"]).all()


def test_no_rows_are_an_empty_column_and_bad_rows_are_refused():
    assert column({}).columns.tolist() == column({"a": np.ones((3, 4))}).columns.tolist()
    for rows, said in (
        ({"a": np.ones((2, 3)), "b": np.ones((2, 4))}, "same images"),
        ({"a": np.array([[np.nan]])}, "finite"),
        ({"a": np.ones((0, 3))}, r"\(0, 3\)"),
        ({"a": np.float64(1)}, r"\(\)"),
    ):
        with pytest.raises(ValueError, match=said):
            column(rows)


def test_inputs_stay_as_they_were_and_order_makes_no_difference():
    rows = named(accuracies(np.random.default_rng(0), 3, 100)[:4])
    before = {name: row.copy() for name, row in rows.items()}
    found, turned = column(rows), column(dict(reversed(rows.items())))
    pd.testing.assert_frame_equal(turned.loc[found.index], found)
    assert all((rows[name] == before[name]).all() for name in rows)


def test_a_variance_is_at_least_its_larger_part():
    """Seeds that are right equally often, on other images: what both parts count is more than the seeds' part."""
    rng = np.random.default_rng(0)
    right = np.stack([rng.permutation(np.arange(40) < 20) for _ in range(3)])
    only = column({"only": right}).iloc[0]
    assert only["seed_part"] == 0
    half = stats.t.ppf(0.975, only["df"]) * np.sqrt(only["image_part"])
    assert only["high"] - only["mean"] == pytest.approx(half)


def test_two_rows_of_one_seed_are_the_paired_t_test_of_scipy():
    """On few images, where degrees of freedom and the divisor of a variance make a difference."""
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        good, poor = sorted(rng.normal(((0.8,), (0.0,)), size=(2, 8))[:, None], key=np.mean, reverse=True)
        p = stats.ttest_rel(good[0], poor[0]).pvalue
        if abs(p - 0.05) > 1e-3:  # quantiles are good to 0.1 %
            found.append((column({"good": good, "poor": poor})["best"].tolist(), [True, p > 0.05]))
    told, expected = zip(*found, strict=True)
    assert told == expected
    assert 50 < sum(alike for _, alike in expected) < 250


def test_two_seeds_are_compared_by_their_images_whatever_seeds_do_to_other_rows():
    images = np.arange(400)
    rows = {name: np.tile(images < count, (2, 1)) for name, count in (("right", 390), ("wrong", 300))}
    noisy = np.stack([images < count for count in (0, 200, 390)])
    assert column(rows | {"noisy": noisy})["best"].tolist() == [True, False, True]
