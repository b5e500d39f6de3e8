"""A comparison as text."""

import pytest

from disentangle_bench.evaluation.leaderboard.writers.comparison import as_text, p_text
from disentangle_bench.evaluation.records import FILE
from tests.evaluation.leaderboard.made import compare, put


@pytest.mark.parametrize(("p", "text"), [(0.0, "< 0.001"), (1e-9, "< 0.001"), (0.0314, "0.031"), (1.0, "1.000")])
def test_no_probability_is_zero(p, text):
    assert p_text(p) == text


def test_a_certain_loss_has_a_small_probability_and_not_none(record, tmp_path):
    a, b = (put(tmp_path / str(top1), [record(seed=s, top1=top1) for s in range(3)]) for top1 in (0.8, 0.6))
    assert "< 0.001" in as_text(compare(a, b))


def test_a_terminal_has_no_line_that_is_wider_and_a_pipe_has_all_columns(record, tmp_path):
    a, b = (
        put(tmp_path / side, [record(method="simclr", seed=s, top1=top1) for s in range(3)])
        for side, top1 in (("a", 0.8), ("b", 0.5))
    )
    comparison = compare(a, b)
    whole = as_text(comparison)
    assert "p worse" in whole.splitlines()[0]
    assert "data set" in whole.splitlines()[0]
    told = as_text(comparison, width=80)
    assert max(map(len, told.splitlines())) <= 80
    assert told.startswith("data set digits, method simclr, space features, n 3\n"), "what all lines share"
    assert "no room here for: p same" in told
    assert "WORSE  linear@1 top1 (class)" in told
    assert "no room" not in as_text(comparison, width=200)
    assert "p worse" in as_text(comparison, width=200)


def test_skipped_records_and_names_for_the_terminal(record, tmp_path):
    before = put(tmp_path / "a", [record(method="a\x1b[31mb", top1=0.8)])
    after = put(tmp_path / "b", [record(method="a\x1b[31mb", top1=0.5)])
    (after / "bad").mkdir()
    (after / "bad" / FILE).write_text("{")
    text = as_text(compare(before, after))
    assert "\x1b" not in text
    assert "skipped: " in text
