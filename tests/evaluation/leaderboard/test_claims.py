"""Verdicts on claims, from planted outcomes."""

from dataclasses import replace

import numpy as np
import pytest

from disentangle_bench.evaluation.leaderboard.claims import (
    CONTRADICTED,
    HOLDS,
    NOT_RUN,
    NOT_SHOWN,
    WEAKER,
    Claim,
    Side,
    judge,
)
from disentangle_bench.evaluation.leaderboard.claims.judging import verdict
from disentangle_bench.evaluation.leaderboard.claims.page import markdown
from disentangle_bench.evaluation.leaderboard.claims.verdicts import console, unfinished
from disentangle_bench.evaluation.records import find_records
from tests.evaluation.leaderboard.conftest import at, right_or_wrong, write_judged

CLAIM = Claim(
    name="a_beats_b",
    statement="A is better than B",
    source="table 1",
    dataset="digits",
    a=Side(row="ip_irm"),
    b=Side(row="simclr"),
    measure="linear@1",
    score="top1",
    target="class",
    at_least=0.05,
    seeds=[0, 1, 2, 3, 4],
)
NOISE = (0.004, -0.006, 0.003, 0.001, -0.002)


def runs(record, gain, noise=1.0, seeds=range(5), **options):
    return [record(method="simclr", seed=s, top1=0.7) for s in seeds] + [
        record(method="ip_irm", seed=s, top1=0.7 + gain + noise * NOISE[s % 5], **options) for s in seeds
    ]


@pytest.mark.parametrize(
    ("gain", "noise", "expected"),
    [
        (0.08, 1, HOLDS),
        (0.02, 1, WEAKER),
        (-0.08, 1, CONTRADICTED),
        (0.0, 1, CONTRADICTED),  # what would matter is excluded
        (0.04, 20, NOT_SHOWN),
    ],
)
def test_each_verdict(record, gain, noise, expected):
    (one,) = judge([CLAIM], at(runs(record, gain, noise)))
    assert one.verdict == expected
    assert one.n == 5
    assert one.gain == pytest.approx(gain + noise * np.mean(NOISE))
    half = 2.776445 * noise * np.std(NOISE, ddof=1) / np.sqrt(5)  # t quantile with 4 degrees of freedom, from a table
    assert (one.low, one.high) == pytest.approx((one.gain - half, one.gain + half))


def test_outcomes_by_image_widen_the_interval(record, tmp_path):
    """What few test images can't tell is not shown, however much the seeds agree."""
    for count, expected in ((4000, HOLDS), (40, NOT_SHOWN)):
        for method, share, draw in (("simclr", 0.7, 1), ("ip_irm", 0.76, 2)):
            for seed, right in enumerate(right_or_wrong([share] * 5, count, draw)):
                write_judged(tmp_path / str(count), record(method=method, seed=seed), right)
        found, problems = find_records(tmp_path / str(count))
        assert not problems
        assert judge([CLAIM], found)[0].verdict == expected


def test_both_sides_are_paired_by_their_seeds(record):
    """What a seed does to both is no noise of their difference."""
    found = [
        record(method=method, seed=s, top1=0.5 + 0.1 * s + (0.08 + NOISE[s]) * (method == "ip_irm"))
        for s in (3, 0, 4, 1, 2)
        for method in ("simclr", "ip_irm")
    ]
    (one,) = judge([CLAIM], at(found))
    assert one.verdict == HOLDS
    assert one.high - one.gain == pytest.approx(2.776445 * np.std(NOISE, ddof=1) / np.sqrt(5))


def test_down_turns_the_difference_round(record):
    (one,) = judge([replace(CLAIM, direction="down")], at(runs(record, 0.08)))
    assert one.verdict == CONTRADICTED
    assert one.gain < 0


def test_no_worse_than_so_much():
    assert verdict(-0.01, -0.02, 0.0, -0.03) == HOLDS
    assert verdict(-0.05, -0.06, -0.04, -0.03) == CONTRADICTED
    assert verdict(-0.02, -0.05, 0.01, -0.03) == NOT_SHOWN
    assert verdict(0.1, np.nan, np.nan, 0.0) == NOT_SHOWN


def test_a_side_may_be_measured_on_a_target_of_its_own(record):
    """One method that tells the class better than the hue."""
    hue = {"measure": "linear@1", "target": "hue"}
    found = [record(method="ip_irm", seed=s, top1=0.8, metrics=[hue | {"scores": {"top1": 0.6}}]) for s in range(5)]
    (one,) = judge([replace(CLAIM, b=Side(row="ip_irm", target="hue"))], at(found))
    assert (one.verdict, one.b) == (HOLDS, pytest.approx(0.6))


def test_against_a_constant(record):
    low = replace(CLAIM, b=Side(value=0.9), direction="down", at_least=0.0)
    assert judge([low], at(runs(record, 0.05)))[0].verdict == HOLDS
    assert judge([replace(low, b=Side(value=0.5))], at(runs(record, 0.05)))[0].verdict == CONTRADICTED


def test_costs_are_compared_by_their_ratio(record):
    claim = replace(CLAIM, measure="cost", score="train_seconds", target="", direction="down", at_least=2)
    slow = [record(method="simclr", seed=s, cost={"train_seconds": 30.0 + s}) for s in range(5)]
    for seconds, expected in ((10.0, HOLDS), (20.0, WEAKER), (40.0, CONTRADICTED)):
        fast = [record(method="ip_irm", seed=s, cost={"train_seconds": seconds}) for s in range(5)]
        (one,) = judge([claim], at(slow + fast))
        assert one.verdict == expected
        assert np.exp(one.gain) == pytest.approx(32 / seconds, rel=0.01)
    assert "(x0.80 [" in markdown([one], "runs")


def test_a_cost_that_was_not_recorded_takes_no_time(record):
    found = runs(record, 0.08, cost={"train_seconds": None, "eval_seconds": 1.0})
    (one,) = judge([CLAIM], at(found))
    assert (one.verdict, one.seconds) == (HOLDS, sum(10.0 + s for s in range(5)) + 10)


def test_a_cost_of_nothing_has_no_ratio(record):
    claim = replace(CLAIM, measure="cost", score="train_seconds", target="", direction="down", at_least=2)
    costs = {"simclr": 30.0, "ip_irm": 0.0}
    found = [record(method=m, seed=s, cost={"train_seconds": c}) for m, c in costs.items() for s in range(5)]
    (one,) = judge([claim], at(found))
    assert (one.verdict, one.reason) == (NOT_RUN, "a cost of 0 has no ratio to another")


def test_spaces_of_one_row(record):
    def metrics(value):
        row = {"measure": "leakage@4", "target": "color", "reason": None, "seconds": 0.1, "parameters": {}}
        return [row | {"space": space, "scores": {"leakage": figure}} for space, figure in value.items()]

    rows = [
        record(method="ip_irm", seed=s, metrics=metrics({"features": 0.9 + NOISE[s], "projection": 0.3}))
        for s in range(5)
    ]
    claim = replace(
        CLAIM,
        measure="leakage@4",
        score="leakage",
        target="color",
        a=Side(row="ip_irm", space="projection"),
        b=Side(row="ip_irm", space="features"),
        direction="down",
        at_least=0.5,
    )
    (one,) = judge([claim], at(rows))
    assert (one.verdict, one.a) == (HOLDS, pytest.approx(0.3))
    assert "30.0 against 90.0 (+60.0 [" in markdown([one], "runs")


def test_without_a_space_the_one_that_speaks_for_the_method_is_judged(record):
    """Of a measure of the main table by its question; of one that makes a matrix, the primary one."""

    def figures(method, seed, told):
        row = {"reason": None, "seconds": 0.1, "parameters": {}}
        informed = row | {"measure": "informativeness@2", "target": "class"}
        leaks = row | {"measure": "leakage@4", "target": "color"}
        metrics = [informed | {"space": space, "scores": {"told": told[space]}} for space in told]
        metrics += [leaks | {"space": space, "scores": {"leakage": told[space]}} for space in told]
        return record(method=method, seed=seed, metrics=metrics, invariant_space="content")

    rows = [figures("ip_irm", s, {"features": 0.9, "content": 0.1}) for s in range(5)]
    rows += [figures("simclr", s, {"features": 0.5 + NOISE[s], "content": 0.4}) for s in range(5)]
    told, leaked = judge(
        [
            replace(CLAIM, measure="informativeness@2", score="told"),
            replace(CLAIM, measure="leakage@4", score="leakage", target="color", direction="down"),
        ],
        at(rows),
    )
    assert (told.a, told.b) == (pytest.approx(0.9), pytest.approx(0.5 + np.mean(NOISE)))
    assert (leaked.a, leaked.b) == (pytest.approx(0.1), pytest.approx(0.4))


def test_only_the_seeds_that_were_named_count_and_few_show_nothing(record):
    (one,) = judge([replace(CLAIM, seeds=[0, 1])], at(runs(record, 0.2)))
    assert (one.verdict, one.n, one.reason) == (NOT_SHOWN, 2, "fewer than 3 seeds")


def test_what_was_not_run_is_said(record):
    (one,) = judge([CLAIM], at([record(method="simclr", seed=s) for s in range(5)]))
    assert (one.verdict, one.n) == (NOT_RUN, 0)
    text = markdown([one, replace(one, claim=replace(CLAIM, note="Its rows are dear."))], "runs")
    assert "no figure of ip_irm" in text
    assert "Its rows are dear." in text
    assert "2 not run of 2 claims." in text


def test_the_page_says_of_each_claim_all_that_a_doubting_reader_asks(record):
    plain = replace(CLAIM, published="81 % | table 1", paper="Somebody: A paper", suite="s", note="See may_lose, too.")
    lossless = replace(plain, name="may_lose", statement="Nothing is lost.", at_least=-0.03, file="mine.yaml")
    text = markdown(judge([plain, lossless], at(runs(record, 0.08))), "my runs", ["mine.yaml", "a_beats_b"], "to.md")
    table, _, below = text.partition("## How to read a verdict")
    assert "| [A is better than B](#a_beats_b)" in table
    assert "78.0 against 70.0 (+8.0 [+7.5, +8.5])" in table
    rules, _, below = below.partition("## Somebody: A paper")
    assert all(f"| {verdict} |" in rules for verdict in (HOLDS, WEAKER, CONTRADICTED, NOT_SHOWN))
    assert "non-inferiority" in rules
    first, second = below.split("### ")[1:3]
    for words in (
        "A is better than B Source: table 1.",
        "81 % | table 1.",
        "**A**: row `ip_irm`, space `features`, figure `linear@1 top1` of `class`",
        "**B**: row `simclr`, space `features`",
        "`digits`, suite `s`",
        "d = +5 points: A is higher than B by that much, at least.",
        "A 78.0 %, B 70.0 %; lead +8.0 points, interval +7.5 to +8.5 over seeds alone",
        "holds (n = 5 seeds on both sides)",
        "See [may_lose](#may_lose), too.",
        "2 min to train and judge",
        "`bench claims a_beats_b --out 'my runs'`",
    ):
        assert words in first, words
    assert "d = -3 points: A may be lower than B by that much, not more." in second
    assert "`bench claims mine.yaml --out 'my runs'`" in second, "its name is known nowhere else"
    assert "- **linear@1**: Multinomial logistic regression" in text
    assert text.endswith("`bench claims mine.yaml a_beats_b --out 'my runs' --to to.md`\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"a": {"value": 0.5}}, "only b may be a value"),
        ({"direction": "sideways"}, "direction is up or down"),
        ({"at_least": float("nan")}, "at_least is a number"),
        ({"measure": "cost", "at_least": 0}, "a factor above 0"),
    ],
)
def test_a_claim_that_cannot_be_tried_is_refused(change, words):
    change = {key: Side(**value) if isinstance(value, dict) else value for key, value in change.items()}
    with pytest.raises(ValueError, match=words):
        replace(CLAIM, **change)
    with pytest.raises(ValueError, match="either a row or a value"):
        Side()


def test_a_terminal_shows_verdicts_paper_by_paper_and_which_runs_are_missing(record):
    """Each line fits; colours only where asked for; one seed has no interval, which is not spelled as NaN."""
    first = replace(CLAIM, paper="P", suite="s", seeds=[0, 1])
    second = replace(first, paper="Q", name="b", statement="x " * 90)
    judged = judge([first, second], at(runs(record, 0.1, seeds=[0])))
    text = console(judged, width=80, colour=False)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "\x1b" not in text
    assert text.index("P\n") < text.index("A is better than B") < text.index("Q\n")
    assert "nan" not in text + markdown(judged, "my runs")
    assert "\x1b[" in console(judged, width=80, colour=True)
    assert unfinished(judged) == ["s"]
    assert "`bench run --suite s --out 'my runs'` makes them" in markdown(judged, "my runs")
