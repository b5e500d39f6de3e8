"""The tool that times: what it compares, what it says, and that a step's parts are all of the step."""

import json

import pytest

from tools.perf import __main__ as perf
from tools.perf import chart, curves, steps
from tools.perf.process import NotHereError


def spread(median, low, high):
    return {"ratio": {"median": median, "low": low, "high": high}}


@pytest.mark.parametrize(
    ("now", "worse"),
    [
        (spread(0.80, 0.78, 0.82), False),
        (spread(0.70, 0.66, 0.74), False),  # the best round now is within the slack of the worst one then
        (spread(0.70, 0.68, 0.72), True),
        (spread(0.95, 0.90, 0.99), False),
    ],
)
def test_worse_is_what_lies_beyond_the_spread_of_both(now, worse):
    then = {"views": spread(0.80, 0.77, 0.83), "loader": {"images 1/s": {}}}
    found = perf.regressions({"views": now, "loader": {"images 1/s": {}}, "new": now}, then)
    assert bool(found) == worse
    assert all(line.startswith("views: ratio 0.80 -> 0.70") for line in found)


def test_rounds_alternate_and_what_is_missing_is_left_out(monkeypatch, capsys):
    order = []

    def measured(entry):
        order.append(entry)
        if entry == "b":
            raise NotHereError("pip install b")
        return {"ratio": len(order) / 10}, 1.0, 2.0

    monkeypatch.setattr(perf, "ENTRIES", {"a": "a", "b": "b", "c": "c"})
    monkeypatch.setattr(perf, "in_process", measured)
    found = perf.measure(["a", "b", "c"], rounds=2)
    assert order == ["a", "b", "c", "a", "c"]
    assert found["a"]["ratio"] == {"median": 0.25, "low": 0.1, "high": 0.4}
    assert set(found) == {"a", "c"}
    assert "b is left out: pip install b" in capsys.readouterr().err


def test_a_check_ends_by_its_exit_code(monkeypatch, tmp_path, capsys):
    file = tmp_path / "ratios.json"
    monkeypatch.setattr(perf, "measure", lambda names, rounds: {name: spread(0.8, 0.8, 0.8) for name in names})
    monkeypatch.setattr("sys.argv", ["perf", "--only", "step_sim*,views", "--json", str(file)])
    assert perf.main() == 0
    written = json.loads(file.read_text())
    steps = {f"step_{name}" for name in ("simclr", "simclr_bf16", "simclr_resnet18_bf16", "simsiam", "simsiam_bf16")}
    assert set(written["entries"]) == {"views", *steps}
    assert written["hardware"]["cores"]
    assert "load" in written
    monkeypatch.setattr("sys.argv", ["perf", "--check", str(file)])
    assert perf.main() == 0
    monkeypatch.setattr(perf, "measure", lambda names, rounds: {name: spread(0.7, 0.7, 0.7) for name in names})
    assert perf.main() == 3
    assert "worse: step_simclr: ratio 0.80 -> 0.70" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["perf", "--only", "none"])
    with pytest.raises(SystemExit, match="no entry matches 'none'; there are: start_up"):
        perf.main()


@pytest.mark.parametrize("name", ["byol", "style_blocks"])  # which draws views by `views`, and which by their parts
def test_the_parts_are_all_of_a_step(name, monkeypatch):
    monkeypatch.setattr(steps, "BATCH", 16)
    monkeypatch.setattr(steps, "WARM", 1)
    figures = steps.step(name, steps=1)
    assert sum(figures[f"{part} ms"] for part in steps.PARTS) == pytest.approx(figures["method ms"])
    assert all(figures[f"{part} ms"] > 0 for part in steps.PARTS)
    assert figures["ratio"] == pytest.approx(figures["network ms"] / figures["method ms"])
    found = {f"step_{name}": perf._spreads([figures | {"CPU s": 1.0, "peak GB": 1.0}])}
    told = " ".join(perf.table(found).split())
    assert f"{name} on 128 images, 32x32, in" in told
    assert "fp32" in told
    assert chart.draw(found).decode().count("bare network") == 1


def test_an_exponent_is_the_slope_of_logarithms():
    assert curves.exponent((10, 20, 80), [3.0, 12.0, 192.0]) == pytest.approx(2)
    assert curves.exponent((1, 10), [0.5, 0.5]) == pytest.approx(0)


def test_copies_of_records_are_as_many_lines_of_the_board():
    """Two data sets of three methods, each with two seeds."""
    frame = curves.board(12, seeds=2, methods=3)()
    lines = frame[frame["measure"] == "linear@1"]
    assert set(lines["n"]) == {2}
    assert len(lines.groupby(["dataset", "method"])) == 6
