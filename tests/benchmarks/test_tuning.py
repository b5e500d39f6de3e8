"""Choosing options: equal draws, the best on validation images, and never with what reports."""

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import save_file

from disentangle_bench.benchmarks.__main__ import main, make_parser
from disentangle_bench.benchmarks.commands import carry_out
from disentangle_bench.benchmarks.commands.studies import tune
from disentangle_bench.benchmarks.errors import RequestError
from disentangle_bench.benchmarks.launchers.base import LaunchResult
from disentangle_bench.benchmarks.planning.plan import plan
from disentangle_bench.benchmarks.planning.suite import choose
from disentangle_bench.benchmarks.planning.suite_parts import Tuning
from disentangle_bench.benchmarks.planning.tuning import Choice, TrialResult, choose_best, draw
from disentangle_bench.benchmarks.runs.folder import RunFolder
from disentangle_bench.json_files import write_json
from disentangle_bench.methods import available, find
from disentangle_bench.methods.networks.backbones import backbone
from tests.benchmarks.conftest import make_cell
from tests.evaluation.leaderboard.conftest import make_record

OWN = {"lr": 2e-3, "weight_decay": 1e-4, "momentum": 0.9}
SPACE = {"lr": (1e-3, 2e-3), "weight_decay": (1e-5, 1e-4, 1e-3)}
SUITE = """
datasets: [digits]
methods: [simclr, vicreg, pixels]
seeds: [0, 1]
budget: {steps: 2}
precision: fp32
threads: 1
measures: [linear@1]
tune: {draws: DRAWS}
settings:
  data: {batch_size: 64}
  digits: {image_size: 16}
"""


def test_draws_begin_with_the_suites_own_and_are_all_different():
    drawn = draw(SPACE, OWN, 6, "7/simclr")
    assert drawn[0] == {}
    resolved = [tuple((OWN | one)[name] for name in SPACE) for one in drawn]
    assert len(set(resolved)) == 6
    assert draw(SPACE, OWN, 3, "7/simclr") == drawn[:3]
    assert draw(SPACE, OWN, 6, "7/vicreg") != drawn
    with pytest.raises(RequestError, match="simclr: its search space has 6 settings, not 7"):
        draw(SPACE, OWN, 7, "7/simclr")


@pytest.mark.parametrize("name", [name for name in available() if find(name).trains])
def test_every_method_that_trains_declares_a_space_for_twelve_draws_of_its_options(name):
    cls = find(name)
    (cell,) = plan(choose("smoke", name, "colored_digits", "0"))
    assert set(cls.search) <= set(cell.options)
    drawn = draw(cls.search, cell.options, 12, "0")
    for options in (drawn[1], {key: values[-1] for key, values in cls.search.items()}):
        plan(choose("smoke", name, "colored_digits", "0", [f"{name}.{k}={v}" for k, v in options.items()]))


def test_the_best_is_chosen_and_what_failed_never_is():
    tried = [TrialResult({"k": k}, score, []) for k, score in enumerate((0.5, None, 0.9, 0.9, 0.1))]
    assert [one.options["k"] for one in choose_best(tried)] == [2, 0, 1, 3, 4]
    with pytest.raises(RequestError, match="none of its runs"):
        choose_best([tried[1]])


def test_a_run_counts_by_the_space_that_its_method_is_judged_by(cell, tmp_path):
    other = {"space": "features", "measure": "validation@1", "scores": {"top1": 0.9, "nll": 0.1}}
    own = {"space": "content", "measure": "validation@1", "scores": {"top1": 0.6}}

    def judged(*rows, score="top1"):
        run = RunFolder(cell.folder(tmp_path))
        run.path.mkdir(parents=True, exist_ok=True)
        write_json(run.record, make_record(space="content", metrics=list(rows)))
        return tune._score(cell, tmp_path, "validation@1", score)

    assert judged(other, own) == judged(own, other) == 0.6
    assert judged(other, own, score="nll") is None, "the other space's doesn't stand in for it"
    assert judged(other) is None
    assert judged(other, own | {"scores": None, "reason": "one class only"}) is None
    second = own | {"target": "shape", "scores": {"top1": 0.2}}
    assert judged(own, second) == judged(second, own) == pytest.approx(0.4), "targets count alike"
    assert judged(own, second | {"scores": None, "reason": "one class only"}) is None


def test_a_setting_counts_by_its_mean_over_data_sets_and_not_if_one_has_no_score(monkeypatch):
    scores = {"first a": 0.7, "first b": 0.7, "second a": 0.95, "second b": None, "third a": 0.9, "third b": 0.3}
    monkeypatch.setattr(tune, "_score", lambda cell, *where: scores[cell.hash])
    draws = [{"lr": number} for number in range(3)]
    rows = [[SimpleNamespace(hash=f"{draw} {data}") for data in "ab"] for draw in ("first", "second", "third")]
    found = tune._ranked("simclr", draws, rows, Path(), Tuning())
    assert [(one.options["lr"], one.score) for one in found] == [(0, 0.7), (1, None), (2, pytest.approx(0.6))]
    assert found[0].records == ["first a", "first b"]


@pytest.fixture
def suite(tmp_path):
    def write(draws=4, more=""):
        path = tmp_path / "mine.yaml"
        path.write_text(SUITE.replace("DRAWS", str(draws)) + more)
        return path

    return write


def test_planted_scores_are_chosen_by_written_down_and_run_with(suite, tmp_path, monkeypatch, capsys):
    asked = {}

    def runs(request, folder, **how):
        asked["cells"] = plan(request)
        return asked["cells"], 0

    monkeypatch.setattr("disentangle_bench.benchmarks.commands.carry_out.carry_out", runs)
    monkeypatch.setattr(tune, "_score", lambda cell, *where: 0.9 if cell.labels[0].endswith("draw 2") else 0.5)
    file = tmp_path / "choice.json"
    tunes = suite(more="tuned: choice.json\n")  # which doesn't exist yet
    assert main(["tune", "--suite", str(tunes), "--to", str(file)]) == 0
    cells = asked["cells"]
    assert {cell.seed for cell in cells} == {1000}
    assert {tuple(cell.measures) for cell in cells} == {("validation@1",)}
    methods = [cell.method for cell in cells]
    assert {name: methods.count(name) for name in methods} == {"simclr": 4, "vicreg": 4}
    choice = json.loads(file.read_text())
    best = {name: tried[0] for name, tried in choice["methods"].items()}
    assert all(one["score"] == 0.9 for one in best.values())
    assert {one for tried in choice["methods"].values() for t in tried for one in t["records"]} == {
        cell.hash for cell in cells
    }
    by_hash = {cell.hash: cell for cell in cells}
    reported = {cell.method: cell for cell in plan(choose(str(suite(more="tuned: choice.json\n"))))}
    for name, one in best.items():
        assert reported[name].options == by_hash[one["records"][0]].options
        assert reported[name].tuned == 4
        assert reported[name].tuned_at == {}
    assert reported["pixels"].tuned is None
    at_another = plan(choose(str(suite(more="tuned: choice.json\n")), assignments=["budget.epochs=2"]))
    assert {cell.method: cell.tuned_at for cell in at_another} == {
        **dict.fromkeys(best, choice["budget"]),
        "pixels": {},
    }
    untuned = {cell.method: cell for cell in plan(choose(str(suite())))}
    assert untuned["simclr"].options != reported["simclr"].options
    assert untuned["simclr"].tuned is None
    (chosen,) = plan(
        choose(str(suite(more="tuned: choice.json\n")), "simclr", seeds="0", assignments=["simclr.lr=0.5"])
    )
    assert chosen.options["lr"] == 0.5
    (words,) = [
        line.partition("run with it: ")[2] for line in capsys.readouterr().out.splitlines() if "run with" in line
    ]
    assert shlex.split(words)[:2] == ["bench", "run"]
    given = make_parser().parse_args(shlex.split(words)[1:]).run
    handed = plan(choose(given.suite, tuned=given.tuned))
    assert [asdict(cell) for cell in handed] == [
        asdict(cell) for cell in plan(choose(str(suite(more="tuned: choice.json\n"))))
    ]


def test_a_choice_is_handed_to_a_built_in_suite_and_what_is_not_in_it_is_said(tmp_path, monkeypatch, capsys):
    """Identity of a cell, and what the table says, are those of a suite that names the file itself."""
    monkeypatch.chdir(tmp_path)
    tried = {"simclr": [TrialResult({"lr": 0.004}, 0.9, [])]}
    made = Choice("smoke", ["digits"], "validation@1", "top1", 1000, 7, {"epochs": 1}, tried)
    (tmp_path / "chosen.json").write_text(json.dumps(asdict(made)))
    request = ["run", "--suite", "smoke", "--method", "simclr,vicreg,pixels", "--dataset", "digits", "--dry-run"]
    assert main(request) == 0
    before = capsys.readouterr().out.splitlines()
    assert main([*request, "--tuned", "chosen.json"]) == 0
    told = capsys.readouterr()
    (changed,) = [row for row in told.out.splitlines() if row not in before]
    assert "digits/simclr " in changed
    assert told.err.splitlines() == ["untuned: vicreg is not in chosen.json and has the options of the suite"]
    assert main([*request, "--tuned", "none.json"]) == 2
    assert "tuned: no file none.json; `bench tune --suite smoke` makes one" in capsys.readouterr().err


def test_a_choice_for_other_code_of_ones_own_is_said(suite, tmp_path, monkeypatch, capsys):
    """By what the runs are told apart by; of this package's methods, and by older files, nothing is known or said."""
    own = tmp_path / "tuned_here.py"
    own.write_text("from disentangle_bench.methods.simclr import SimCLR\nclass Mine(SimCLR):\n    source = 'here'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        "disentangle_bench.benchmarks.commands.carry_out.carry_out", lambda request, *_, **how: (plan(request), 0)
    )
    monkeypatch.setattr(tune, "_score", lambda *_: 0.5)
    file, tunes = tmp_path / "choice.json", suite()
    assert main(["tune", "--suite", str(tunes), "--method", "simclr", "--to", str(file)]) == 0
    assert "sources" not in json.loads(file.read_text()), "the file of who has no code of one's own is as it was"
    assert main(["tune", "--suite", str(tunes), "--method", "simclr,tuned_here.Mine", "--to", str(file)]) == 0
    assert list(json.loads(file.read_text())["sources"]) == ["tuned_here.Mine"]
    request = choose(str(tunes), "simclr,tuned_here.Mine", seeds="0", tuned=str(file))
    capsys.readouterr()
    plan(request)
    assert not capsys.readouterr().err
    own.write_text(own.read_text() + "    temperature = 7\n")
    plan(request)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "tuned: tuned_here.Mine runs with the options in choice.json, which were chosen with another "
        "version of your code;"
    )
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "sources"}))
    plan(request)
    assert not capsys.readouterr().err


def test_a_table_that_options_are_chosen_from_is_nothing_to_publish(monkeypatch, launch, capsys):
    monkeypatch.setattr("disentangle_bench.benchmarks.commands.leaderboard.show_board", lambda *_, **how: None)
    monkeypatch.setattr("disentangle_bench.benchmarks.execution.record.keep_experiments", lambda *_: None)
    for alone in (False, True):
        cell = make_cell("random_init")
        carry_out._show([cell], LaunchResult([cell]), launch, alone)
        assert ("bench leaderboard" in capsys.readouterr().err) == (not alone)


def test_a_choice_for_other_weights_says_weights(suite, tmp_path, monkeypatch, capsys):
    weights, file, tunes = tmp_path / "start.safetensors", tmp_path / "choice.json", suite()
    state = backbone("convnet", (3, 16, 16)).state_dict()
    save_file(state, weights)
    monkeypatch.setattr(
        "disentangle_bench.benchmarks.commands.carry_out.carry_out", lambda request, *_, **how: (plan(request), 0)
    )
    monkeypatch.setattr(tune, "_score", lambda *_: 0.5)
    init = f"method.init={weights}"
    assert main(["tune", "--suite", str(tunes), "--method", "simclr", "--set", init, "--to", str(file)]) == 0
    save_file({name: value + 1 for name, value in state.items()}, weights)
    capsys.readouterr()
    for assignments, words in (([init], "another version of the weights that `init` names;"), ([], "is without;")):
        plan(choose(str(tunes), "simclr", seeds="0", assignments=assignments, tuned=str(file)))
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ("measure: linear@1", "measure 'linear@1': it chooses by what never sees test images, validation@1"),
        ("measure: nosuch", "measure 'nosuch'"),
        ("score: nosuch", "unknown score 'nosuch'"),
    ],
)
def test_what_cannot_choose_is_refused_before_anything_is_run(criterion, words, suite, tmp_path, capsys):
    file, runs = suite(), tmp_path / "runs"
    file.write_text(file.read_text().replace("tune: {", f"tune: {{{criterion}, "))
    assert main(["tune", "--suite", str(file), "--to", str(tmp_path / "tuned.json"), "--out", str(runs)]) == 2
    assert words in capsys.readouterr().err
    assert not runs.exists()


def test_what_was_chosen_with_is_not_reported_with(suite, tmp_path):
    with pytest.raises(RequestError, match="seed 1000 is the one that `tune` chooses with"):
        choose(str(suite()), seeds="0,1000")
    made = Choice("mine", ["digits"], "validation@1", "top1", 1, 4, {"steps": 2}, {})
    for change, words in (
        ({}, "seed 1 was used to choose"),
        ({"seed": 9, "datasets": ["mnist"]}, "nothing was chosen on digits, only on mnist"),
        ({"draws": "many"}, "draws: int expected"),
    ):
        (tmp_path / "choice.json").write_text(json.dumps(asdict(made) | change))
        with pytest.raises(RequestError, match=words):
            plan(choose(str(suite(more="tuned: choice.json\n"))))
    chosen = replace(made, seed=9, methods={"simclr": [TrialResult({"lr": 0.004}, 0.9, [])]})
    (tmp_path / "choice.json").write_text(json.dumps(asdict(chosen)))  # the suite's own settings give way to it
    cells = plan(choose(str(suite(more="  simclr: {lr: 0.5, weight_decay: 0.25}\ntuned: choice.json\n")), "simclr"))
    assert {(cell.options["lr"], cell.options["weight_decay"]) for cell in cells} == {(0.004, 0.25)}
    with pytest.raises(RequestError, match="other"):
        plan(choose(str(suite(more="tuned: other.json\n"))))


def test_tuning_goes_on_where_it_stopped(suite, tmp_path, capsys):
    """The first draws stay the first draws, so their runs are complete already when more are asked for."""
    out, file = tmp_path / "runs", tmp_path / "choice.json"
    command = ["tune", "--method", "simclr", "--out", str(out), "--to", str(file)]
    assert main([*command, "--suite", str(suite(1))]) == 0
    (first,) = out.rglob("result.json")
    made = first.stat().st_mtime_ns, json.loads(first.read_text())["provenance"]["finished"]
    assert main([*command, "--suite", str(suite(2))]) == 0
    assert len(list(out.rglob("result.json"))) == 2
    assert json.loads(first.read_text())["provenance"]["finished"] == made[1]
    tried = json.loads(file.read_text())["methods"]["simclr"]
    assert all(0 < one["score"] < 1 for one in tried)
    assert {one["records"][0] for one in tried} == {path.parent.name for path in out.rglob("result.json")}
