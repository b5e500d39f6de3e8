"""Sweeps: rows that are called by their values, and what can't be swept."""

import pytest

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.planning.suite import choose


def planned(*sweeps, method="simclr", **more):
    request = choose("smoke", method, "digits", "0", sweeps=list(sweeps), **more)
    return {cell.title.removeprefix("digits/").removesuffix(" seed 0"): cell for cell in plan(request)}


def test_one_row_a_combination_and_only_of_what_is_swept():
    cells = planned("simclr.lr=0.01,0.02", "method.temperature=0.1,0.5", method="simclr,vicreg")
    assert list(cells) == [
        *(f"simclr lr={lr} temperature={t}" for lr in (0.01, 0.02) for t in (0.1, 0.5)),
        "vicreg",  # which has no temperature
    ]
    found = cells["simclr lr=0.01 temperature=0.5"].options
    assert (found["temperature"], found["lr"]) == (0.5, 0.01)
    assert len({cell.hash for cell in cells.values()}) == 5


def test_parts_of_options_lists_data_and_budgets_can_be_swept():
    (off, on) = planned("simclr.augmentation.blur_p=0,0.5", assignments=["simclr.augmentation.grey_p=0.1"]).values()
    assert [cell.options["augmentation"]["blur_p"] for cell in (off, on)] == [0.0, 0.5]
    assert {cell.options["augmentation"]["grey_p"] for cell in (off, on)} == {0.1}
    crops = planned("simclr.augmentation.crop_scale=[0.2, 1],[0.5, 1]")
    assert list(crops) == ["simclr augmentation.crop_scale=[0.2 1]", "simclr augmentation.crop_scale=[0.5 1]"]
    assert [cell.data["batch_size"] for cell in planned("data.batch_size=32,64").values()] == [32, 64]
    assert [cell.budget for cell in planned("budget.steps=1,2").values()] == [{"steps": 1}, {"steps": 2}]


def test_a_value_that_the_suite_has_anyhow_is_the_same_run():
    (plain,) = planned().values()
    same = planned(f"simclr.temperature={plain.options['temperature']},0.9")
    assert plain.hash in {cell.hash for cell in same.values()}


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        (["simcrl.lr=1,2"], "--sweep simcrl.lr: unknown addressee 'simcrl': did you mean simclr"),
        (["simclr.temprature=1,2"], "unknown option 'temprature': did you mean temperature"),
        (["method.lrr=1,2"], "--sweep method.lrr: unknown option 'lrr': did you mean lr?"),
        (["simclr.lr=fast"], "lr: expected a number >0, got 'fast'"),
        (["simclr.data=all"], "method simclr: `data` may hold"),
        (["simclr.lr"], "expected NAME.OPTION=VALUE,VALUE"),
        (["lr=1,2"], "expected NAME.OPTION=VALUE,VALUE"),
        (["simclr.lr="], "no values"),
        (["simclr.lr=1", "simclr.lr=2"], "stands twice"),
        (["simclr.lr=[1"], "not readable as YAML"),
        (["budget.hours=1,2"], "--sweep budget: unknown option 'hours'"),
        (["budget.steps=1", "budget.epochs=1"], "exactly one of epochs, steps, minutes"),
        ([f"simclr.lr={','.join(map(str, range(1, 41)))}", f"simclr.temperature={','.join(map(str, range(1, 41)))}"],
         "1,600 rows for one method, at most 1,000"),
    ],
)  # fmt: skip
def test_what_cannot_be_swept_is_said_in_a_line(sweeps, message):
    with pytest.raises(RequestError) as caught:
        planned(*sweeps)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("sweep", "assignment", "named"),
    [
        ("budget.steps=1,2", "budget.steps=3", "budget.steps"),
        ("budget.steps=1,2", "budget.epochs=3", "budget"),
        ("data.batch_size=16,32", "data.batch_size=64", "data.batch_size"),
    ],
)
def test_what_is_swept_is_not_set_too(sweep, assignment, named):
    with pytest.raises(RequestError, match=f"--sweep {named}: it is set by --set, too"):
        planned(sweep, assignments=[assignment])


def test_rows_of_a_sweep_are_called_by_their_values(tmp_path, capsys):
    ask = ["run", "--suite", "smoke", "--dataset", "digits", "--method", "random_init", "--seeds", "0", "--dry-run"]
    assert (
        main([*ask, "--sweep", "data.batch_size=32,64", "--sweep", "random_init.stem=auto", "--out", str(tmp_path)])
        == 0
    )
    told = capsys.readouterr().out
    for size in (32, 64):
        assert f"digits/random_init batch_size={size} stem=auto seed 0" in told


def test_a_suite_sweeps_by_itself_unless_the_command_line_says_otherwise():
    def values(**more):
        return [cell.data["correlation"] for cell in plan(choose("dial", "pixels", "colored_digits", "0", **more))]

    assert values() == [0.0, 0.5, 0.8, 0.95, 1.0]
    assert values(assignments=["data.correlation=0.3"]) == [0.3]
    assert values(sweeps=["data.correlation=0.1,0.2"]) == [0.1, 0.2]
    assert values(assignments=["data.batch_size=16"]) == values()


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("{correlation: [0, 1]}", "expected NAME.OPTION with values"),
        ("{data.batch_size: []}", "expected NAME.OPTION with values"),
        ("{dta.batch_size: [8]}", "suite own, sweep dta.batch_size: unknown addressee 'dta'"),
        ("[1]", "sweep"),
    ],
)
def test_a_wrong_sweep_of_a_suite_is_said_in_a_line(tmp_path, sweep, message):
    text = f"datasets: [digits]\nmethods: [pixels]\nbudget: {{epochs: 1}}\nmeasures: [knn@1]\nsweep: {sweep}\n"
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(RequestError) as caught:
        plan(choose(str(tmp_path / "own.yaml")))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
