"""The stress lab plants what it says, gives the verdicts that anybody would, and its cards are the limits of scores."""

import math
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.commands.studies import stress
from disentangle_bench.evaluation.measures.base import FACTORS, Measure, Score, TargetSelection
from disentangle_bench.evaluation.metrics.errors import MetricUndefined
from disentangle_bench.evaluation.protocol import MEASURES
from disentangle_bench.evaluation.stress import page
from disentangle_bench.evaluation.stress.cards import Card, Trial, try_out, verdict
from disentangle_bench.evaluation.stress.planted import TARGETS, Condition, conditions, plant

NAMES = [target.name for target in TARGETS]


def correlations(space, split="probe"):
    """Absolute, codes by factors."""
    factors = np.stack([space.y[split][name] for name in NAMES], axis=1)
    return np.abs(np.corrcoef(np.c_[space.x[split], factors].T)[: space.x[split].shape[1], -4:])


def test_codes_are_planted_as_asked():
    alone, mixed, noise = (plant(Condition("", 8), *truth, 0, 2000) for truth in ((0, 0), (1, 0), (0, 1)))
    np.testing.assert_allclose(correlations(alone)[:4], np.eye(4), atol=0.07)
    np.testing.assert_allclose(correlations(mixed)[:4], 0.5, atol=0.07)
    for space in (alone, mixed, noise):
        assert correlations(space)[4:].max() < 0.1
        assert all(np.array_equal(space.y["test"][name], alone.y["test"][name]) for name in NAMES)
    assert correlations(noise).max() < 0.1
    half = plant(Condition("", 4), 0, 0.5, 0, 2000)
    np.testing.assert_allclose(correlations(half).diagonal(), math.sqrt(0.5), atol=0.05)
    copies = plant(Condition("", 8, "copies", scale=100.0), 0, 0, 0, 2000)
    np.testing.assert_allclose(correlations(copies)[4:], np.eye(4), atol=0.07)
    assert copies.x["test"][:, 0].std() > 50 * copies.x["test"][:, 4].std()
    assert {split: len(x) for split, x in copies.x.items()} == {
        **dict.fromkeys(("train", "test", "probe"), 2000),
        **dict.fromkeys(("val", "probe_val"), 1000),
    }
    linked = plant(Condition("", follows=0.75), 0, 0, 0, 2000).y["probe"]
    assert 0.75 < (linked["first"] == linked["second"]).mean() < 0.85
    assert not np.array_equal(linked["first"], plant(Condition(""), 0, 0, 1, 2000).y["probe"]["first"])


@pytest.mark.parametrize(
    ("mixing", "noise", "expected"),
    [
        ([0.9, 0.5, 0.1], [0.9, 0.5, 0.1], "holds"),
        ([0.9, 0.9, 0.85], [0.9, 0.5, 0.1], "blind to mixing"),
        ([0.9, 0.2, 0.5], [0.9, 0.5, 0.1], "turns with mixing"),
        ([0.9, 0.5, 0.1], [0.9, 0.95, 0.95], "blind to noise"),
        ([0.4, 0.2, 0.1], [0.4, 0.2, 0.1], "shifted"),
        ([0.9, math.nan, 0.1], [0.9, 0.5, 0.1], "undefined"),
    ],
)
def test_verdicts(mixing, noise, expected):
    base = {"mixing": [0.95, 0.5, 0.1], "noise": [0.95, 0.4, 0.0]}
    assert verdict({"mixing": mixing, "noise": noise}, base, ("mixing", "noise"), 0.1) == expected
    risen, turned = (
        {truth: [1 - value for value in curve] for truth, curve in one.items()}
        for one in (base, {"mixing": mixing, "noise": noise})
    )
    assert verdict(turned, risen, ("mixing", "noise"), 0.1) == expected


def measure(run, **scores):
    return Measure("own", 1, FACTORS, "any", "none", scores or {"score": Score("up", 0, 1, "0")}, "factors", run)


def own_share(space, *targets):
    """How much the first four codes are each their factor's; wide codes are refused."""
    if space.x["test"].shape[1] > 40:
        raise MetricUndefined("too wide")
    return {"score": float(correlations(space).diagonal().mean())}


def test_a_measure_that_reads_the_truth_holds_where_it_is_defined():
    tried = conditions([8, 64])
    (card,) = try_out(measure(own_share), tried, images=300)
    assert card.truths == ("mixing", "noise")
    ends = {truth: curve[-1] for truth, curve in card.trials[0].curves.items()}
    assert ends == pytest.approx({"mixing": 0.5, "noise": 0}, abs=0.15)
    told = {trial.condition.title: trial.verdict for trial in card.trials}
    assert told.pop("64 codes, rest noise") == "undefined"
    assert set(told.values()) == {"holds"}


def test_what_sees_no_truth_and_what_cant_be_tried_are_told_apart():
    def never(space, *targets):
        raise MetricUndefined("only features are here")

    flat = try_out(measure(lambda space, *_: {"score": 0.5}), conditions([8]), images=100)
    none = try_out(measure(never), conditions([8]), images=100)
    nowhere = TargetSelection("each sound", lambda targets: [])
    other = replace(measure(lambda space: {"score": 0.5}), name="heard", targets=nowhere)
    none += try_out(other, conditions([8]), images=100)
    text = page.markdown([*flat, *none], conditions([8]))
    assert "See neither truth: own@1 score." in text
    assert "- own@1: only features are here." in text
    assert "- heard@1: none of the planted factors is what it is taken on." in text


def test_several_draws_are_averaged():
    def first(space, *targets):
        return {"score": float(space.y["test"]["first"].mean() / 3)}

    own = [plant(conditions([8])[0], 0, 0, seed, 100).y["test"]["first"].mean() / 3 for seed in range(2)]
    assert own[0] != own[1]
    (card,) = try_out(measure(first), conditions([8])[:1], images=100, seeds=2)
    assert card.trials[0].curves["mixing"][0] == pytest.approx(np.mean(own))


def test_a_cell_of_the_page_has_both_ends_of_the_truth():
    base, *_ = tried = conditions([8])
    for moves, ends in (("mixing", "0.90 > 0.10"), ("noise", "0.90 > 0.30")):
        curves = {"mixing": [0.9, 0.5, 0.1], "noise": [0.9, 0.6, 0.3]}
        card = Card("own@1", "score", "any", (moves,), [Trial(base, curves, "holds")])
        assert f"| {moves} " in page.markdown([card], tried)
        assert f"{ends} holds" in page.markdown([card], tried)


def test_conditions_that_take_too_long_are_left_out_and_said_so():
    tried = conditions([8])
    (card,) = try_out(measure(own_share), tried, images=100, minutes=0)
    assert [trial.condition for trial in card.trials] == [tried[0]]
    assert page.markdown([card], tried).count("not tried") == len(tried) - 1


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Measures side by side in threads: a process of its own takes seconds to start."""
    monkeypatch.setattr(stress, "ProcessPoolExecutor", lambda workers, context: ThreadPoolExecutor(workers))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_a_page_with_its_pictures_into_a_new_folder(here):
    asked = ["stress", "--measures", "mig", "--widths", "[8]", "--images", "100", "--jobs", "1"]
    assert main([*asked, "--to", "new/page.md"]) == 0
    text = (here / "new" / "page.md").read_text()
    linked = set(re.findall(r"\]\((.+?)\)", text))
    assert linked == {"page/mixing.svg", "page/noise.svg"}
    assert all((here / "new" / name).read_bytes().startswith(b"<?xml") for name in linked)
    assert text.startswith("# Which measures")
    assert "100 images, one draw" in text
    assert "mig@2 mig" in text
    assert "8 codes, rest noise" in text


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--widths", "[4]"], "--widths [4]: from 5 codes"),
        (["--images", "10"], "--images 10: from 100"),
        (["--seeds", "0"], "--seeds 0: from 1"),
        (["--minutes", "0"], "--minutes 0"),
        (["--jobs", "0"], "--jobs 0"),
        (["--measures", "migg"], "unknown measure 'migg': did you mean mig"),
        (["--to", "page"], "--to page: a file whose name ends in .md"),
        (["--to", "/dev/null/page.md"], "/dev/null can't be written to"),
    ],
)
def test_bad_requests_are_refused(asked, told, here, capsys):
    assert main(["stress", *asked]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not list(here.iterdir())


def test_the_limits_beside_scores_are_those_of_the_committed_cards():
    """The widest code, in the columns of `N codes, rest noise`, up to which each score holds.

    Undefined is no failure here: then there is no figure to be misled by.
    """
    text = (Path(__file__).parents[2] / "results" / "measures.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    head, found = rows[0], {}
    titles = [re.fullmatch(r"(\d+) codes(, rest noise)?", title) for title in head]
    widths = {k: int(title[1]) for k, title in enumerate(titles) if title}
    for row in rows[1:]:
        failing = [k for k in widths if not row[k].endswith((" holds", " undefined"))]
        found[row[0]] = max(widths[k] for k in widths if k < min(failing)) if failing else None
    tried = {name.split()[0] for name in found}
    declared = {
        f"{title} {name}": score.most_codes
        for title, measure in MEASURES.items()
        for name, score in measure.scores.items()
        if f"{title} {name}" in found or score.most_codes is not None
    }
    assert declared == found
    assert len(tried) == 7
