"""What `bench run` prints of the runs that lie in its folder already: its time before, its table after."""

from dataclasses import replace

import pytest

from disentangle_bench.benchmarks.__main__ import main
from disentangle_bench.benchmarks.commands.leaderboard import show_board
from disentangle_bench.benchmarks.launchers.estimate import estimate
from disentangle_bench.benchmarks.planning.cell import Cell
from disentangle_bench.evaluation.records import FILE
from disentangle_bench.json_files import write_json


@pytest.fixture
def put(tmp_path, make_record):
    """Writes a record where runs of a folder lie, and returns the cell's hash."""

    def write(method, seed=0, dataset="digits", suite="smoke", cost=None, source="", day=1, **given):
        record = make_record(dataset, method, seed, cost=cost, **given)
        record["config"]["suite"] = suite
        if source:
            record["config"]["source"] = source
            record["cell"] |= {"settings": f"{record['cell']['settings']}{source}", "hash": f"{source}{method}{seed}"}
            record["provenance"]["finished"] = f"2030-01-0{day}T00:01:00+00:00"
        path = tmp_path / dataset / method / record["cell"]["hash"] / FILE
        path.parent.mkdir(parents=True)
        write_json(path, record)
        return record["cell"]["hash"]

    return write


def names_in(table: str) -> list[str]:
    """Names of the rows of markdown tables."""
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    return list(dict.fromkeys(name for name in rows if name not in ("method", "chance")))


def test_a_request_is_shown_among_all_that_it_can_be_compared_with(tmp_path, put, capsys):
    mine = {put("mine", seed) for seed in (0, 1)}
    put("simclr")
    put("vicreg", budget={"epochs": 1})
    put("byol", dataset="faces")
    show_board(tmp_path, mine, alone=False)
    told = capsys.readouterr().out
    assert names_in(told) == ["mine \\*", "simclr"]
    assert f"* rows of this request; the others: {tmp_path}, on" in told
    assert names_in((tmp_path / "leaderboard.md").read_text()) == ["mine", "simclr"]
    show_board(tmp_path, mine)
    told = capsys.readouterr().out
    assert names_in(told) == ["mine"]
    assert "of this request" not in told


def test_a_row_of_code_that_was_edited_since_is_named(tmp_path, put, capsys):
    put("my_file.Mine", source="aa", day=1)
    put("my_file.Mine", seed=1, source="aa", day=1)
    put("simclr")
    put("vicreg", source="cc", options={"backbone": "my_file.small"})
    put("vicreg", source="dd", options={"backbone": "my_file.large"})
    put("byol", source="ee", options={"init": "a.safetensors"})
    put("byol", source="ff", options={"init": "b.safetensors"})
    told = (
        "bench: digits: my_file.Mine (source=aa) comes from another version of your own code or weights than the "
        "newest run, my_file.Mine (source=bb); to drop its row remove the folders of its runs: "
        "digits/my_file.Mine/aamy_file.Mine0, digits/my_file.Mine/aamy_file.Mine1\n"
    )
    assert main(["leaderboard", "--out", str(tmp_path)]) == 0
    assert "version of your own code" not in capsys.readouterr().err
    newest = put("my_file.Mine", source="bb", day=2)
    assert main(["leaderboard", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err == told
    show_board(tmp_path, {newest}, alone=False)
    assert capsys.readouterr().err == told
    show_board(tmp_path, {newest})
    assert capsys.readouterr().err == "", "the request's own rows alone are shown"


def test_a_dry_run_says_how_long_going_by_complete_runs(tmp_path, put, capsys):
    request = ["run", "--suite", "smoke", "--method", "simclr,vicreg", "--dataset", "digits", "--jobs", "2"]
    request += ["--dry-run", "--out", str(tmp_path)]
    assert main(request) == 0
    assert f"no estimate of the time: none of these methods has a complete run of this kind under {tmp_path}\n" in (
        capsys.readouterr().out
    )
    taken = {"train_seconds": 100.0, "eval_seconds": 20.0}
    put("simclr", 7, cost=taken, budget={"epochs": 1})
    put("simclr", 8, cost=taken | {"eval_seconds": 40.0}, budget={"epochs": 1})
    put("simclr", 9, cost=taken | {"train_seconds": 9e9}, budget={"epochs": 2})
    put("simclr", 3, cost=taken | {"train_seconds": 9e9}, budget={"epochs": 1}, suite="other", options={"lr": 1})
    assert main([*request, "--seeds", "0-3"]) == 0
    told = capsys.readouterr().out
    assert "8 cells, 8 to run" in told
    line = (
        "about 4 min for 4 of them, 2 side by side, going by complete runs here; nothing to estimate the other 4 from"
    )
    assert line in told


def test_a_cell_that_is_trained_already_is_judged_only_and_the_longest_one_sets_the_end(tmp_path, put):
    put("simclr", cost={"train_seconds": 3600.0, "eval_seconds": 50.0})
    trained = Cell("digits", "simclr", 0, {"num_train": 100}, {}, {"epochs": 30}, "32-true", ["linear@1", "knn@1"])
    assert str(estimate([trained], tmp_path, 1)).startswith("about 50 s, 1 side by side")
    assert str(estimate([trained, replace(trained, seed=1)], tmp_path, 2)).startswith("about 61 min, 2 side by side")


def test_where_nothing_tells_the_suites_own_words_do(tmp_path, capsys):
    assert main(["run", "--suite", "quick", "--method", "pixels", "--dry-run", "--out", str(tmp_path / "runs")]) == 0
    assert "; of the whole suite its file says: The four papers" in capsys.readouterr().out
