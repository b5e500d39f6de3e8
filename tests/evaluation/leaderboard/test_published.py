"""Figures that others have published, beside a suite's own."""

import copy
import json
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from disentangle_bench.benchmarks.execution.loggers import log_leaderboard
from disentangle_bench.evaluation.leaderboard.summary import leaderboard, to_markdown
from disentangle_bench.evaluation.records import seal
from tests.evaluation.leaderboard.conftest import at
from tests.evaluation.leaderboard.made import line, rows


def figure(value, protocol="same", target=None):
    """What a suite says of a published top-1 accuracy."""
    one = {"measure": "linear@1", "score": "top1", "value": value, "source": f"table {value}", "protocol": protocol}
    return one | ({"target": target} if target else {})


@pytest.fixture
def published(record):
    """`published(figures, **more)`: a run of an experiment whose figures others have published."""

    def made(*figures, **more):
        found = copy.deepcopy(record(**more))
        found["config"]["experiments"] = [{"suite": "s", "label": "mine", "published": list(figures)}]
        return seal(found, Path("no outcomes"))

    return made


def test_a_figure_of_another_target_stands_beside_no_other(published):
    other = {"measure": "linear@1", "target": "shape", "scores": {"top1": 0.5}}
    frame = leaderboard(at([published(figure(0.81, target="shape"), figure(0.7), metrics=[other])]))
    told = {
        target: [one.value for one in line(frame, measure="linear@1", score="top1", target=target).published]
        for target in ("class", "shape")
    }
    assert told == {"class": [0.7], "shape": [0.81, 0.7]}


def test_a_further_space_of_the_method_has_none(published):
    projection = {"measure": "linear@1", "space": "projection", "scores": {"top1": 0.5}}
    frame = leaderboard(at([published(figure(0.7), metrics=[projection])]))
    assert [len(line(frame, score="top1", space=s).published) for s in ("features", "projection")] == [1, 0]


def cell_of(text):
    """Of the column of published figures."""
    row = next(row for row in rows(text) if row[0] == "mine")
    return row[[name.startswith("linear@1 top1 %") and "published" in name for name in rows(text)[0]].index(True)]


def test_one_that_was_measured_as_here_comes_first(published):
    text = to_markdown(leaderboard(at([published(figure(0.81, "another encoder"), figure(0.7))])))
    assert cell_of(text).startswith("70.0")
    assert "81" in text.split("Published: ")[1]


def test_one_that_was_measured_otherwise_stands_in_brackets(published):
    text = to_markdown(leaderboard(at([published(figure(0.81, "another encoder"))])))
    assert cell_of(text) == "(81.0)<sup>1</sup>"
    assert "not to be compared as it stands" in text


def test_weights_and_biases_is_handed_a_table_of_plain_values(published, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    run = MagicMock()
    monkeypatch.setattr(wandb, "init", lambda **_: run)
    log_leaderboard(leaderboard(at([published(figure(0.81))])), tmp_path)
    ((logged,), _) = run.__enter__.return_value.log.call_args
    assert json.dumps(logged["leaderboard"].data), "as the table is written"
